package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/llm-sentinel/llm-sentinel/embed/batch"
	"github.com/llm-sentinel/llm-sentinel/embed/breaker"
	"github.com/llm-sentinel/llm-sentinel/embed/cache"
	"github.com/llm-sentinel/llm-sentinel/embed/langchain"
	"github.com/llm-sentinel/llm-sentinel/embed/ollama"
	"github.com/llm-sentinel/llm-sentinel/embed/openai"
	"github.com/llm-sentinel/llm-sentinel/engine"
)

// EmbedConfig chooses the embedder. The built-in one always learns too and stands in for the other.
type EmbedConfig struct {
	Provider  string           `yaml:"provider"` // builtin, ollama, openai or langchain
	Cache     cache.Config     `yaml:"cache"`
	Batch     batch.Config     `yaml:"batch"`
	Breaker   breaker.Config   `yaml:"breaker"`
	Ollama    ollama.Config    `yaml:"ollama"`
	OpenAI    openai.Config    `yaml:"openai"`
	LangChain langchain.Config `yaml:"langchain"`
}

// The embedders.
const (
	EmbedBuiltin   = "builtin"
	EmbedOllama    = "ollama"
	EmbedOpenAI    = "openai"
	EmbedLangChain = "langchain"
)

// Validate checks the embedder that is chosen, and what stands before any of a server.
func (c EmbedConfig) Validate() error {
	if err := errors.Join(c.Cache.Validate(), c.Batch.Validate(), c.Breaker.Validate()); err != nil {
		return err
	}
	switch c.Provider {
	case EmbedBuiltin:
		return nil
	case EmbedOllama:
		return c.Ollama.Validate()
	case EmbedOpenAI:
		return c.OpenAI.Validate()
	case EmbedLangChain:
		return c.LangChain.Validate()
	}
	return fmt.Errorf("embed.provider is %q, want %s, %s, %s or %s", c.Provider, EmbedBuiltin, EmbedOllama, EmbedOpenAI, EmbedLangChain)
}

// remote is the embedder behind a server, as callers use it. Pipelines can share one.
type remote struct {
	*cache.Embedder // in front of all the rest
	joined          *batch.Embedder
	connect         func(context.Context) error
	close           func() error
}

// client is an embedder of a server, as the packages of embed make it.
type client interface {
	engine.Embedder
	Connect(ctx context.Context) error
	Close()
}

// newRemote makes the embedder that the configuration chooses, nil when that is the built-in one.
func newRemote(cfg EmbedConfig, log *slog.Logger) (*remote, error) {
	server, err := newClient(cfg, log)
	if server == nil || err != nil {
		return nil, err
	}
	broken, err := breaker.New(server, cfg.Breaker, log)
	if err != nil {
		return nil, err
	}
	joined, err := batch.New(broken, cfg.Batch)
	if err != nil {
		return nil, err
	}
	cached, err := cache.New(joined, cfg.Cache)
	if err != nil {
		return nil, err
	}
	return &remote{cached, joined, server.Connect, func() error { server.Close(); return nil }}, nil
}

func newClient(cfg EmbedConfig, log *slog.Logger) (client, error) {
	switch cfg.Provider {
	case EmbedOllama:
		return ollama.New(cfg.Ollama, log)
	case EmbedOpenAI:
		return openai.New(cfg.OpenAI, log)
	case EmbedLangChain:
		return langchain.New(cfg.LangChain, log)
	}
	return nil, nil
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
