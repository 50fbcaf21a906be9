package semantic

import (
	"context"
	"fmt"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Jailbreak implements engine.Detector for prompts that resemble known attacks more than they resemble normal prompts. The raw
// score of a chunk is its similarity to the nearest attack less its similarity to the nearest normal text; the worst chunk counts.
type Jailbreak struct{ *calibration }

// NewJailbreak returns a detector that has seen nothing.
func NewJailbreak(cfg Config) (*Jailbreak, error) {
	c, err := newCalibration(cfg)
	if err != nil {
		return nil, err
	}
	return &Jailbreak{c}, nil
}

// Name implements engine.Detector.
func (j *Jailbreak) Name() string { return "jailbreak" }

// compare returns the raw score of a text, the nearest attack (nil when none is remembered) and the nearest normal text (nil when
// none is).
func (j *Jailbreak) compare(ctx context.Context, o engine.Observation, t engine.Text) (raw float64, attack, normal *engine.Neighbor, err error) {
	attacks, err := o.Memory.Nearest(ctx, engine.Query{
		Filter: engine.Filter{Collection: engine.Collection{Purpose: engine.PurposeAttack, Kind: engine.TextUserPrompt, Model: o.Model}},
		Vector: t.Vector, K: 1,
	})
	if err != nil {
		return 0, nil, nil, fmt.Errorf("nearest attack: %w", err)
	}
	if len(attacks) == 0 {
		return 0, nil, nil, nil
	}
	near, err := o.Memory.Nearest(ctx, engine.Query{Filter: normalOf(o, t, o.Trace.Spans[t.Span].Service), Vector: t.Vector, K: 1})
	if err != nil {
		return 0, nil, nil, fmt.Errorf("nearest normal %s: %w", t.Kind, err)
	}
	if len(near) == 0 {
		return attacks[0].Similarity, &attacks[0], nil, nil
	}
	return attacks[0].Similarity - max(0, near[0].Similarity), &attacks[0], &near[0], nil
}

// attackP is the p-value from which on a text is like an attack at all: many prompts that are a little like one, as everything new
// is, are no campaign.
const attackP = 0.01

// Score implements engine.Detector.
func (j *Jailbreak) Score(ctx context.Context, o engine.Observation) ([]engine.Finding, error) {
	f := engine.Finding{Type: engine.Jailbreak, Detector: j.Name(), At: o.Trace.End(), TraceID: o.Trace.ID, P: 1}
	looked := false
	for i, share := range shares(o.Texts) {
		if share == 0 {
			continue
		}
		t := o.Texts[i]
		raw, attack, normal, err := j.compare(ctx, o, t)
		if err != nil {
			return nil, err
		}
		if attack == nil {
			continue
		}
		span := &o.Trace.Spans[t.Span]
		if !looked {
			looked = true
			f.Series, f.Subject, f.Raw = span.Series(), attacker(span), raw
		}
		f.Raw = max(f.Raw, raw)
		j.mu.Lock()
		h := j.peek(groupKey{o.Pair(), span.Service})
		p, known := h.pValue(j.cfg, raw, lengthClass(t.Text))
		usual := h.Usual.Median()
		j.mu.Unlock()
		if !known {
			f.Learning = true
			continue
		}
		p = min(1, p/share)
		if f.Excerpt != "" && p >= f.P {
			continue
		}
		f.P = p
		f.Series, f.SpanID, f.Excerpt, f.Nearest, f.Known = span.Series(), span.SpanID, t.Text, normal, attack
		f.Subject = attacker(span)
		f.Effect = engine.Effect{Baseline: usual, Current: attack.Similarity, Unit: "similarity"}
		f.Material = attack.Similarity >= j.cfg.AttackFloor && raw > 0
	}
	switch {
	case !looked:
		return nil, nil
	case f.Excerpt == "":
		return []engine.Finding{f}, nil // learning
	}
	f.Learning = false
	f.Material = f.Material && f.P < attackP
	f.Reason = fmt.Sprintf("a text resembles a known attack (%s): similarity %.2f, normally %.2f", f.Known.Memo.Family, f.Effect.Current, f.Effect.Baseline)
	return []engine.Finding{f}, nil
}

// attacker is who sent a prompt: the key, else the user; the service it came to where neither is known.
func attacker(s *engine.Span) engine.Subject {
	switch {
	case s.APIKey != "":
		return engine.Subject{Kind: engine.SubjectAPIKey, Value: s.APIKey}
	case s.User != "":
		return engine.Subject{Kind: engine.SubjectUser, Value: s.User}
	}
	return engine.Subject{Kind: engine.SubjectService, Value: s.Service}
}

// Learn implements engine.Detector: it calibrates on normal texts. Attacks are remembered by whoever knows them to be attacks.
func (j *Jailbreak) Learn(ctx context.Context, o engine.Observation) error {
	for _, t := range o.Texts {
		if t.Kind != engine.TextUserPrompt || !engine.Usable(t.Vector) {
			continue
		}
		raw, attack, _, err := j.compare(ctx, o, t)
		if err != nil {
			return err
		}
		if attack == nil {
			continue
		}
		j.mu.Lock()
		h := j.of(groupKey{o.Pair(), o.Trace.Spans[t.Span].Service})
		if h.Texts++; h.Texts > j.cfg.MinTexts {
			h.add(j.cfg, raw, lengthClass(t.Text))
			h.Usual.Add(o.Trace.End(), max(0, attack.Similarity))
		}
		j.mu.Unlock()
	}
	return nil
}
