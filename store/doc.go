// Package store is the room of durable records: incidents, anomalies, feedback, change markers, API keys, snapshots of
// learned state, and the backlog of flagged traces that wait for the semantic tier.
//
// In flow what the engine and the API decide to keep; out flow the same records, one by one or in pages. Each backend is a
// package of its own: sqlite is the embedded one, postgres the one that can be shared. storetest holds the one conformance
// suite that every backend passes, and its Store interface lists what a backend is.
//
// This package itself holds what the backends have in common: which records can be stored, what of a record has a column
// beside its JSON, and how a listing is asked for, read and continued. What is queried has a column; the rest of a record is
// its JSON. Times are integer nanoseconds since 1970 in UTC, those outside of the years 1678 to 2262 being held as the nearest
// that can be expressed. Strings inside of JSON that are not valid UTF-8 have their invalid bytes replaced by U+FFFD; in
// columns and in what they are compared to, so has NUL.
//
// A store never judges, never changes what it is given beyond stating times in UTC, and never sees text that was not
// redacted before.
package store
