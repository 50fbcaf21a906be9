// Package rabbitmq reads the events of guards from RabbitMQ and hands them to the engine.
//
// In flow JSON messages of two queues: what an LLM firewall saw (security.events) and what an API gateway and an identity provider
// saw (gateway.events). Out flow [engine.Batch] values with security events. docs/schemas holds the schema of each.
//
// What a broker may rely on:
//
//   - A message is acknowledged only after Done(nil) of its batch, that is when its effects are stored. Until then it is the
//     broker's, and comes again after a crash of either side.
//   - A batch that failed in a way that may pass is returned to its queue after a pause. A message that can never be used is published
//     to the queue's dead letters with the reason, and acknowledged once the broker has confirmed that.
//   - At most Prefetch messages of a queue are unacknowledged: an engine that is full leaves the rest to the broker.
//   - Events of high and critical severity are handed over before all others that wait here. A queue that this package declares
//     has priorities, so that publishers can let a message overtake in the broker too.
//
// The broker may be away at the start and at any time after; the package connects again with growing, random pauses.
//
// Events keep the id of their message. Where a message has neither id nor time, nothing tells its redelivery from a second
// message that reads the same; then the id belongs to the delivery, and survives a redelivery for as long as the process lives.
//
// The package never writes the content of a message to the log.
package rabbitmq
