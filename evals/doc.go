// Package evals is the offline evaluation of the engine: what is measured against labelled data, away from live traffic.
//
//	data folder ──loader──> cases ──task: the same code that serves──> scores ──metrics, intervals──> Result ──> Report
//	                          └────── trivial baselines ──────────────> scores ──────────┘
//
// A Suite is a loader, a task, metrics and trivial baselines; each has a package of its own, and Run runs them. Package measure has the
// metrics and their bootstrap intervals, package report the three reports and the comparison of two of them, package custom the
// suites that users bring, and package scenario generates the traffic that the demo, the suites and the benchmarks share.
//
// Suites never import a detector, an embedder or a memory: cmd hands them constructors of what serves. What has not been built yet is
// handed as nil, and what would measure it is reported as unavailable, never guessed.
//
// Fitting and scoring are apart. Fit learns thresholds, weights and memories from one folder of data, and Run with that model learns
// nothing from the data it scores. Run without a model cross-validates inside the data. Everything is a function of the data and the
// seed; only times differ from run to run.
package evals
