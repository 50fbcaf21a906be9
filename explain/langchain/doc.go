// Package langchain asks a language model whose provider has a protocol of its own, through the clients of github.com/tmc/langchaingo:
// Anthropic. Providers that speak the OpenAI protocol are asked by package openai.
//
// In flows an explain.Request, out flows the model's whole reply with its token counts. These providers take no JSON schema beside the
// prompt, so it is part of the system prompt. The package never streams, retries, caches or logs.
package langchain
