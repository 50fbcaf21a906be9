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
// A scan reads the vectors rounded to a byte a component (see codes), with AVX2 where the processor has it and in plain Go
// elsewhere or with the build tag purego, and computes the similarity of those rows alone that may be among the nearest. The
// result is that of computing all, to the bit. Both the vectors and their codes stay in memory: 5 bytes a dimension.
//
// The time of one query grows with the collection: some milliseconds at 100,000 memos of 256 dimensions without a filter, less
// with one. Where all vectors are nearly the same, the codes cannot tell them apart, and a query takes as long as computing all
// similarities. Beyond that size a vector database is the better backend.
package embedded
