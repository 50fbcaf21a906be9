// Package retrieval is the eval suite `retrieval`: how many of the true nearest neighbours a vector memory finds, and how fast it finds
// and takes in vectors.
//
//	texts of the data folder ──embedder──> vectors ─┬─ most ──> Remember ─┐
//	                                                └─ some ──> Nearest ──┴─> neighbours ─┐
//	                                                └─ some ──> exact scan ─> neighbours ─┴─> recall, times
//
// The embedder and the memories are those that serve, handed in by cmd. The suite has a plain exact scan of its own, which says what the
// true neighbours are and what their search takes without any product. It works in a collection of its own and removes it afterwards, so
// that a memory behind a server may hold other things.
//
// The suite learns nothing, so a frozen model of it is empty.
package retrieval
