package app

import (
	"context"
	"sync"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/retrieval/attack"
)

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
