package langchain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/llms/anthropic"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/explain"
)

const (
	defaultURL       = "https://api.anthropic.com/v1"
	maxResponseBytes = 1 << 20
)

// Chat is one model at one address.
type Chat struct {
	model   llms.Model
	name    string
	address string
	key     engine.Secret
}

var _ explain.Chat = (*Chat)(nil)

// New makes a Chat for llm.Model at llm.BaseURL, by default https://api.anthropic.com/v1. It does not connect.
func New(llm explain.LLM) (*Chat, error) {
	if llm.BaseURL == "" {
		llm.BaseURL = defaultURL
	}
	if err := llm.Validate(); err != nil {
		return nil, fmt.Errorf("anthropic: configuration: %w", err)
	}
	if llm.APIKey == "" {
		return nil, errors.New("anthropic: configuration: api_key is empty")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true // calls are rare, and a Chat has nothing to close
	model, err := anthropic.New(anthropic.WithToken(llm.APIKey.Reveal()), anthropic.WithModel(llm.Model), anthropic.WithBaseURL(llm.BaseURL),
		anthropic.WithHTTPClient(&http.Client{Transport: checked{transport}}))
	if err != nil {
		return nil, fmt.Errorf("anthropic: configuration: %w", err)
	}
	return &Chat{model, llm.Model, llm.BaseURL, llm.APIKey}, nil
}

// Name implements explain.Chat.
func (c *Chat) Name() string { return "anthropic " + c.name }

// Complete implements explain.Chat.
func (c *Chat) Complete(ctx context.Context, r explain.Request) (explain.Reply, error) {
	system := r.System + "\n\nAnswer with one JSON object that follows this JSON Schema, and with nothing else:\n" + string(r.Schema)
	answer, err := c.model.GenerateContent(ctx, []llms.MessageContent{
		llms.TextParts(llms.ChatMessageTypeSystem, system),
		llms.TextParts(llms.ChatMessageTypeHuman, r.User),
	}, llms.WithModel(c.name), llms.WithMaxTokens(r.MaxTokens), llms.WithTemperature(0))
	if err != nil {
		return explain.Reply{}, c.fail(err)
	}
	var out explain.Reply
	for _, part := range answer.Choices {
		out.Text += part.Content
		// Each part repeats what the whole answer took.
		out.InputTokens, out.OutputTokens = tokens(part, "InputTokens"), tokens(part, "OutputTokens")
	}
	return out, nil
}

func tokens(c *llms.ContentChoice, kind string) int64 {
	n, _ := c.GenerationInfo[kind].(int)
	return int64(n)
}

// fail names the model and the address. Servers may repeat the key that they refuse: it is taken out.
func (c *Chat) fail(err error) error {
	if strings.Contains(err.Error(), c.key.Reveal()) {
		err = errors.New(strings.ReplaceAll(err.Error(), c.key.Reveal(), c.key.String()))
	}
	var refused refusal
	if errors.As(err, &refused) && (refused.status == http.StatusRequestEntityTooLarge || strings.Contains(refused.message, "prompt is too long")) {
		return engine.Errorf(engine.CodeTooLarge, "anthropic: chat with %s at %s: %w", c.name, c.address, err)
	}
	return fmt.Errorf("anthropic: chat with %s at %s: %w", c.name, c.address, err)
}

// refusal is an answer that is an error.
type refusal struct {
	status  int
	message string
}

// Error implements error.
func (r refusal) Error() string {
	return fmt.Sprintf("%d %s: %s", r.status, http.StatusText(r.status), r.message)
}

// checked tells refusals with their status, which the client library does not, and cuts responses that are larger than any reply.
type checked struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (c checked) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := c.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= http.StatusBadRequest {
		defer func() { _ = response.Body.Close() }() // it was only read
		const enough = 512
		message, _ := io.ReadAll(io.LimitReader(response.Body, enough))
		return nil, refusal{response.StatusCode, strings.TrimSpace(string(message))}
	}
	response.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(response.Body, maxResponseBytes), response.Body}
	return response, nil
}
