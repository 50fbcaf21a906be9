// Package sqlite keeps the records of LLM-Sentinel in one SQLite file, for installations that run nothing beside the binary.
//
// The file is in WAL mode. All writes pass one connection, each as one transaction that is on disk when the call returns;
// reads have connections of their own and are not held up by a write. A process that is killed at any instant leaves a
// valid file with every acknowledged write in it.
//
// What is queried has a column; the rest of a record is its JSON. Times are integer nanoseconds since 1970 in UTC, those
// outside of the years 1678 to 2262 being held as the nearest that can be expressed. Strings inside of JSON that are not
// valid UTF-8 have their invalid bytes replaced by U+FFFD.
//
// Every error that the package returns carries an engine.Code: invalid for input that cannot be stored, not_found,
// conflict, full, too_large, unavailable when the file is locked for too long or the disk is full, and internal for the
// rest. The package never decides when to prune: the caller does, and states the time.
package sqlite
