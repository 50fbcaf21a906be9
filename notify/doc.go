// Package notify takes alerts from the outbox to the people and systems that are to know of them.
//
//	outbox ──unrouted alerts──> routes ──deliveries──> outbox ──due deliveries──> Dispatcher ──> engine.Notifier, one a receiver
//	                                                     ^                            │
//	                                                     └────── how each stands ─────┘
//
// What flows in are engine.Alerts that were committed together with their incident. What flows out is, for every receiver
// that the routes name, the Message made of it (docs/schemas/incident.alerts.schema.json), or what a hosted service wants
// instead. The packages below this one each speak one protocol: one call is one delivery and one error. Retries, their
// order, grouping, mute windows, escalation and giving up are decided here.
//
// # Guarantees
//
// A committed alert is delivered at least once to each of its receivers, always under the same alert_id, or ends in the
// list of dead letters. It is delivered twice when the process ends between the receiver's answer and the outbox having
// stored it. What one receiver is told of one incident keeps the order in which it happened: while a delivery waits to be
// tried again, the later ones of its incident wait behind it, in the store too, so that a restart changes nothing. A
// receiver that is slow or down holds up no other.
//
// The package never writes prompts or answers anywhere, never changes an incident, and never drops an alert without a
// record of why.
package notify
