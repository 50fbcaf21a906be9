// Package embedded is a vector memory inside of the process: an exact scan, so that its recall is 1, over vectors that lie
// contiguously in memory, a collection beside the other, and that are kept in a SQLite file of their own.
//
// A collection is read from the file when it is first used, so that what an earlier embedding model has left costs no
// memory. A write is one transaction, on disk before it is visible. Reads run concurrently with each other and wait only
// while a finished write is put in place. Vectors are brought to unit length first, so that a similarity is a cosine even
// where an embedder rounds. The file belongs to one process at a time.
//
// Each collection holds a bounded number of memos; beyond it the oldest by event time make room and are counted.
//
// The time of one query grows with the collection: some tens of milliseconds at 100,000 memos of 256 dimensions without a
// filter, much less with one. Beyond that size a vector database is the better backend.
package embedded
