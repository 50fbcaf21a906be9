package langchain

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/tmc/langchaingo/embeddings"
	embedhuggingface "github.com/tmc/langchaingo/embeddings/huggingface"
	"github.com/tmc/langchaingo/embeddings/jina"
	"github.com/tmc/langchaingo/embeddings/voyageai"
	"github.com/tmc/langchaingo/llms/huggingface"

	"github.com/llm-sentinel/llm-sentinel/embed"
)

// Embedder embeds texts with a provider's model. It is safe for concurrent use.
type Embedder struct {
	*embed.Remote
	transport *embed.Transport
}

// New asks nothing of the provider yet: Connect does.
func New(cfg Config, logger *slog.Logger) (*Embedder, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	transport := embed.NewTransport(cfg.APIKey)
	client, err := newClient(cfg, transport)
	if err != nil {
		return nil, fmt.Errorf("langchain: %s: %w", cfg.Provider, err)
	}
	hints := embed.Hints{
		Missing: fmt.Sprintf("check that %s has %s, and base_url", cfg.Provider, cfg.Model),
		Down:    "check base_url",
	}
	return &Embedder{embed.NewRemote("langchain", cfg.RemoteConfig, hints, provider{client, cfg.Version}, logger), transport}, nil
}

// Close drops idle connections; calls that are under way end as they would.
func (e *Embedder) Close() { e.transport.Close() }

func newClient(cfg Config, transport http.RoundTripper) (embeddings.Embedder, error) {
	base := strings.TrimSuffix(cfg.BaseURL, "/")
	key := cfg.APIKey.Reveal()
	switch cfg.Provider {
	case ProviderJina:
		return jina.NewJina(jina.WithAPIKey(key), jina.WithModel(cfg.Model), jina.WithAPIBaseURL(base+"/embeddings"), jina.WithBatchSize(cfg.BatchSize),
			jina.WithStripNewLines(false), jina.WithClient(&http.Client{Transport: transport}))
	case ProviderHuggingFace:
		client, err := huggingface.New(huggingface.WithToken(key), huggingface.WithModel(cfg.Model), huggingface.WithURL(base),
			huggingface.WithHTTPClient(&http.Client{Transport: transport}))
		if err != nil {
			return nil, err
		}
		return embedhuggingface.NewHuggingface(embedhuggingface.WithClient(*client), embedhuggingface.WithModel(cfg.Model),
			embedhuggingface.WithBatchSize(cfg.BatchSize), embedhuggingface.WithStripNewLines(false))
	}
	to, err := url.Parse(base + "/embeddings")
	if err != nil {
		return nil, fmt.Errorf("base_url: %w", err)
	}
	return voyageai.NewVoyageAI(voyageai.WithToken(key), voyageai.WithModel(cfg.Model), voyageai.WithBatchSize(cfg.BatchSize),
		voyageai.WithStripNewLines(false), voyageai.WithClient(http.Client{Transport: redirected{transport, to}}))
}

// redirected sends requests to another address than the one that Voyage AI's client has built in.
type redirected struct {
	inner http.RoundTripper
	to    *url.URL
}

// RoundTrip implements http.RoundTripper.
func (r redirected) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.URL = r.to
	request.Host = r.to.Host
	return r.inner.RoundTrip(request)
}

// provider implements embed.Server.
type provider struct {
	client  embeddings.Embedder
	version string
}

// Version implements embed.Server.
func (p provider) Version(context.Context) (string, error) { return p.version, nil }

// Vectors implements embed.Server.
func (p provider) Vectors(ctx context.Context, texts []string) ([][]float32, error) {
	return p.client.EmbedDocuments(ctx, texts)
}
