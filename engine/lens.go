package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Lens is an embedder with the memory that holds its vectors.
type Lens struct {
	Embedder Embedder
	Memory   Memory
	Place    string // what the memory is called, such as qdrant; lenses of one model differ in it
}

// lens is a Lens whose parts are left alone for a while when they fail.
type lens struct {
	Lens
	embedder, memory *part
}

func newLens(l Lens, health *condition, log *slog.Logger) *lens {
	out := &lens{
		Lens:     l,
		embedder: &part{name: "embedder " + l.Embedder.Model().Name, health: health, log: log},
		memory:   &part{name: "memory " + l.Place, health: health, log: log},
	}
	out.Memory = guarded{l.Memory, out.memory}
	return out
}

// lensTimeout bounds one call of an embedder, and what all detectors together ask of one memory about a trace; memoryTimeout bounds one
// call of a memory. lensPause is how long a part that failed is left alone. Wall time.
const (
	lensTimeout   = 15 * time.Second
	memoryTimeout = 5 * time.Second
	lensPause     = 15 * time.Second
)

// part is an embedder or a memory that may fail. Whoever wants it while it is left alone is told so at once and takes the next lens.
type part struct {
	name   string // in the health report
	health *condition
	log    *slog.Logger

	mu    sync.Mutex
	until time.Time // left alone, by the wall clock
}

// call runs do within the limit, unless the part is being left alone.
func (x *part) call(ctx context.Context, limit time.Duration, do func(ctx context.Context) error) error {
	x.mu.Lock()
	paused := time.Now().Before(x.until)
	x.mu.Unlock()
	if paused {
		return Errorf(CodeUnavailable, "engine: %s failed lately and is left alone", x.name)
	}
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := do(bounded)
	switch {
	case err == nil:
		x.health.worked(x.name)
	case errors.Is(ctx.Err(), context.Canceled):
		return err // whoever asked went away: that says nothing of the part
	default:
		x.mu.Lock()
		x.until = time.Now().Add(lensPause)
		x.mu.Unlock()
		x.health.failed(x.name, err.Error())
		x.log.Warn("part of a lens failed", "part", x.name, "error", err)
	}
	return err
}

// guarded is a memory whose failures are seen.
type guarded struct {
	memory Memory
	part   *part
}

// Remember implements Memory.
func (g guarded) Remember(ctx context.Context, items []Memo) error {
	return g.part.call(ctx, memoryTimeout, func(ctx context.Context) error { return g.memory.Remember(ctx, items) })
}

// Nearest implements Memory.
func (g guarded) Nearest(ctx context.Context, q Query) (near []Neighbor, err error) {
	err = g.part.call(ctx, memoryTimeout, func(ctx context.Context) error {
		near, err = g.memory.Nearest(ctx, q)
		return err
	})
	return near, err
}

// Forget implements Memory.
func (g guarded) Forget(ctx context.Context, f Filter) (n int, err error) {
	err = g.part.call(ctx, memoryTimeout, func(ctx context.Context) error {
		n, err = g.memory.Forget(ctx, f)
		return err
	})
	return n, err
}

// embed asks the embedder, within its limits.
func (l *lens) embed(ctx context.Context, texts []string) (vectors [][]float32, err error) {
	err = l.embedder.call(ctx, lensTimeout, func(ctx context.Context) error {
		vectors, err = l.Embedder.Embed(ctx, texts)
		if err == nil && len(vectors) != len(texts) {
			err = fmt.Errorf("engine: embedder %s gave %d vectors for %d texts", l.Embedder.Model().Name, len(vectors), len(texts))
		}
		return err
	})
	return vectors, err
}

// look sees a redacted trace through each lens that can embed its texts, the preferred first. Texts are embedded once a model.
func (p *Pipeline) look(ctx context.Context, t *Trace, found map[string][]Sensitive) iter.Seq[Observation] {
	return func(yield func(Observation) bool) {
		pieces := texts(t, found, p.cfg.EmbedKinds, p.cfg.ChunkWords, p.cfg.MaxChunks)
		if len(pieces) == 0 {
			return
		}
		strings := make([]string, len(pieces))
		for i := range pieces {
			strings[i] = pieces[i].Text
		}
		embedded := make(map[Model][][]float32, len(p.lenses))
		for _, l := range p.lenses {
			vectors, done := embedded[l.Embedder.Model()]
			if !done {
				var err error
				if vectors, err = l.embed(ctx, strings); err != nil {
					continue
				}
				embedded[l.Embedder.Model()] = vectors
			}
			o := Observation{Trace: t, Texts: slices.Clone(pieces), Memory: l.Memory, Place: l.Place, Model: l.Embedder.Model()}
			for k := range o.Texts {
				o.Texts[k].Vector = vectors[k]
			}
			if !yield(o) {
				return
			}
		}
		if len(embedded) == 0 && len(p.lenses) > 0 {
			p.drop(dropUnembedded, 1)
		}
	}
}

// compare asks the semantic detectors about the first of the observations whose memory answers. The error is of the last one that was
// asked, with what its other detectors found; there is none without an observation.
func (p *Pipeline) compare(ctx context.Context, observations iter.Seq[Observation]) (findings []Finding, err error) {
	for o := range observations {
		bounded, cancel := context.WithTimeout(ctx, lensTimeout)
		findings, err = p.ask(bounded, p.parts.Semantic, o)
		cancel()
		if err == nil {
			p.m.compared.WithLabelValues(o.Pair()).Inc()
			return findings, nil
		}
		if ctx.Err() != nil {
			return findings, err
		}
		p.log.Warn("semantic detector failed", "pair", o.Pair(), "error", err)
	}
	if err != nil {
		p.drop(dropUncompared, 1)
	}
	return findings, err
}
