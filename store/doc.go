// Package store is the room of durable records: incidents, anomalies, feedback, change markers, API keys, snapshots of
// learned state, and the backlog of flagged traces that wait for the semantic tier.
//
// In flow what the engine and the API decide to keep; out flow the same records, one by one or in pages. Each backend is a
// package of its own: sqlite is the embedded one. storetest holds the one conformance suite that every backend passes, and
// its Store interface lists what a backend is.
//
// A store never judges, never changes what it is given beyond stating times in UTC, and never sees text that was not
// redacted before.
package store
