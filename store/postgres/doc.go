// Package postgres keeps the records of LLM-Sentinel in one schema of a PostgreSQL database, for installations that have one
// or that run more than one instance. It wants PostgreSQL 14 or newer, with UTF-8 as the database's encoding.
//
// Each write is one transaction that is committed when the call returns; writers that overlap wait for each other and do not
// deadlock. Jobs that one instance at a time may do, migrating and pruning, are under advisory locks of the schema. Retention
// bounds the size; there is no bound in bytes, since PostgreSQL keeps the space of deleted rows for new ones.
//
// Connections are made when they are needed and a server that went away is found again by the next call: every call ends
// within its timeout, with unavailable when there was no answer. A write that ended so may have been committed all the same;
// all writes but CreateKey can be repeated without harm. The search path is a setting of the session: a pooler between must
// pool sessions, not transactions.
//
// Every error that the package returns carries an engine.Code: invalid for input that cannot be stored, not_found,
// conflict, full, too_large, unavailable when the server cannot be reached, is busy, starting, stopping, read-only or out of
// space, and internal for the rest. The package never decides when to prune: the caller does, and states the time.
package postgres
