package batch

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Config bounds the calls of the inner embedder.
type Config struct {
	MaxTexts int `yaml:"max_texts"` // of one joint call, 1 to 4096; a caller with more goes alone
	MaxCalls int `yaml:"max_calls"` // under way at once, 1 to 64
}

// DefaultConfig suits a server with few cores.
func DefaultConfig() Config { return Config{MaxTexts: 256, MaxCalls: 2} }

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	switch {
	case c.MaxTexts < 1 || c.MaxTexts > 4096:
		return fmt.Errorf("batch: max_texts is %d, want 1 to 4096", c.MaxTexts)
	case c.MaxCalls < 1 || c.MaxCalls > 64:
		return fmt.Errorf("batch: max_calls is %d, want 1 to 64", c.MaxCalls)
	}
	return nil
}

// Embedder joins concurrent calls. What waits is bounded by the callers, each of which waits for its own.
type Embedder struct {
	inner engine.Embedder
	cfg   Config

	mu      sync.Mutex
	waiting []*call
	running int
	joined  atomic.Uint64
}

// call is one caller's texts.
type call struct {
	ctx     context.Context
	texts   []string
	vectors [][]float32
	err     error
	done    chan struct{} // closed once vectors or err is set
}

// New puts a batcher in front of inner.
func New(inner engine.Embedder, cfg Config) (*Embedder, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Embedder{inner: inner, cfg: cfg}, nil
}

// Model is the inner embedder's.
func (e *Embedder) Model() engine.Model { return e.inner.Model() }

// Joined counts the calls that went together with an earlier one.
func (e *Embedder) Joined() uint64 { return e.joined.Load() }

// Embed implements engine.Embedder. It returns when ctx ends, whatever the others that it was joined with still wait for.
func (e *Embedder) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	if err := ctx.Err(); err != nil || len(texts) == 0 {
		return nil, err
	}
	c := &call{ctx: ctx, texts: texts, done: make(chan struct{})}
	e.mu.Lock()
	e.waiting = append(e.waiting, c)
	if e.running < e.cfg.MaxCalls {
		e.running++
		go e.work()
	}
	e.mu.Unlock()
	select {
	case <-c.done:
		return c.vectors, c.err
	case <-ctx.Done():
		return nil, fmt.Errorf("batch: %s: %w", e.Model().Name, ctx.Err())
	}
}

// work makes joint calls until nobody waits.
func (e *Embedder) work() {
	for {
		e.mu.Lock()
		some := e.take()
		if len(some) == 0 {
			e.running--
			e.mu.Unlock()
			return
		}
		e.mu.Unlock()
		e.joined.Add(uint64(len(some) - 1))
		e.embed(some)
	}
}

// take removes the next calls that go together, those left out whose caller has gone. e.mu is held.
func (e *Embedder) take() (some []*call) {
	texts, next := 0, 0
	for ; next < len(e.waiting); next++ {
		c := e.waiting[next]
		if c.ctx.Err() != nil {
			continue
		}
		if len(some) > 0 && texts+len(c.texts) > e.cfg.MaxTexts {
			break
		}
		some = append(some, c)
		texts += len(c.texts)
	}
	if e.waiting = e.waiting[next:]; len(e.waiting) == 0 {
		e.waiting = nil
	}
	return some
}

// embed answers all of the calls.
func (e *Embedder) embed(some []*call) {
	ctx, release := together(some)
	defer release()
	var texts []string
	for _, c := range some {
		texts = append(texts, c.texts...)
	}
	vectors, err := e.inner.Embed(ctx, texts)
	if err == nil && len(vectors) != len(texts) {
		err = fmt.Errorf("batch: %s: %d vectors for %d texts", e.Model().Name, len(vectors), len(texts))
	}
	if err != nil && len(some) > 1 && engine.ErrorCode(err) != engine.CodeUnavailable && ctx.Err() == nil {
		for _, c := range some {
			e.embed([]*call{c})
		}
		return
	}
	for _, c := range some {
		if c.err = err; err == nil {
			c.vectors, vectors = vectors[:len(c.texts):len(c.texts)], vectors[len(c.texts):]
		}
		close(c.done)
	}
}

// together is a context that ends when those of all callers have.
func together(some []*call) (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(some[0].ctx))
	var left atomic.Int64
	left.Store(int64(len(some)))
	stops := make([]func() bool, len(some))
	for i, c := range some {
		stops[i] = context.AfterFunc(c.ctx, func() {
			if left.Add(-1) == 0 {
				cancel()
			}
		})
	}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		cancel()
	}
}
