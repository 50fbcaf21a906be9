// Package openai embeds texts with a model behind the OpenAI protocol: at OpenAI, or at any server that speaks it, such as Ollama's /v1,
// vLLM, LocalAI, Mistral or a gateway.
//
// Texts flow in, go out in batches by POST BASE/embeddings, and their vectors flow back in the order of the texts, checked and scaled to
// unit length by package embed. The protocol does not tell the version of a model: the configuration does.
//
// The package keeps no vectors (package cache does) and writes no text to its log.
package openai
