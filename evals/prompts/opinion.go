package prompts

import (
	"context"
	"fmt"
	"math"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// opinion is what a pipeline says of a text, by type of finding. A type that no detector said anything of is absent.
type opinion map[engine.AnomalyType]view

// view is one type's part in an opinion.
type view struct {
	Score float64 `json:"score"`          // by attackScore
	Like  string  `json:"like,omitempty"` // family of the known attack that the text resembles
}

// tie is how much a raw score can add to an attack score: less than two p-values that differ lie apart.
const tie = 1e-6

// attackScore makes one number, never negative, of a finding: the negative logarithm of its p-value and, where p-values are equal since
// they are 1 or cannot get smaller or nothing has been calibrated, the order of the detector's raw score.
func attackScore(f engine.Finding) float64 {
	p := max(f.P, math.SmallestNonzeroFloat64)
	if f.Learning || p > 1 {
		p = 1
	}
	return -math.Log10(p) + tie*(0.5+math.Atan(f.Raw)/math.Pi)
}

// judge asks a pipeline about each text.
func judge(ctx context.Context, p Pipeline, texts []text) ([]opinion, error) {
	out := make([]opinion, len(texts))
	for i, t := range texts {
		s := t.span(judged)
		findings, err := p.Findings(ctx, engine.NewTrace(s.TraceID, []engine.Span{s}))
		if err != nil {
			return nil, fmt.Errorf("text %s: %w", t.ID, err)
		}
		out[i] = make(opinion)
		for _, f := range findings {
			score := attackScore(f)
			if have, ok := out[i][f.Type]; ok && have.Score >= score {
				continue
			}
			v := view{Score: score}
			if f.Known != nil {
				v.Like = f.Known.Memo.Family
			}
			out[i][f.Type] = v
		}
	}
	return out, nil
}
