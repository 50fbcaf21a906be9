package semantic

import (
	"context"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Jailbreak implements engine.Detector for prompts that try to turn the model against its operator: what users type, judged by a
// classifier that ships with the program and learns what is asked here. A prompt is judged as a whole, in each of its readings.
type Jailbreak struct{ *attacks }

// NewJailbreak returns a detector that knows what ships. The known attacks are kept in mind while it learns.
func NewJailbreak(cfg Config, known []string) (*Jailbreak, error) {
	a, err := newAttacks(cfg, shippedJailbreak, known)
	if err != nil {
		return nil, err
	}
	return &Jailbreak{a}, nil
}

// Name implements engine.Detector.
func (j *Jailbreak) Name() string { return "jailbreak" }

// read looks at each prompt of a trace.
func (j *Jailbreak) read(o engine.Observation) []suspect {
	var out []suspect
	for _, p := range passages(o.Texts, engine.TextUserPrompt) {
		out = append(out, j.suspects(p.text, suspect{span: p.span, kind: p.kind, chunk: p.chunks[0]})...)
	}
	return out
}

// Score implements engine.Detector.
func (j *Jailbreak) Score(ctx context.Context, o engine.Observation) ([]engine.Finding, error) {
	j.mu.Lock()
	seen := j.read(o)
	if len(seen) == 0 {
		j.mu.Unlock()
		return nil, nil
	}
	s := worst(seen)
	f := j.judge(o, s, engine.Finding{Type: engine.Jailbreak, Detector: j.Name(), Subject: o.Trace.Spans[s.span].Caller()})
	if !f.Learning {
		s = j.focus(o, s)
		f.Excerpt = engine.Cut(s.text, j.cfg.ExcerptBytes)
	}
	j.mu.Unlock()
	if err := j.explain(ctx, o, s, "a prompt", &f); err != nil {
		return nil, err
	}
	return []engine.Finding{f}, nil
}

// focus is the chunk of a prompt that looks most like an attack by itself, to be shown.
func (j *Jailbreak) focus(o engine.Observation, s suspect) suspect {
	best := s
	for _, p := range passages(o.Texts, engine.TextUserPrompt) {
		if p.span != s.span || p.chunks[0] != s.chunk || len(p.chunks) < 2 {
			continue
		}
		var parts []suspect
		for _, i := range p.chunks {
			parts = append(parts, j.suspects(o.Texts[i].Text, suspect{span: p.span, kind: p.kind, chunk: i})...)
		}
		best = worst(parts)
		best.how = s.how
	}
	return best
}

// Learn implements engine.Detector. A long prompt teaches as a whole and in its chunks.
func (j *Jailbreak) Learn(_ context.Context, o engine.Observation) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	seen := j.read(o)
	if !j.fresh(o) || len(seen) == 0 {
		return nil
	}
	j.calibrate(o, worst(seen))
	for _, p := range passages(o.Texts, engine.TextUserPrompt) {
		if len(p.chunks) > 1 {
			for _, i := range p.chunks {
				seen = append(seen, j.suspects(o.Texts[i].Text, suspect{})...)
			}
		}
	}
	j.learnCalm(seen)
	return nil
}

// LearnAttack implements engine.AttackLearner.
func (j *Jailbreak) LearnAttack(kind engine.TextKind, text string) {
	if kind != engine.TextUserPrompt {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	looks := []string{text}
	if parts := pieces(text, pieceWords); len(parts) > 1 {
		looks = append(looks, parts...)
	}
	for _, look := range looks {
		for _, s := range j.suspects(look, suspect{}) {
			j.classifier.learn(s.values, true)
		}
	}
}
