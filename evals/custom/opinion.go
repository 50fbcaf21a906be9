package custom

import (
	"context"
	"fmt"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
)

// opinion is what is said of one row.
type opinion struct {
	evals.Opinion
	Flagged bool `json:"flagged"` // the detector's own score, log p / log α, is above 1
}

// judge asks a pipeline about each row: what the detector that owns the task's type finds, and whether it would have raised it.
func (d *definition) judge(ctx context.Context, p Pipeline, rows []row, progress func()) ([]opinion, error) {
	kind := engine.AnomalyType(d.Task)
	out := make([]opinion, len(rows))
	for i, r := range rows {
		trace := d.trace(r, evals.JudgedAt)
		findings, err := p.Findings(ctx, trace)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", d.File, r.Line, err)
		}
		out[i].Opinion = evals.OpinionOf(findings, kind)
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
