// Command bench compares what LLM-Sentinel and an OpenTelemetry Collector take in of the same requests, in spans a second of one
// core. It is a module of its own, so that Sentinel does not depend on the Collector; docs/benchmarks.md says how it measures.
//
// In flow the two programs; it starts each on a core of its own, drives them in turns through one generator on another core, and
// prints what each round cost. It judges nothing and keeps no files.
package main
