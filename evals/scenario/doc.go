// Package scenario generates the telemetry of a company that runs several LLM assistants, with incidents mixed in and
// the ground truth of those incidents beside it.
//
// A Config and its seed flow in. Steps flow out in event-time order: OpenTelemetry traces in the current GenAI semantic
// conventions as an instrumented application would export them, and the change markers that a delivery pipeline would
// report. Truth says afterwards what was wrong, when, and why; Match compares that with what was found.
//
//	Config -> world (services, models, users, keys)  ┐
//	          plan  (incidents, decoys, markers)     ├-> sessions -> runs (one trace each) -> Step
//	          bank  (topics, texts, documents)       ┘
//
// Everything is a pure function of the seed. Each conversation draws from its own random stream, so traffic that no
// incident touches is the same whether incidents are switched on or not (Config.Control).
//
// The package never calls the engine, has no clock and does no I/O: all texts are embedded, and all people, companies,
// providers and models in them are invented.
package scenario
