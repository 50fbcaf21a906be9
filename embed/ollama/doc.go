// Package ollama embeds texts with a model that Ollama serves.
//
// Texts flow in, go out in batches by POST /api/embed, and their vectors flow back, checked (as many as texts, of the right
// length, finite, not all zero) and scaled to unit length. What is down or busy is asked again a few times; what is wrong (no
// such model, another dimension) fails at once, with an error that says what to do. The server need not be up when the embedder
// is made. Texts longer than the model's context are cut by Ollama.
//
// The package keeps no vectors (package cache does) and writes no text to its log.
package ollama
