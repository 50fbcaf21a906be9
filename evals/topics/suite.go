package topics

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
)

// Pipeline is the pipeline that serves, offline.
type Pipeline interface {
	// Play works off batches in order and returns when all is judged and stored.
	Play(ctx context.Context, batches iter.Seq2[engine.Batch, error]) error
	// Anomalies are all that it stored.
	Anomalies(ctx context.Context) ([]engine.Anomaly, error)
	Close() error
}

// Parts are what the suite measures.
type Parts struct {
	// Open makes a pipeline that has learnt nothing. nil: there is none, and the trivial baselines alone are shown.
	Open func(ctx context.Context) (Pipeline, error)
	// Pairs is how many streams of each change a source has, each with its calm twin; 0 is the default.
	Pairs int
}

// defaultPairs is the number of pairs that a minute or so suffices for.
const defaultPairs = 5

// Suite is the suite.
type Suite struct{ parts Parts }

// New returns the suite.
func New(parts Parts) *Suite {
	if parts.Pairs <= 0 {
		parts.Pairs = defaultPairs
	}
	return &Suite{parts}
}

// Name implements evals.Suite.
func (*Suite) Name() string { return "topics" }

// Fit implements evals.Suite: nothing is learnt from labelled data.
func (*Suite) Fit(context.Context, evals.Env) (json.RawMessage, error) { return nil, nil }

// Run implements evals.Suite. Frozen or not is the same.
func (s *Suite) Run(ctx context.Context, env evals.Env, _ json.RawMessage) (evals.Result, error) {
	r := report{env: env, built: s.parts.Open != nil, missing: make(map[string]string), systems: make(map[string][]outcome)}
	var all []stream
	for _, source := range sources {
		from, err := load(env, source)
		if errors.Is(err, evals.ErrUnavailable) {
			r.missing[source] = err.Error()
			continue
		}
		if err != nil {
			return evals.Result{}, err
		}
		for _, what := range changes {
			for n := range s.parts.Pairs {
				changed, control := twins(source, from, what, n, env.Seed)
				all = append(all, changed, control)
			}
		}
	}
	said, err := s.listen(ctx, env, all)
	if err != nil {
		return evals.Result{}, err
	}
	for i := range all {
		r.add(&all[i], said[i])
	}
	return r.result(), nil
}

// listen plays streams, as many at once as there are processors, and returns what was said of each.
func (s *Suite) listen(ctx context.Context, env evals.Env, all []stream) ([][]alarm, error) {
	said := make([][]alarm, len(all))
	if s.parts.Open == nil {
		return said, nil
	}
	var mu sync.Mutex
	done := 0
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(runtime.GOMAXPROCS(0))
	for i := range all {
		work.Go(func() (err error) {
			one := &all[i]
			if said[i], err = s.play(ctx, env, one); err != nil {
				return fmt.Errorf("%s, %s: %w", one.pair, one.change, err)
			}
			mu.Lock()
			defer mu.Unlock()
			done++
			env.Progress(done, len(all), one.source)
			return nil
		})
	}
	return said, work.Wait()
}

// play lets a fresh pipeline live through the stream and returns what it stored.
func (s *Suite) play(ctx context.Context, env evals.Env, one *stream) ([]alarm, error) {
	key := fmt.Sprintf("%s, %s, %s, seed %d", one.pair, one.change, one.digest(), env.Seed)
	return evals.Resume(env.Steps, key, func() (said []alarm, err error) {
		err = evals.With(ctx, s.parts.Open, func(p Pipeline) error {
			if err := p.Play(ctx, one.batches()); err != nil {
				return err
			}
			all, err := p.Anomalies(ctx)
			said = alarms(all)
			return err
		})
		return said, err
	})
}
