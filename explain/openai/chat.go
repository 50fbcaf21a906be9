package openai

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strings"

	openai "github.com/sashabaranov/go-openai"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/explain"
)

const (
	defaultURL       = "https://api.openai.com/v1"
	officialHost     = "api.openai.com"
	maxResponseBytes = 1 << 20
)

// Chat is one model at one address.
type Chat struct {
	client   *openai.Client
	model    string
	address  string
	key      engine.Secret
	official bool // OpenAI itself, whose newer models refuse some fields that other servers need
}

var _ explain.Chat = (*Chat)(nil)

// New makes a Chat for llm.Model at llm.BaseURL, by default https://api.openai.com/v1. It does not connect.
func New(llm explain.LLM) (*Chat, error) {
	if llm.BaseURL == "" {
		llm.BaseURL = defaultURL
	}
	if err := llm.Validate(); err != nil {
		return nil, fmt.Errorf("openai: configuration: %w", err)
	}
	base, err := url.Parse(llm.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("openai: configuration: base_url: %w", err)
	}
	cfg := openai.DefaultConfig(llm.APIKey.Reveal())
	cfg.BaseURL = strings.TrimSuffix(llm.BaseURL, "/")
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true // calls are rare, and a Chat has nothing to close
	cfg.HTTPClient = &http.Client{Transport: bounded{transport}}
	return &Chat{
		client:   openai.NewClientWithConfig(cfg),
		model:    llm.Model,
		address:  base.Redacted(),
		key:      llm.APIKey,
		official: base.Hostname() == officialHost,
	}, nil
}

// Name implements explain.Chat.
func (c *Chat) Name() string { return "openai " + c.model }

// Complete implements explain.Chat. Where the server allows it, sampling is greedy and seeded.
func (c *Chat) Complete(ctx context.Context, r explain.Request) (explain.Reply, error) {
	seed := 1
	question := openai.ChatCompletionRequest{
		Model: c.model,
		Messages: []openai.ChatCompletionMessage{
			{Role: openai.ChatMessageRoleSystem, Content: r.System},
			{Role: openai.ChatMessageRoleUser, Content: r.User},
		},
		ResponseFormat: &openai.ChatCompletionResponseFormat{
			Type:       openai.ChatCompletionResponseFormatTypeJSONSchema,
			JSONSchema: &openai.ChatCompletionResponseFormatJSONSchema{Name: "incident_note", Schema: r.Schema},
		},
		Seed: &seed,
	}
	if c.official {
		question.MaxCompletionTokens = r.MaxTokens
	} else {
		question.MaxTokens = r.MaxTokens                   //nolint:staticcheck // other servers know only the older name
		question.Temperature = math.SmallestNonzeroFloat32 // 0 would be left out, and mean the server's default
	}
	answer, err := c.client.CreateChatCompletion(ctx, question)
	if err != nil {
		return explain.Reply{}, c.fail(err)
	}
	if len(answer.Choices) == 0 {
		return explain.Reply{}, c.fail(errors.New("the reply has no choices"))
	}
	return explain.Reply{
		Text:         answer.Choices[0].Message.Content,
		InputTokens:  int64(answer.Usage.PromptTokens),
		OutputTokens: int64(answer.Usage.CompletionTokens),
	}, nil
}

// fail names the model and the address. Servers may repeat the key that they refuse: it is taken out.
func (c *Chat) fail(err error) error {
	if key := c.key.Reveal(); key != "" && strings.Contains(err.Error(), key) {
		err = errors.New(strings.ReplaceAll(err.Error(), key, c.key.String()))
	}
	var refused *openai.APIError
	if errors.As(err, &refused) && (refused.HTTPStatusCode == http.StatusRequestEntityTooLarge || refused.Code == "context_length_exceeded") {
		return engine.Errorf(engine.CodeTooLarge, "openai: chat with %s at %s: %w", c.model, c.address, err)
	}
	return fmt.Errorf("openai: chat with %s at %s: %w", c.model, c.address, err)
}

// bounded cuts responses that are larger than any reply.
type bounded struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	response.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(response.Body, maxResponseBytes), response.Body}
	return response, nil
}
