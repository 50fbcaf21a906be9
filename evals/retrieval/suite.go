package retrieval

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
)

// Memory is what is measured.
type Memory interface {
	engine.Memory
	Close() error
}

// Settler is a Memory that goes on arranging what it took in, such as making an index. Settle returns once that is done; what is measured is
// the time after it.
type Settler interface {
	Settle(ctx context.Context) error
}

// Backend opens a vector memory that holds at least 100,000 vectors a collection. Open is nil for one that is not there; an error of it
// that wraps evals.ErrUnavailable says why the backend cannot be measured here.
type Backend struct {
	Name string
	Open func(ctx context.Context) (Memory, error)
}

// Parts are what is measured.
type Parts struct {
	Embedder engine.Embedder
	Backends []Backend
}

// known are the backends that a report always speaks of.
var known = [...]string{"embedded", "pgvector", "qdrant"}

// Suite measures vector memories.
type Suite struct {
	parts Parts
	sizes sizes
}

// sizes are how much is measured.
type sizes struct {
	queries    int // over the vectors of real texts
	small      int // vectors, some of the real ones
	large      int // vectors, most of them perturbed copies of real ones
	fewQueries int // over the others
}

// New makes the suite. Without an embedder it is unavailable.
func New(parts Parts) *Suite {
	return &Suite{parts: parts, sizes: sizes{queries: 1000, small: 10_000, large: 100_000, fewQueries: 200}}
}

// Name is retrieval.
func (*Suite) Name() string { return "retrieval" }

// Fit learns nothing.
func (*Suite) Fit(context.Context, evals.Env) (json.RawMessage, error) { return nil, nil }

// Run measures every backend over the vectors of the data folder's texts, and again over some of them and over many more. The metrics are those of
// the real texts.
func (s *Suite) Run(ctx context.Context, env evals.Env, _ json.RawMessage) (evals.Result, error) {
	r := evals.NewResult(s.Name())
	if s.parts.Embedder == nil {
		return r, evals.Unavailable("there is no embedder")
	}
	backends := s.backends()
	natural, err := s.corpus(ctx, env)
	if err != nil {
		return r, err
	}
	corpora := []corpus{natural}
	if len(natural.base) > s.sizes.small {
		corpora = append(corpora, natural.reduce(s.sizes))
	}
	if len(natural.base) < s.sizes.large {
		corpora = append(corpora, natural.enlarge(s.sizes, env.Seed))
	}
	steps, step := len(corpora)*(len(backends)+1), 0
	progress := func(format string, args ...any) {
		env.Progress(step, steps, fmt.Sprintf(format, args...))
		step++
	}
	var all []outcome
	for _, c := range corpora {
		progress("exact scan of %d vectors", len(c.base))
		truth, exact, err := scanAll(ctx, env, c)
		if err != nil {
			return r, err
		}
		all = append(all, exact)
		for _, b := range backends {
			progress("%s with %d vectors", b.Name, len(c.base))
			o, err := measureBackend(ctx, env, b, c, truth)
			if errors.Is(err, evals.ErrUnavailable) {
				for _, metric := range []string{"recall_at_10", "p50_ms", "p99_ms", "vectors_per_second"} {
					r.Unavailable[b.Name+"."+metric] = err.Error()
				}
				continue
			}
			if err != nil {
				return r, fmt.Errorf("retrieval: %s: %w", b.Name, err)
			}
			all = append(all, o)
		}
	}
	present(&r, env.Seed, natural.groups, all)
	model := s.parts.Embedder.Model()
	r.Notes = append(r.Notes, fmt.Sprintf("%d texts of the data folder, embedded by %s %s with %d dimensions; %d held-out texts are the queries.",
		len(natural.base), model.Name, model.Version, model.Dimension, len(natural.queries)))
	if !corpora[len(corpora)-1].real {
		r.Notes = append(r.Notes, fmt.Sprintf("The larger collection adds perturbed copies of real vectors (noise of %g of their length); only times are taken of it.", noise))
	}
	env.Progress(steps, steps, "done")
	return r, nil
}

// backends are those handed in and the known ones that were not, in order of their names.
func (s *Suite) backends() []Backend {
	out := slices.Clone(s.parts.Backends)
	for _, name := range known {
		if !slices.ContainsFunc(out, func(b Backend) bool { return b.Name == name }) {
			out = append(out, Backend{Name: name})
		}
	}
	slices.SortFunc(out, func(a, b Backend) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
