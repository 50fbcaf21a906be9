// Package embed is the room for text to vectors.
//
// Redacted text flows in, in chunks that the engine cut; vectors of unit length flow out, one a text, in order. Each
// package below is one [engine.Embedder]:
//
//   - builtin: a table of token vectors that ships in the binary. No network, no model server, microseconds a text.
//   - ollama: a model served by Ollama.
//   - openai: a model behind the OpenAI protocol.
//   - langchain: a model of a provider with a protocol of its own.
//   - breaker, batch, cache: decorators around any of them. One leaves a server alone that keeps failing, one joins the texts of callers
//     that wait at the same time, one remembers the vectors of texts that it has seen.
//
// What the clients of servers have in common is here: Remote sends batches, tries again, and checks what comes back; Transport carries
// their requests. An adapter is a Server, which makes one request.
//
// An embedder says which model it is by [engine.Model]; a vector of one model is never compared with one of another.
// Nothing here remembers what is normal, decides what is anomalous, or writes a text to a log.
package embed
