package evals

import (
	"context"
	"errors"
	"io"
	"math"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Parts make pipelines, of which a suite asks what its interface P says. What is nil is not there.
type Parts[P io.Closer] struct {
	Fresh   func(ctx context.Context) (P, error)               // one that knows only what ships with the program
	Restore func(ctx context.Context, saved []byte) (P, error) // one that knows what another has learnt
}

// Saved opens the pipeline that knows what was saved.
func (p Parts[P]) Saved(saved []byte) func(context.Context) (P, error) {
	return func(ctx context.Context) (P, error) { return p.Restore(ctx, saved) }
}

// With opens a pipeline, uses it and closes it. That ctx ended meanwhile is an error, whatever the pipeline made of it.
func With[P io.Closer](ctx context.Context, open func(context.Context) (P, error), use func(P) error) error {
	p, err := open(ctx)
	if err != nil {
		return err
	}
	return errors.Join(use(p), ctx.Err(), p.Close())
}

// JudgedAt is the event time at which traces are judged whose own times carry no meaning. What is learnt came before, a trace a minute.
var JudgedAt = time.Date(2025, time.March, 1, 0, 0, 0, 0, time.UTC)

// History is the spans of cases that came before JudgedAt, in their order.
func History[T any](cases []T, trace func(one T, at time.Time) engine.Trace) []engine.Span {
	var out []engine.Span
	for i, one := range cases {
		out = append(out, trace(one, JudgedAt.Add(-time.Duration(len(cases)-i)*time.Minute)).Spans...)
	}
	return out
}

// Said is a message of one text.
func Said(role, text string) []engine.Message {
	return []engine.Message{{Role: role, Parts: []engine.Part{{Kind: engine.PartText, Text: text}}}}
}

// Opinion is what the detectors of one anomaly type say of a trace.
type Opinion struct {
	Score    float64        `json:"score"`    // never negative, more is more suspicious
	Found    bool           `json:"found"`    // a detector of the type said anything at all
	Learning bool           `json:"learning"` // it had not learnt enough to weigh its score
	Finding  engine.Finding `json:"-"`        // that the score is of
}

// OpinionOf is what the most suspicious finding of a type says.
func OpinionOf(findings []engine.Finding, about engine.AnomalyType) Opinion {
	var out Opinion
	for _, f := range findings {
		if f.Type != about {
			continue
		}
		if score := suspicion(f); !out.Found || score > out.Score {
			out = Opinion{Score: score, Found: true, Learning: f.Learning, Finding: f}
		}
	}
	return out
}

// tie is how much a raw score can add to a score: less than two p-values that differ lie apart.
const tie = 1e-6

// suspicion makes one number of a finding: the negative logarithm of its p-value and, where p-values are equal since they are 1 or
// cannot get smaller or nothing has been calibrated, the order of the detector's raw score.
func suspicion(f engine.Finding) float64 {
	p := max(f.P, math.SmallestNonzeroFloat64)
	if f.Learning || !(p <= 1) {
		p = 1
	}
	return -math.Log10(p) + tie*(0.5+math.Atan(f.Raw)/math.Pi)
}
