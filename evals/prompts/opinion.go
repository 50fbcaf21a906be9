package prompts

import (
	"context"
	"fmt"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
)

// opinion is what a pipeline says of a text, by type of finding. A type that no detector said anything of is absent.
type opinion map[engine.AnomalyType]view

// view is one type's part in an opinion.
type view struct {
	Score float64 `json:"score"`          // of evals.Opinion
	Like  string  `json:"like,omitempty"` // family of the known attack that the text resembles
}

// judge asks a pipeline about each text.
func judge(ctx context.Context, p Pipeline, texts []text) ([]opinion, error) {
	out := make([]opinion, len(texts))
	for i, t := range texts {
		findings, err := p.Findings(ctx, t.trace(evals.JudgedAt))
		if err != nil {
			return nil, fmt.Errorf("text %s: %w", t.ID, err)
		}
		out[i] = make(opinion)
		for _, about := range []engine.AnomalyType{engine.Jailbreak, engine.PromptInjection, engine.SemanticNovelty} {
			said := evals.OpinionOf(findings, about)
			if !said.Found {
				continue
			}
			v := view{Score: said.Score}
			if known := said.Finding.Known; known != nil {
				v.Like = known.Memo.Family
			}
			out[i][about] = v
		}
	}
	return out, nil
}
