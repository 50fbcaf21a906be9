// Package custom makes suites of users' own data: a YAML file names a file of labelled rows, what its fields are, a task, and what the
// figures have to reach.
//
//	mysuite.yaml ──Load──> Suite ─┬─ rows that show what is normal ──Learn──┐
//	data file ────────────────────┴─ labelled rows ──Findings, Score──> pipeline that serves ──> figures beside trivial baselines
//
// A row becomes a trace as an application would have sent it, and the detector that owns the task's anomaly type judges it; a row of a
// series is a point that a streaming detector sees after all earlier ones. Rows that teach are never scored.
//
// The package knows no detector. What it is asked for and cannot measure is unavailable; where the user requires a figure of it, that is
// an error, since a gate that does not close is none.
package custom
