// Package sqlite keeps the records of LLM-Sentinel in one SQLite file, for installations that run nothing beside the binary.
//
// The file is in WAL mode. All writes pass one connection, each as one transaction that is on disk when the call returns;
// reads have connections of their own and are not held up by a write. A process that is killed at any instant leaves a
// valid file with every acknowledged write in it.
//
// Every error that the package returns carries an engine.Code: invalid for input that cannot be stored, not_found,
// conflict, full, too_large, unavailable when the file is locked for too long or the disk is full, and internal for the
// rest. The package never decides when to prune: the caller does, and states the time.
package sqlite
