// Package langchain embeds texts with the model providers that have a protocol of their own, through the clients of
// github.com/tmc/langchaingo: Voyage AI, Jina, Hugging Face's inference API, Cloudflare Workers AI.
//
// Texts flow in, go out in batches, and their vectors flow back, checked and scaled to unit length by package embed. Providers do not tell the
// version of a model: the configuration does. Providers that speak the OpenAI protocol, such as Mistral and most gateways, are better asked
// by package openai.
//
// The package keeps no vectors (package cache does) and writes no text to its log.
package langchain
