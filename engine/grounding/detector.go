package grounding

import (
	"context"
	"fmt"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/engine/response"
)

// Detector implements engine.Detector for answers that what they were given does not support. It scores the last answer of a trace that
// holds passages to answer from, by lexical signals; of those that these do not settle, a Judge may be asked.
type Detector struct {
	*past
	judge Judge
}

// New returns a detector that has seen nothing. The judge may be nil.
func New(cfg Config, judge Judge) (*Detector, error) {
	p, err := newPast(cfg)
	if err != nil {
		return nil, err
	}
	return &Detector{p, judge}, nil
}

// Name implements engine.Detector.
func (d *Detector) Name() string { return "grounding" }

// Score implements engine.Detector. It says nothing of a trace without an answer or without passages, and nothing of a refusal, which
// claims nothing.
func (d *Detector) Score(ctx context.Context, o engine.Observation) ([]engine.Finding, error) {
	span, answer := response.Last(o.Trace, d.cfg.MaxBytes)
	if span == nil || response.Refuses(span) {
		return nil, nil
	}
	texts, asked := given(o.Trace, span, d.cfg)
	if len(texts) == 0 {
		return nil, nil
	}
	s := read(texts, asked).compare(answer)
	f := engine.Finding{
		Type: engine.UngroundedResponse, Detector: d.Name(), Series: span.Series(),
		Subject: engine.Subject{Kind: engine.SubjectService, Value: span.Service},
		At:      o.Trace.End(), TraceID: o.Trace.ID, SpanID: span.SpanID, Raw: s.raw(),
		Effect: engine.Effect{Current: s.share, Unit: "ratio"},
	}
	if d.weigh(&f); f.Learning {
		return []engine.Finding{f}, nil
	}
	f.Excerpt = s.worst()
	f.Material = f.Effect.Current-f.Effect.Baseline >= d.cfg.SupportDrop
	f.Reason = fmt.Sprintf("%.0f %% of what the answer says is in no sentence of what it was given, normally %.0f %%; %.0f names or numbers are new",
		100*f.Effect.Current, 100*f.Effect.Baseline, s.Invented)
	if d.judge != nil && f.Material && f.P < doubtful && f.P >= settled {
		d.ask(ctx, &f, texts, s.lacks)
	}
	return []engine.Finding{f}, nil
}

// Learn implements engine.Detector.
func (d *Detector) Learn(_ context.Context, o engine.Observation) error {
	if f, said := o.Own(d.Name()); said {
		d.learn(f, o.Trace.End())
	}
	return nil
}

// given lists the distinct passages that were there for an answer, and what else was asked: documents and results of tools from before
// it, and of what users typed what is long enough to be a text to work on.
func given(t *engine.Trace, answer *engine.Span, cfg Config) (texts []string, asked string) {
	seen := make(map[string]bool)
	left := cfg.MaxBytes
	passage := func(text string) {
		if text = text[:min(len(text), left)]; text != "" && !seen[text] {
			seen[text] = true
			left -= len(text)
			texts = append(texts, text)
		}
	}
	for i := range t.Spans {
		s := &t.Spans[i]
		if s.Start.After(answer.End) {
			continue
		}
		for _, d := range s.Retrieval.Documents {
			passage(d.Text)
		}
		passage(s.Tool.Result)
	}
	for _, m := range answer.Input {
		for _, p := range m.Parts {
			switch {
			case p.Kind == engine.PartToolResponse:
				passage(p.Text)
			case p.Kind != engine.PartText:
			case m.Role == "tool" || m.Role == "user" && len(words(p.Text)) >= cfg.PassageWords:
				passage(p.Text)
			case m.Role == "user" && len(asked)+len(p.Text) <= cfg.MaxBytes:
				asked += p.Text + "\n"
			}
		}
	}
	return texts, asked
}
