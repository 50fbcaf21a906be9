// Package evals is the root of the offline evaluation of the engine: what is measured against labelled data, away from
// live traffic.
//
// Its parts are packages of their own. Package scenario generates the traffic of LLM assistants with incidents and their
// ground truth, which the demo, the suites and the benchmarks share. Labelled data and generated traffic flow in,
// figures flow out. Nothing here reaches into the engine: suites are handed the same pipeline that serves.
package evals
