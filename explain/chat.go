package explain

import (
	"context"
	"encoding/json"
)

// Chat asks a language model. Complete returns the whole reply or an error: one with engine.CodeTooLarge when the model
// cannot take a prompt of this size, an error that is context.DeadlineExceeded when time ran out, any other when the model is
// not available. Errors name the address and the model, never the key. Implementations do not retry.
type Chat interface {
	Complete(ctx context.Context, r Request) (Reply, error)
	// Name is the provider and the model, such as "ollama smollm2:135m".
	Name() string
}

// Request is one question. The reply shall be JSON that follows Schema, with at most MaxTokens tokens.
type Request struct {
	System    string
	User      string
	Schema    json.RawMessage // JSON Schema
	MaxTokens int
}

// Reply is one answer and what it consumed; tokens are 0 where the server does not tell.
type Reply struct {
	Text         string
	InputTokens  int64
	OutputTokens int64
}
