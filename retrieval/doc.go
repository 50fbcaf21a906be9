// Package retrieval is the room of vector memories: what normal texts look like, which attacks are known, and which
// incidents there were.
//
// In flow memos with unit-length vectors, and queries; out flow the nearest memos with their cosine similarity. Each
// backend of engine.Memory is a package of its own: embedded keeps everything in the process. retrievaltest is the one
// conformance suite that every backend passes, and attack holds the texts of known attacks that ship with the program.
//
// A memory never compares vectors of two purposes, two kinds of text or two models, never embeds, and never decides what a
// similarity means.
package retrieval
