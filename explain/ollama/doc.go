// Package ollama asks a language model that Ollama serves, by its native protocol.
//
// In flows an explain.Request, out flows the model's whole reply with its token counts. The reply's shape is enforced by the
// server, which is given the JSON schema as the format. It never streams, retries, caches or logs.
package ollama
