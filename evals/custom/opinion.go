package custom

import (
	"context"
	"fmt"
	"math"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// opinion is what is said of one row.
type opinion struct {
	Score    float64 `json:"score"`    // never negative, more is more suspicious
	Found    bool    `json:"found"`    // a detector of the task's type said anything at all
	Learning bool    `json:"learning"` // it had not learnt enough to weigh its score
	Flagged  bool    `json:"flagged"`  // its own score, log p / log α, is above 1
}

// tie is how much a raw score can add to a score: less than two p-values that differ lie apart.
const tie = 1e-6

// suspicion makes one number of a finding: the negative logarithm of its p-value and, where p-values are equal since they are 1 or
// cannot get smaller or nothing has been calibrated, the order of the detector's raw score.
func suspicion(f engine.Finding) float64 {
	p := min(max(f.P, math.SmallestNonzeroFloat64), 1)
	if f.Learning {
		p = 1
	}
	return -math.Log10(p) + tie*(0.5+math.Atan(f.Raw)/math.Pi)
}

// judge asks a pipeline about each row: what the detector that owns the task's type finds, and whether it would have raised it.
func (d *definition) judge(ctx context.Context, p Pipeline, rows []row, progress func()) ([]opinion, error) {
	kind := engine.AnomalyType(d.Task)
	out := make([]opinion, len(rows))
	for i, r := range rows {
		trace := d.trace(r, judgedAt)
		findings, err := p.Findings(ctx, trace)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", d.File, r.Line, err)
		}
		for _, f := range findings {
			if f.Type != kind {
				continue
			}
			if score := suspicion(f); !out[i].Found || score > out[i].Score {
				out[i] = opinion{Score: score, Found: true, Learning: f.Learning}
			}
		}
		verdict, err := p.Score(ctx, trace)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", d.File, r.Line, err)
		}
		for _, c := range verdict.Contributions {
			out[i].Flagged = out[i].Flagged || c.Type == kind && c.Score > 1
		}
		progress()
	}
	return out, nil
}
