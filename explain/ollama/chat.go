package ollama

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/ollama/ollama/api"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/explain"
)

const (
	defaultURL    = "http://127.0.0.1:11434"
	maxReplyBytes = 1 << 20
)

// Chat is one model on one server.
type Chat struct {
	client        *api.Client
	model         string
	address       string
	contextTokens int
}

var _ explain.Chat = (*Chat)(nil)

// New makes a Chat for llm.Model at llm.BaseURL, by default http://127.0.0.1:11434. A key is sent as a bearer token, for
// servers behind a gateway. It does not connect.
func New(llm explain.LLM) (*Chat, error) {
	if llm.BaseURL == "" {
		llm.BaseURL = defaultURL
	}
	if err := llm.Validate(); err != nil {
		return nil, fmt.Errorf("ollama: configuration: %w", err)
	}
	base, err := url.Parse(llm.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("ollama: configuration: base_url: %w", err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true // calls are rare, and a Chat has nothing to close
	return &Chat{
		client:        api.NewClient(base, &http.Client{Transport: bearer{transport, llm.APIKey}}),
		model:         llm.Model,
		address:       base.Redacted(),
		contextTokens: llm.ContextTokens,
	}, nil
}

// Name implements explain.Chat.
func (c *Chat) Name() string { return "ollama " + c.model }

// Complete implements explain.Chat. Sampling is greedy and seeded: the same question has the same answer on the same server.
func (c *Chat) Complete(ctx context.Context, r explain.Request) (explain.Reply, error) {
	stream, whole := false, false
	var out explain.Reply
	var text strings.Builder
	err := c.client.Chat(ctx, &api.ChatRequest{
		Model:    c.model,
		Messages: []api.Message{{Role: "system", Content: r.System}, {Role: "user", Content: r.User}},
		Stream:   &stream,
		Truncate: &whole,
		Format:   r.Schema,
		Options:  map[string]any{"temperature": 0, "seed": 1, "num_predict": r.MaxTokens, "num_ctx": c.contextTokens},
	}, func(part api.ChatResponse) error {
		if text.Len()+len(part.Message.Content) > maxReplyBytes {
			return fmt.Errorf("the reply has more than %d bytes", maxReplyBytes)
		}
		text.WriteString(part.Message.Content)
		out.InputTokens, out.OutputTokens = int64(part.PromptEvalCount), int64(part.EvalCount)
		return nil
	})
	if err != nil {
		return explain.Reply{}, c.fail(err)
	}
	out.Text = text.String()
	return out, nil
}

func (c *Chat) fail(err error) error {
	var status api.StatusError
	if errors.As(err, &status) && (status.StatusCode == http.StatusRequestEntityTooLarge || strings.Contains(status.ErrorMessage, "context length")) {
		return engine.Errorf(engine.CodeTooLarge, "ollama: chat with %s at %s: %w", c.model, c.address, err)
	}
	return fmt.Errorf("ollama: chat with %s at %s: %w", c.model, c.address, err)
}

// bearer sends the key with every request.
type bearer struct {
	next http.RoundTripper
	key  engine.Secret
}

// RoundTrip implements http.RoundTripper.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.key != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+b.key.Reveal())
	}
	return b.next.RoundTrip(r)
}
