// Package kafka publishes alerts on a Kafka topic.
//
// One receiver writes to one topic; incident.alerts is the default. A second receiver with the topic anomaly-events and a route of
// its own carries every change to whoever wants them all. The value is the published message as JSON
// (docs/schemas/incident.alerts.schema.json, docs/schemas/anomaly-events.schema.json), the key the fingerprint, so that what
// happens to one incident stays in order in one partition, chosen as Java's clients choose it. The headers are alert_id and
// content-type.
//
// A delivery is done once all in-sync replicas have it. A topic that is missing is created where the broker
// allows it, and written to by the next attempt.
package kafka
