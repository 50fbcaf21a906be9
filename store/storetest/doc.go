// Package storetest is the conformance suite of the store room: what every backend of incidents, anomalies, feedback,
// change markers, keys, snapshots and backlog has to do, whatever database is behind it.
//
// In flow a way to open an empty store and to open a store's data again; out flow test results. The suite asks for nothing
// that the engine's contracts do not promise, and looks at no backend's insides.
package storetest
