// Package traces is the suite of detection and localisation on spans of microservices with injected faults.
//
//	microservice_traces/DAY/normal_spans.csv.gz ──moved to before the stream──┐
//	microservice_traces/DAY/spans.csv.gz ────────in order of their end───────> Play ──> anomalies, incidents ──┐
//	microservice_traces/DAY/faults.json ──────────────────────────────────────────────────────────────────────> metrics
//
// Each day is played once, by a pipeline of its own that has seen nothing else, from its fault-free minute to its last span. What
// the pipeline stored is then held against the faults: which it noticed, how late, how often it alarmed beside them, and where the
// service that was at fault stands among those it blamed.
//
// The suite never tells the pipeline a fault, and it learns nothing that could be frozen: the history of a day is that day's own
// fault-free minute, and the alarm level is the one that serves. docs/evals/traces.md says what is counted how.
package traces
