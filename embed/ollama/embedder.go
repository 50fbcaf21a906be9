package ollama

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"

	"github.com/ollama/ollama/api"

	"github.com/llm-sentinel/llm-sentinel/embed"
	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Embedder embeds texts with a served model. It is safe for concurrent use. The version of its model is the start of the digest that
// `ollama list` shows.
type Embedder struct {
	*embed.Remote
	transport *embed.Transport
}

// New asks nothing of the server yet: Connect does.
func New(cfg Config, logger *slog.Logger) (*Embedder, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	base, err := url.Parse(cfg.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("ollama: base_url: %w", err)
	}
	transport := embed.NewTransport("")
	hints := embed.Hints{
		Missing: fmt.Sprintf("run `ollama pull %s` there", cfg.Model),
		Down:    "check that `ollama serve` runs there and base_url is right",
	}
	s := &protocol{client: api.NewClient(base, &http.Client{Transport: transport}), model: cfg.Model, missing: hints.Missing}
	return &Embedder{embed.NewRemote("ollama", embed.RemoteConfig(cfg), hints, s, logger), transport}, nil
}

// Close drops idle connections; calls that are under way end as they would.
func (e *Embedder) Close() { e.transport.Close() }

// protocol implements embed.Server.
type protocol struct {
	client  *api.Client
	model   string
	missing string       // what to do when there is no such model
	window  atomic.Int64 // tokens of a text that the server is to read; 0 leaves it to the server
}

// Vectors implements embed.Server.
func (s *protocol) Vectors(ctx context.Context, texts []string) ([][]float32, error) {
	request := &api.EmbedRequest{Model: s.model, Input: texts}
	if window := s.window.Load(); window > 0 {
		request.Options = map[string]any{"num_ctx": window}
	}
	answer, err := s.client.Embed(ctx, request)
	if err != nil {
		return nil, err
	}
	return answer.Embeddings, nil
}

// Version implements embed.Server, and finds out how much of a text the model can read.
func (s *protocol) Version(ctx context.Context) (string, error) {
	list, err := s.client.List(ctx)
	if err != nil {
		return "", err
	}
	for _, model := range list.Models {
		if model.Name == s.model || model.Name == s.model+":latest" {
			window, err := s.contextLength(ctx)
			s.window.Store(int64(window))
			return model.Digest[:min(len(model.Digest), 12)], err
		}
	}
	return "", engine.Errorf(engine.CodeInvalid, "no such model: %s", s.missing)
}

// The bounds of the context that is asked for, in tokens. A server cuts a text at its context and then adds special tokens; where the
// context is all that the model has, such as the 512 of BERT, that is more than the model can read, and the server's runner aborts
// (Ollama 0.6.5). Chunks are shorter than mostTokens.
const (
	specialTokens = 16
	mostTokens    = 2048
)

// contextLength is how many tokens of a text the server is to read, 0 when it does not say what the model can.
func (s *protocol) contextLength(ctx context.Context) (int, error) {
	shown, err := s.client.Show(ctx, &api.ShowRequest{Model: s.model})
	if err != nil {
		return 0, err
	}
	architecture, _ := shown.ModelInfo["general.architecture"].(string)
	length, _ := shown.ModelInfo[architecture+".context_length"].(float64)
	if length <= 2*specialTokens {
		return 0, nil
	}
	return min(int(length)-specialTokens, mostTokens), nil
}
