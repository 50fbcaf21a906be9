// Package retrievaltest is the conformance suite of the retrieval room: what every backend of engine.Memory has to do,
// whatever engine is behind it.
//
// In flow a way to open an empty memory and what the backend is able to do; out flow test results. The suite gives
// unit-length vectors only, and asks for nothing that the contract of engine.Memory does not promise.
package retrievaltest
