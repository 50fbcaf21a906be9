package openai

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	openai "github.com/sashabaranov/go-openai"

	"github.com/llm-sentinel/llm-sentinel/embed"
	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Embedder embeds texts with a served model. It is safe for concurrent use.
type Embedder struct {
	*embed.Remote
	transport *embed.Transport
}

// New asks nothing of the server yet: Connect does.
func New(cfg Config, logger *slog.Logger) (*Embedder, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	transport := embed.NewTransport(cfg.APIKey)
	client := openai.DefaultConfig(cfg.APIKey.Reveal())
	client.BaseURL = strings.TrimSuffix(cfg.BaseURL, "/")
	client.HTTPClient = &http.Client{Transport: transport}
	hints := embed.Hints{
		Missing: fmt.Sprintf("check that it has %s, and that base_url ends with what comes before /embeddings, mostly /v1", cfg.Model),
		Down:    "check base_url",
	}
	p := protocol{openai.NewClientWithConfig(client), cfg}
	return &Embedder{embed.NewRemote("openai", cfg.RemoteConfig, hints, p, logger), transport}, nil
}

// Close drops idle connections; calls that are under way end as they would.
func (e *Embedder) Close() { e.transport.Close() }

// protocol implements embed.Server.
type protocol struct {
	client *openai.Client
	cfg    Config
}

// Version implements embed.Server.
func (p protocol) Version(context.Context) (string, error) { return p.cfg.Version, nil }

// Vectors implements embed.Server. Servers may answer in any order: each vector says which text it is of.
func (p protocol) Vectors(ctx context.Context, texts []string) ([][]float32, error) {
	answer, err := p.client.CreateEmbeddings(ctx, openai.EmbeddingRequestStrings{
		Input: texts, Model: openai.EmbeddingModel(p.cfg.Model), EncodingFormat: openai.EmbeddingEncodingFormatFloat,
	})
	if err != nil {
		return nil, err
	}
	if len(answer.Data) != len(texts) {
		return nil, engine.Errorf(engine.CodeInternal, "%d vectors came back for %d texts", len(answer.Data), len(texts))
	}
	out := make([][]float32, len(texts))
	for _, d := range answer.Data {
		if d.Index < 0 || d.Index >= len(out) || out[d.Index] != nil {
			return nil, engine.Errorf(engine.CodeInternal, "the vectors are not of one text each")
		}
		out[d.Index] = d.Embedding
	}
	return out, nil
}
