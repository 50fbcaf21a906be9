package semantic

import (
	"cmp"
	"context"
	"encoding/gob"
	"fmt"
	"io"
	"slices"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// attackP is the p-value from which on a text is like an attack at all: many prompts that are a little like one, as everything new
// is, are no campaign.
const attackP = 0.01

// What is nearly the same as an attack that people confirmed is one, however usual it looks: from which cosine similarity on, and the
// p-value that it counts as.
const (
	confirmedAlike = 0.9
	confirmedP     = 1e-6
)

// attacks is what the detectors of attacks have in common: a classifier that ships with weights and goes on learning, and the calm
// scores of each service that its scores are judged by. The classifier knows no embedding model, so neither do the histories.
type attacks struct {
	*calibration
	classifier *classifier
	last       engine.TraceID // learnt last: a trace is learnt once, though each lens shows it
}

// suspect is one look at a part of a trace.
type suspect struct {
	logit  float64
	odd    float64 // surprise of how it is put, beside the texts of its service and the rest of its own text; 0 where that is not known
	text   string  // the part, as it stands
	how    string  // the encoding that it was hidden by
	span   int
	kind   engine.TextKind
	chunk  int // of the observation, -1 for none
	values surface
}

func newAttacks(cfg Config, shipped func() (*weights, error), known []string) (*attacks, error) {
	c, err := newCalibration(cfg)
	if err != nil {
		return nil, err
	}
	w, err := shipped()
	if err != nil {
		return nil, err
	}
	return &attacks{calibration: c, classifier: newClassifier(w, known)}, nil
}

// suspects reads a text in all its readings.
func (a *attacks) suspects(text string, like suspect) []suspect {
	var out []suspect
	for _, r := range readings(text) {
		s := like
		s.text, s.how, s.values = text, r.how, look(r)
		s.logit = a.classifier.logit(s.values)
		out = append(out, s)
	}
	return out
}

// raw is what a part is ranked by: the evidence that it is an attack and the evidence that it does not belong where it stands, both on a
// scale of natural logarithms. An instruction is nothing strange among instructions, nor a strange sentence an instruction.
func (s suspect) raw() float64 { return s.logit + s.odd }

// worst is the most suspicious of some; there must be one.
func worst(of []suspect) suspect {
	return slices.MaxFunc(of, func(a, b suspect) int { return cmp.Compare(a.raw(), b.raw()) })
}

// judge makes the finding of the most suspicious part of a trace.
func (a *attacks) judge(o engine.Observation, s suspect, f engine.Finding) engine.Finding {
	span := &o.Trace.Spans[s.span]
	f.At, f.TraceID, f.SpanID, f.Series, f.Raw, f.P = o.Trace.End(), o.Trace.ID, span.SpanID, span.Series(), s.raw(), 1
	h := a.peek(groupKey{Service: span.Service})
	p, known := h.Scores.pValue(a.cfg, s.raw(), anyLength)
	if !known {
		f.Learning = true
		return f
	}
	f.P, f.Excerpt = p, engine.Cut(s.text, a.cfg.ExcerptBytes)
	f.Effect = engine.Effect{Baseline: h.Usual.Median(), Current: chance(s.logit), Unit: "ratio"}
	f.Material = f.Effect.Current >= a.cfg.AttackFloor && f.P < attackP
	return f
}

// explain adds the known attack that the part is most like, and what it was compared with. People's word on that attack outweighs the
// classifier.
func (a *attacks) explain(ctx context.Context, o engine.Observation, s suspect, what string, f *engine.Finding) error {
	if f.Learning {
		return nil
	}
	hidden := ""
	if s.how != "" {
		hidden = ", hidden by " + s.how
	}
	f.Reason = fmt.Sprintf("%s reads like an attack%s: %.0f %%, normally %.0f %%", what, hidden, 100*f.Effect.Current, 100*f.Effect.Baseline)
	if o.Memory == nil || s.chunk < 0 || !engine.Usable(o.Texts[s.chunk].Vector) {
		return nil
	}
	kind := s.kind
	if kind == engine.TextToolResult {
		kind = engine.TextDocument // attacks in what tools return are kept with those in documents
	}
	near, err := o.Memory.Nearest(ctx, engine.Query{
		Filter: engine.Filter{Collection: engine.Collection{Purpose: engine.PurposeAttack, Kind: kind, Model: o.Model}},
		Vector: o.Texts[s.chunk].Vector, K: 1,
	})
	if err != nil {
		return fmt.Errorf("nearest attack: %w", err)
	}
	if len(near) > 0 {
		f.Known = &near[0]
		f.Reason += ", most like " + near[0].Memo.Family
		if near[0].Memo.Family == engine.FamilyConfirmed && near[0].Similarity >= confirmedAlike {
			f.P, f.Material, f.Excerpt = min(f.P, confirmedP), true, engine.Cut(o.Texts[s.chunk].Text, a.cfg.ExcerptBytes)
			f.Reason = fmt.Sprintf("%s is nearly an attack that people confirmed: similarity %.2f", what, near[0].Similarity)
		}
	}
	shown := o.Texts[s.chunk]
	near, err = o.Memory.Nearest(ctx, engine.Query{Filter: normalOf(o, shown, o.Trace.Spans[s.span].Service), Vector: shown.Vector, K: 1})
	if err != nil {
		return fmt.Errorf("nearest normal %s: %w", shown.Kind, err)
	}
	if len(near) > 0 {
		f.Nearest = &near[0]
	}
	return nil
}

// calibrate takes the score of a calm trace into the history of its service.
func (a *attacks) calibrate(o engine.Observation, s suspect) {
	h := a.of(groupKey{Service: o.Trace.Spans[s.span].Service})
	if h.Texts++; h.Texts > a.cfg.MinTexts {
		h.Scores.add(a.cfg, s.raw(), anyLength)
		h.Usual.Add(o.Trace.End(), chance(s.logit))
	}
}

// fresh reports whether a trace is not the one learnt last, and notes it.
func (a *attacks) fresh(o engine.Observation) bool {
	seen := o.Trace.ID == a.last
	a.last = o.Trace.ID
	return !seen
}

// Snapshot implements engine.Snapshotter.
func (a *attacks) Snapshot(w io.Writer) error {
	a.mu.Lock()
	state, err := a.classifier.state()
	last := a.last
	if err == nil {
		err = gob.NewEncoder(w).Encode(last)
	}
	if err == nil {
		err = gob.NewEncoder(w).Encode(state)
	}
	a.mu.Unlock()
	if err != nil {
		return fmt.Errorf("semantic: snapshot: %w", err)
	}
	return a.calibration.Snapshot(w)
}

// Restore implements engine.Snapshotter. On an error nothing changes.
func (a *attacks) Restore(r io.Reader) error {
	b := byteReader{r} // gob reads ahead otherwise
	var last engine.TraceID
	var state classifierState
	err := gob.NewDecoder(b).Decode(&last)
	if err == nil {
		err = gob.NewDecoder(b).Decode(&state)
	}
	if err != nil {
		return fmt.Errorf("semantic: restore: %w", err)
	}
	a.mu.Lock()
	restored, err := a.classifier.restored(state)
	a.mu.Unlock()
	if err != nil {
		return fmt.Errorf("semantic: restore: %w", err)
	}
	if err := a.calibration.Restore(b); err != nil {
		return err
	}
	a.mu.Lock()
	a.classifier, a.last = restored, last
	a.mu.Unlock()
	return nil
}

// byteReader lets gob read no further than what it decodes.
type byteReader struct{ io.Reader }

// ReadByte implements io.ByteReader.
func (b byteReader) ReadByte() (byte, error) {
	var one [1]byte
	_, err := io.ReadFull(b.Reader, one[:])
	return one[0], err
}

// hardest bounds how many parts of one trace are learnt: those that look most like an attack.
const hardest = 16

// learnCalm learns parts of a calm trace, those first that look most like an attack; what is known to be none teaches nothing.
func (a *attacks) learnCalm(parts []suspect) {
	const known = -4
	slices.SortStableFunc(parts, func(a, b suspect) int { return cmp.Compare(b.logit, a.logit) })
	for _, s := range parts[:min(len(parts), hardest)] {
		if s.logit < known {
			return
		}
		a.classifier.learn(s.values, false)
	}
}
