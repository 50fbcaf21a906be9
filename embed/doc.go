// Package embed is the room for text to vectors.
//
// Redacted text flows in, in chunks that the engine cut; vectors of unit length flow out, one a text, in order. Each
// package below is one [engine.Embedder]:
//
//   - builtin: a table of token vectors that ships in the binary. No network, no model server, microseconds a text.
//   - ollama: a model served by Ollama.
//   - cache: a decorator that remembers the vectors of texts it has seen, around any of the others.
//
// An embedder says which model it is by [engine.Model]; a vector of one model is never compared with one of another.
// Nothing here remembers what is normal, decides what is anomalous, or writes a text to a log.
package embed
