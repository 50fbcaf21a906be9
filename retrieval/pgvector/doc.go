// Package pgvector is a vector memory in one schema of a PostgreSQL database with the extension pgvector, for installations
// that have one, or that run more than one instance. It wants PostgreSQL 14 or newer, UTF-8 as the database's encoding, and
// pgvector 0.8 or newer. Making the extension needs a superuser on most servers; where it is there already, the service needs
// the right to create in its schema and temporary tables in its database.
//
// Each engine.Collection is a partition of one table, made when something is first remembered. A small one is compared in
// full; one that has grown gets an HNSW index, in the background, and from then on which memos are found is approximate. Vectors
// of more than 2,000 dimensions, which an index takes in half precision alone, are compared in that and those that come out
// again in full: similarities are exact. From 4,000 dimensions on there is no index. A filter goes on through the index until
// it has enough memos or has seen max_scan_tuples of them; one that leaves little is looked up in an index of its own.
//
// Each write is one transaction, committed when the call returns: all of a call or nothing. Writers of one collection wait for
// each other, in every process, which keeps its bound exact; readers wait for nobody.
//
// A server that went away is found again by the next call: every call ends within its timeout, with CodeUnavailable when there
// was no answer. A write that ended so may have been committed all the same, and can be repeated. The search path and the
// settings of the search belong to the session: a pooler between must pool sessions, not transactions.
package pgvector
