package traces

import (
	"context"
	"encoding/json"
	"iter"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
)

// Pipeline is the pipeline that serves, offline.
type Pipeline interface {
	// Play works off batches in order and returns when all is judged and stored.
	Play(ctx context.Context, batches iter.Seq2[engine.Batch, error]) error
	// Incidents and Anomalies are all that it stored.
	Incidents(ctx context.Context) ([]engine.Incident, error)
	Anomalies(ctx context.Context) ([]engine.Anomaly, error)
	Close() error
}

// Parts are what the suite measures.
type Parts struct {
	// Open makes a pipeline that has learnt nothing, configured for minutes of history where a service has weeks: docs/evals/traces.md
	// lists the settings. nil: there is none, and the trivial baselines alone are shown.
	Open func(ctx context.Context) (Pipeline, error)
}

// Suite is the suite.
type Suite struct{ parts Parts }

// New returns the suite.
func New(parts Parts) *Suite { return &Suite{parts} }

// Name implements evals.Suite.
func (*Suite) Name() string { return "traces" }

// Fit implements evals.Suite: nothing is learnt from labelled data.
func (*Suite) Fit(context.Context, evals.Env) (json.RawMessage, error) { return nil, nil }

// Run implements evals.Suite. Frozen or not is the same.
func (s *Suite) Run(ctx context.Context, env evals.Env, _ json.RawMessage) (evals.Result, error) {
	days, err := load(env)
	if err != nil {
		return evals.Result{}, err
	}
	r := report{env: env, days: days}
	for i, d := range days {
		env.Progress(i, len(days), d.name)
		t := newTimeline(d)
		r.always.add(t, always(t))
		r.sigma.add(t, sigma(d, t))
		if s.parts.Open == nil {
			continue
		}
		anomalies, incidents, err := s.play(ctx, d)
		if err != nil {
			return evals.Result{}, err
		}
		r.engine.add(t, anomalies)
		r.incidents.add(t, incidents)
	}
	env.Progress(len(days), len(days), "done")
	return r.result(s.parts.Open != nil), nil
}

// play lets a fresh pipeline live through the day and returns what it stored, as alarms.
func (s *Suite) play(ctx context.Context, d day) (anomalies, incidents []alarm, err error) {
	err = evals.With(ctx, s.parts.Open, func(p Pipeline) error {
		if err := p.Play(ctx, d.batches()); err != nil {
			return err
		}
		all, err := p.Anomalies(ctx)
		if err != nil {
			return err
		}
		for i := range all {
			anomalies = append(anomalies, alarmOf(&all[i]))
		}
		raised, err := p.Incidents(ctx)
		for i := range raised {
			in := &raised[i]
			incidents = append(incidents, alarm{from: in.Onset, at: in.LastSeen, score: in.Score})
		}
		return err
	})
	return anomalies, incidents, err
}

// batchSpans is how many spans are handed over at once, about a second of traffic.
const batchSpans = 50

// batches are the history and then the stream.
func (d day) batches() iter.Seq2[engine.Batch, error] {
	return func(yield func(engine.Batch, error) bool) {
		for _, spans := range [][]engine.Span{d.history, d.stream} {
			for start := 0; start < len(spans); start += batchSpans {
				// The pipeline may change what it is given.
				part := append([]engine.Span(nil), spans[start:min(start+batchSpans, len(spans))]...)
				if !yield(engine.Batch{Spans: part}, nil) {
					return
				}
			}
		}
	}
}
