package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/llm-sentinel/llm-sentinel/embed/cache"
	"github.com/llm-sentinel/llm-sentinel/embed/ollama"
	"github.com/llm-sentinel/llm-sentinel/engine"
)

// remote is the embedder behind a server, with the cache in front of it. Pipelines can share one.
type remote struct {
	cached  *cache.Embedder
	connect func(context.Context) error
	close   func() error
}

// newRemote makes the embedder that the configuration chooses, nil when that is the built-in one.
func newRemote(cfg EmbedConfig, log *slog.Logger) (*remote, error) {
	if cfg.Provider != EmbedOllama {
		return nil, nil
	}
	client, err := ollama.New(cfg.Ollama, log)
	if err != nil {
		return nil, err
	}
	cached, err := cache.New(client, cfg.Cache)
	if err != nil {
		return nil, err
	}
	return &remote{cached, client.Connect, func() error { client.Close(); return nil }}, nil
}

// CheckEmbedder says why the embedder that the configuration chooses cannot be used now.
func CheckEmbedder(ctx context.Context, cfg Config, log *slog.Logger) error {
	r, err := newRemote(cfg.Embed, log)
	if err != nil || r == nil {
		return err
	}
	return errors.Join(r.connect(ctx), r.close())
}

// patient is an embedder for offline use, where nothing may stand in for what is measured and nobody waits: it gives the server all the
// time it takes, and remembers that it failed.
type patient struct {
	engine.Embedder
	mu     sync.Mutex
	failed error
}

// Embed implements engine.Embedder. The deadline of ctx does not count, its end does.
func (p *patient) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.Canceled) {
			cancel()
		}
	})()
	vectors, err := p.Embedder.Embed(own, texts)
	if err != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.failed = fmt.Errorf("embedder %s: %w", p.Model().Name, err)
	}
	return vectors, err
}

// err is why some text was not embedded.
func (p *patient) err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}
