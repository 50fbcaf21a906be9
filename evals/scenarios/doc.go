// Package scenarios measures incidents: generated days of traffic are played into the pipeline that serves, and what it raises is
// matched one to one with what was really wrong, as the demo does.
//
//	Days ──> scenario ──decode──> batches ──Play──> Pipeline ──Incidents──> Match ──> recall, false a day, delay, cause
//	                                 └──> fixed thresholds on raw metrics ──────┘
//
// A Runner plays days and remembers them, so that the suite of the notes need not play them again. Cmd hands it what opens a pipeline
// and what decodes telemetry; the suite reads no data folder, learns nothing and has no model to freeze.
//
// It never looks into the pipeline: batches go in, incidents come out, and no two days share one.
package scenarios
