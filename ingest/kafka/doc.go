// Package kafka reads telemetry from Kafka topics as a member of a consumer group and hands it to the engine.
//
// In flow messages as the Collector's Kafka exporter writes them (otlp_proto, otlp_json; any compression that Kafka knows, and
// payloads that are gzip themselves) and, where a topic says so, security events in JSON. Out flow [engine.Batch] values, one a
// message. Metrics of OTLP are read and dropped.
//
// # Nothing is lost
//
// An offset is committed only when the batches of all messages before it are done: their effects are stored, or the message
// stands on the dead-letter topic. A window for each partition keeps the messages that are under way in order; batches may be done
// in any order, the commit is the first that is not. What fails in a way that may pass is read from the broker again and handed
// over again; the window remembers which messages those are, so the others are not handed over twice and no payload is kept. A
// message that cannot be read, or that the engine refuses for good, goes to the dead-letter topic with reason and origin. While
// that cannot be written, its partition stands still.
//
// Kafka delivers at least once: after a crash, what was handed over and not committed comes again.
//
// # Rebalance
//
// Offsets are committed through kafka-go's ConsumerGroup and Generation, and not through its Reader with a group: a commit by a
// Generation names the generation and the member, so the broker refuses it once the partitions may belong to somebody else. The
// Reader's CommitMessages names no generation; an offset handed to it just before a rebalance is committed under the next
// generation, over whatever the new owner of the partition has committed. A generation that ends commits once more what is stored,
// while the broker still takes it. A window whose partition comes back goes on where it was; one whose partition is gone is dropped,
// and what becomes of its messages is committed by nobody here.
//
// # Backpressure
//
// Messages that are handed over and not done are bounded in number and bytes. When the bound is reached, or the engine says
// that it is full or that a part is down, reading stops and the broker keeps the rest. The membership is kept alive meanwhile.
//
// The package judges nothing, keeps no payload once the engine has it, and writes none to the log.
package kafka
