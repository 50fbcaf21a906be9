package semantic

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Attack implements engine.Detector for texts that resemble known attacks more than they resemble normal texts. The raw score of
// a chunk is its similarity to the nearest attack less its similarity to the nearest normal text; the worst chunk counts.
type Attack struct {
	cfg    Config
	kind   engine.AnomalyType
	reads  []engine.TextKind
	memory engine.TextKind // the kind under which the attacks are remembered
	mu     sync.Mutex
	cal    *calibration
}

// NewJailbreak returns a detector of attacks that users type.
func NewJailbreak(cfg Config) (*Attack, error) {
	return newAttack(cfg, engine.Jailbreak, engine.TextUserPrompt, engine.TextUserPrompt)
}

// NewInjection returns a detector of attacks that come in by what tools and retrieval return.
func NewInjection(cfg Config) (*Attack, error) {
	return newAttack(cfg, engine.PromptInjection, engine.TextDocument, engine.TextDocument, engine.TextToolResult)
}

func newAttack(cfg Config, kind engine.AnomalyType, memory engine.TextKind, reads ...engine.TextKind) (*Attack, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cal, err := newCalibration(cfg)
	if err != nil {
		return nil, err
	}
	return &Attack{cfg: cfg, kind: kind, reads: reads, memory: memory, cal: cal}, nil
}

// Name implements engine.Detector.
func (a *Attack) Name() string { return string(a.kind) }

// compare returns the raw score of a text, its similarity to the nearest attack, and that attack; nil when none is remembered.
func (a *Attack) compare(ctx context.Context, o engine.Observation, t engine.Text) (raw float64, near *engine.Neighbor, err error) {
	attacks, err := o.Memory.Nearest(ctx, engine.Query{
		Filter: engine.Filter{Collection: engine.Collection{Purpose: engine.PurposeAttack, Kind: a.memory, Model: o.Model}},
		Vector: t.Vector, K: 1,
	})
	if err != nil {
		return 0, nil, fmt.Errorf("nearest attack: %w", err)
	}
	if len(attacks) == 0 {
		return 0, nil, nil
	}
	normal, _, err := nearestNormal(ctx, o, t, o.Trace.Spans[t.Span].Service, 1)
	if err != nil {
		return 0, nil, err
	}
	return attacks[0].Similarity - max(0, normal), &attacks[0], nil
}

// Score implements engine.Detector.
func (a *Attack) Score(ctx context.Context, o engine.Observation) ([]engine.Finding, error) {
	f := engine.Finding{Type: a.kind, Detector: a.Name(), At: o.Trace.End(), TraceID: o.Trace.ID, P: 1}
	looks := 0
	for _, t := range o.Texts {
		if !slices.Contains(a.reads, t.Kind) || !usable(t) {
			continue
		}
		raw, near, err := a.compare(ctx, o, t)
		if err != nil {
			return nil, err
		}
		if near == nil {
			continue
		}
		looks++
		span := &o.Trace.Spans[t.Span]
		a.mu.Lock()
		h := a.cal.of(groupKey{o.Model.Name, span.Service})
		p, known := h.pValue(a.cfg, raw, lengthClass(t.Text))
		usual := h.Usual.Median()
		a.mu.Unlock()
		if !known {
			f.Learning = true
			continue
		}
		if f.Excerpt != "" && p >= f.P {
			continue
		}
		f.P = p
		f.Series, f.SpanID, f.Excerpt, f.Nearest = span.Series(), span.SpanID, t.Text, near
		f.Subject = a.subject(span)
		f.Effect = engine.Effect{Baseline: usual, Current: near.Similarity, Unit: "similarity"}
		f.Material = near.Similarity >= a.cfg.AttackFloor && raw > 0
	}
	switch {
	case looks == 0:
		return nil, nil
	case f.Excerpt == "":
		return []engine.Finding{f}, nil // learning
	}
	f.Learning = false
	f.P = min(1, f.P*float64(looks))
	f.Reason = fmt.Sprintf("a text resembles a known attack (%s): similarity %.2f, normally %.2f", f.Nearest.Memo.Family, f.Effect.Current, f.Effect.Baseline)
	return []engine.Finding{f}, nil
}

// subject is who sent a jailbreak: the key, else the user. An injection comes in through a service.
func (a *Attack) subject(s *engine.Span) engine.Subject {
	switch {
	case a.kind == engine.PromptInjection:
	case s.APIKey != "":
		return engine.Subject{Kind: engine.SubjectAPIKey, Value: s.APIKey}
	case s.User != "":
		return engine.Subject{Kind: engine.SubjectUser, Value: s.User}
	}
	return engine.Subject{Kind: engine.SubjectService, Value: s.Service}
}

// Learn implements engine.Detector: it calibrates on normal texts. Attacks are remembered by whoever knows them to be attacks.
func (a *Attack) Learn(ctx context.Context, o engine.Observation) error {
	for _, t := range o.Texts {
		if !slices.Contains(a.reads, t.Kind) || !usable(t) {
			continue
		}
		raw, near, err := a.compare(ctx, o, t)
		if err != nil {
			return err
		}
		if near == nil {
			continue
		}
		a.mu.Lock()
		h := a.cal.of(groupKey{o.Model.Name, o.Trace.Spans[t.Span].Service})
		if h.Texts++; h.Texts > a.cfg.MinTexts {
			h.add(a.cfg, raw, lengthClass(t.Text))
			h.Usual.Add(o.Trace.End(), max(0, near.Similarity))
		}
		a.mu.Unlock()
	}
	return nil
}

// Snapshot implements engine.Snapshotter.
func (a *Attack) Snapshot(w io.Writer) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cal.snapshot(w)
}

// Restore implements engine.Snapshotter.
func (a *Attack) Restore(r io.Reader) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cal.restore(r)
}
