// Package openai asks a language model by the OpenAI protocol: at OpenAI, or at any server that speaks it, such as Ollama's
// /v1, vLLM or a gateway.
//
// In flows an explain.Request, out flows the model's whole reply with its token counts. The reply's shape is asked for as a
// JSON schema in response_format. It never streams, retries, caches or logs.
package openai
