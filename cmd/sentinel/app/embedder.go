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
	"github.com/llm-sentinel/llm-sentinel/retrieval/attack"
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

// served is an embedder behind a server that may be down at start, or go away. It connects when it is first used, and teaches the
// memory the known attacks before any text is compared with them.
type served struct {
	engine.Embedder
	connect func(context.Context) error // until it has succeeded, Model does not say which collections are ours
	memory  engine.Memory

	mu       sync.Mutex // held while it is prepared: others wait for that as long as the one who does it
	prepared bool
}

// Embed fails with CodeUnavailable as long as the server is not there; the engine asks again later.
func (s *served) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	return s.Embedder.Embed(ctx, texts)
}

// prepare goes on where an earlier call stopped, and does nothing once all is done.
func (s *served) prepare(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.prepared {
		return nil
	}
	if err := s.connect(ctx); err != nil {
		return err
	}
	if _, err := attack.Remember(ctx, s.memory, s.Embedder); err != nil {
		return err
	}
	s.prepared = true
	return nil
}
