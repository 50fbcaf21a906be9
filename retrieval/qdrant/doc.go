// Package qdrant is a vector memory in a Qdrant server, over its gRPC protocol, for collections beyond what one process should
// hold, or that several processes share. It wants Qdrant 1.10 or newer.
//
// Each engine.Collection is a collection of Qdrant's, made when something is first remembered, with indexes on what filters ask
// for. The id of a point follows from the id of its memo, so that remembering again replaces. Vectors are compared as 8-bit
// integers by default, and what comes out is compared again as it was given: a similarity is exact, which memos are found is
// approximate from the size on at which Qdrant indexes a collection.
//
// A write has been applied, and is safe from a crash of the server, when Remember or Forget returns. Qdrant has no transactions:
// a call that failed half-way has written some of its batches, and can be repeated. Times are filtered to the microsecond, from
// and before it rounded down alike; what is remembered comes back with its nanoseconds.
//
// A server that went away is found again by itself: calls fail meanwhile with CodeUnavailable, at once or within their timeout.
// Collections that it has lost are made anew. The package never deletes a collection.
package qdrant
