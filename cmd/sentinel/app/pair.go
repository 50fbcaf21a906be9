package app

import (
	"context"
	"sync"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/retrieval/attack"
)

// pair is an embedder and a memory, either of which may be down at the start or go away. The embedder is connected when it is first used,
// and the memory taught the known attacks before any text is compared with them. The part that this fails for is the one that fails.
type pair struct {
	engine.Embedder
	engine.Memory
	connect func(context.Context) error // until it has succeeded, Model does not say which collections are ours

	mu       sync.Mutex // held while it is prepared: others wait for that as long as the one who does it
	prepared bool
	lacking  error     // why the memory does not hold the known attacks
	again    time.Time // wall time until which they are not tried again
}

// Bounds of teaching a memory the known attacks: of one call of it, and how long one that failed is left alone.
const (
	teachTimeout = 5 * time.Second
	teachPause   = 15 * time.Second
)

// Embed fails with CodeUnavailable as long as the embedder's server is not there; the engine asks again later.
func (p *pair) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	if err := p.prepare(ctx); err != nil {
		return nil, err
	}
	return p.Embedder.Embed(ctx, texts)
}

// prepare goes on where an earlier call stopped, and does nothing once all is done. Its error is the embedder's.
func (p *pair) prepare(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.prepared {
		return nil
	}
	if err := p.connect(ctx); err != nil {
		return err
	}
	if time.Now().Before(p.again) {
		return nil
	}
	taught := &pupil{Memory: p.Memory}
	_, err := attack.Remember(ctx, taught, p.Embedder)
	if taught.failed != nil {
		p.lacking, p.again = taught.failed, time.Now().Add(teachPause)
		return nil
	}
	if err != nil {
		return err
	}
	p.prepared, p.lacking = true, nil
	return nil
}

// ready is nil once the memory holds the known attacks. An embedder that another pair has asked already need not have been asked by this one.
func (p *pair) ready(ctx context.Context) error {
	if err := p.prepare(ctx); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lacking != nil {
		return engine.Errorf(engine.CodeUnavailable, "the known attacks are not in it yet: %w", p.lacking)
	}
	return nil
}

// Remember implements engine.Memory.
func (p *pair) Remember(ctx context.Context, items []engine.Memo) error {
	if err := p.ready(ctx); err != nil {
		return err
	}
	return p.Memory.Remember(ctx, items)
}

// Nearest implements engine.Memory.
func (p *pair) Nearest(ctx context.Context, q engine.Query) ([]engine.Neighbor, error) {
	if err := p.ready(ctx); err != nil {
		return nil, err
	}
	return p.Memory.Nearest(ctx, q)
}

// pupil is a memory that is being taught; it tells its own failures from those of the embedder.
type pupil struct {
	engine.Memory
	failed error
}

// Remember implements engine.Memory.
func (m *pupil) Remember(ctx context.Context, items []engine.Memo) error {
	ctx, cancel := context.WithTimeout(ctx, teachTimeout)
	defer cancel()
	m.failed = m.Memory.Remember(ctx, items)
	return m.failed
}

// Nearest implements engine.Memory.
func (m *pupil) Nearest(ctx context.Context, q engine.Query) (near []engine.Neighbor, err error) {
	ctx, cancel := context.WithTimeout(ctx, teachTimeout)
	defer cancel()
	near, m.failed = m.Memory.Nearest(ctx, q)
	return near, m.failed
}
