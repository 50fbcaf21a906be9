// Package otlplog exports alerts as OpenTelemetry log records: the event gen_ai.evaluation.result, for the backend in which the
// traces are.
//
// An alert is one record for each trace of its sample, in that trace, so that a trace shows what was found in it; an alert
// without traces is one record. What the record says is in the attributes that the GenAI conventions name
// (gen_ai.evaluation.name is the anomaly type, score.value the score, of which above 1 is anomalous, score.label "anomalous" or
// "resolved", explanation the note's summary) and in sentinel.alert_id, sentinel.incident_id, sentinel.severity,
// sentinel.status and sentinel.change. The resource is service.name llm-sentinel.
//
// It speaks OTLP over HTTP (protobuf, gzip) and gRPC. What may be sent again follows the OTLP specification: HTTP 429, 502, 503 and
// 504 and the transient codes of gRPC. Records that the other side rejects in a partial success are never sent again.
package otlplog
