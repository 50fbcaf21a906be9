// Package rabbitmq publishes alerts to RabbitMQ.
//
// Alerts of high and critical incidents go to the queue incidents.high-priority, those of medium and low ones to
// incidents.normal (docs/schemas/incidents.high-priority.schema.json, docs/schemas/incidents.normal.schema.json). With an
// exchange, which has to be there, they go to it under the names of the queues as routing keys instead.
//
// Messages are persistent JSON with the alert_id as message id. A delivery is done once the broker has confirmed the
// message and has not returned it as one that no queue takes. A connection that broke is opened anew by the next attempt;
// one message is under way at a time.
package rabbitmq
