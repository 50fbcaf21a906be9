package semantic

import (
	"bytes"
	"context"
	"encoding/gob"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Novelty implements engine.Detector for what users ask: how far a text is from the nearest normal ones of its service. A long
// text is compared in chunks and its strangest chunk counts. What is normal is a coreset.
type Novelty struct {
	*calibration
	normal *coreset // guarded by mu
}

// NewNovelty returns a detector that has seen nothing.
func NewNovelty(cfg Config) (*Novelty, error) {
	c, err := newCalibration(cfg)
	if err != nil {
		return nil, err
	}
	normal, err := newCoreset(cfg)
	if err != nil {
		return nil, err
	}
	return &Novelty{c, normal}, nil
}

// Name implements engine.Detector.
func (n *Novelty) Name() string { return "novelty" }

// normalOf chooses the normal texts of a service that a text can be compared with.
func normalOf(o engine.Observation, t engine.Text, service string) engine.Filter {
	return engine.Filter{Collection: engine.Collection{Purpose: engine.PurposeNormal, Kind: t.Kind, Model: o.Model}, Service: service}
}

// nearestNormal returns the mean similarity to the k nearest normal texts, and the nearest of them. Texts of one conversation, one user or
// one campaign come close together and are alike: a text is compared with what was known a while before it, so that what calibrates
// and what is judged have the same chances to find their siblings. Where nothing that old is known, everything counts.
func (n *Novelty) nearestNormal(ctx context.Context, o engine.Observation, t engine.Text, service string, k int) (float64, *engine.Neighbor, error) {
	q := engine.Query{Filter: normalOf(o, t, service), Vector: t.Vector, K: k}
	if n.cfg.Siblings > 0 {
		q.Before = o.Trace.End().Add(-n.cfg.Siblings)
	}
	near, err := o.Memory.Nearest(ctx, q)
	if err == nil && len(near) < k && !q.Before.IsZero() {
		q.Before = time.Time{}
		near, err = o.Memory.Nearest(ctx, q)
	}
	if err != nil {
		return 0, nil, fmt.Errorf("nearest normal %s: %w", t.Kind, err)
	}
	if len(near) == 0 {
		return 0, nil, nil
	}
	var sum float64
	for _, x := range near {
		sum += x.Similarity
	}
	return sum / float64(len(near)), &near[0], nil
}

// strangeness is the raw score of a text. Distances to the nearest normal texts have a tail that is lighter than exponential; squared
// they have the exponential one that statistical.Conformal goes on with (docs/detectors/semantic_novelty.md has the measurement).
func strangeness(similarity float64) float64 { return (1 - similarity) * (1 - similarity) }

// Score implements engine.Detector.
func (n *Novelty) Score(ctx context.Context, o engine.Observation) ([]engine.Finding, error) {
	f := engine.Finding{Type: engine.SemanticNovelty, Detector: n.Name(), At: o.Trace.End(), TraceID: o.Trace.ID, P: 1}
	looked := false
	for i, share := range shares(o.Texts) {
		if share == 0 {
			continue
		}
		t := o.Texts[i]
		span := &o.Trace.Spans[t.Span]
		if !looked {
			looked = true
			f.Series, f.Subject = span.Series(), engine.Subject{Kind: engine.SubjectService, Value: span.Service}
		}
		similarity, near, err := n.nearestNormal(ctx, o, t, span.Service, n.cfg.Neighbors)
		if err != nil {
			return nil, err
		}
		f.Raw = max(f.Raw, strangeness(similarity))
		n.mu.Lock()
		h := n.peek(groupKey{o.Pair(), span.Service})
		p, known := h.pValue(n.cfg, strangeness(similarity), lengthClass(t.Text))
		usual := h.Usual.Median()
		n.mu.Unlock()
		if !known {
			f.Learning = true
			continue
		}
		p = min(1, p/share)
		if f.Excerpt != "" && p >= f.P {
			continue
		}
		f.P = p
		f.Series, f.SpanID, f.Excerpt, f.Nearest = span.Series(), span.SpanID, t.Text, near
		f.Subject = engine.Subject{Kind: engine.SubjectService, Value: span.Service}
		f.Effect = engine.Effect{Baseline: usual, Current: similarity, Unit: "similarity"}
	}
	if !looked {
		return nil, nil
	}
	if f.Excerpt == "" {
		return []engine.Finding{f}, nil // learning
	}
	f.Learning = false
	f.Material = f.Effect.Baseline-f.Effect.Current >= n.cfg.NoveltyDrop
	f.Reason = fmt.Sprintf("the prompt is like nothing %s was asked: similarity %.2f, normally %.2f", f.Subject.Value, f.Effect.Current, f.Effect.Baseline)
	return []engine.Finding{f}, nil
}

// Learn implements engine.Detector: it calibrates on the trace's texts and remembers those that add something.
func (n *Novelty) Learn(ctx context.Context, o engine.Observation) error {
	var memos []engine.Memo
	for i, t := range o.Texts {
		if t.Kind != engine.TextUserPrompt || !engine.Usable(t.Vector) {
			continue
		}
		span := &o.Trace.Spans[t.Span]
		similarity, _, err := n.nearestNormal(ctx, o, t, span.Service, n.cfg.Neighbors)
		if err != nil {
			return err
		}
		twin, err := o.Memory.Nearest(ctx, engine.Query{Filter: normalOf(o, t, span.Service), Vector: t.Vector, K: 1})
		if err != nil {
			return fmt.Errorf("nearest normal %s: %w", t.Kind, err)
		}
		duplicate := len(twin) > 0 && twin[0].Similarity >= n.cfg.Duplicate
		id, user := o.Trace.ID.String()+"-"+strconv.Itoa(i), hashUser(span.User)
		var displaced []string
		n.mu.Lock()
		h := n.of(groupKey{o.Pair(), span.Service})
		set := n.normal.of(coresetKey{o.Pair(), span.Service, string(span.Operation), string(t.Kind)})
		if set.hears(user, n.cfg) && h.Texts >= n.cfg.MinTexts && o.Trace.End().Sub(h.Enough) >= n.cfg.Siblings {
			h.add(n.cfg, strangeness(similarity), lengthClass(t.Text))
			h.Usual.Add(o.Trace.End(), max(0, similarity))
		}
		if duplicate {
			set.refresh(twin[0].Memo.ID, o.Trace.End())
		} else {
			displaced = set.take(id, user, o.Trace.End(), n.cfg)
		}
		// A text that is already known still counts as seen: a service that is asked the same all day has learnt it.
		h.count(n.cfg, o.Trace.End())
		n.mu.Unlock()
		if duplicate {
			continue
		}
		if len(displaced) > 0 {
			normal := engine.Collection{Purpose: engine.PurposeNormal, Kind: t.Kind, Model: o.Model}
			if _, err := o.Memory.Forget(ctx, engine.Filter{Collection: normal, IDs: displaced}); err != nil {
				return fmt.Errorf("forget normal: %w", err)
			}
		}
		memos = append(memos, engine.Memo{
			ID:         id,
			Collection: engine.Collection{Purpose: engine.PurposeNormal, Kind: t.Kind, Model: o.Model},
			Vector:     t.Vector, Text: cut(t.Text, n.cfg.ExcerptBytes), Service: span.Service, Operation: string(span.Operation),
			Version: span.ServiceVersion, Region: span.Region, Source: o.Trace.ID.String(), At: o.Trace.End(),
		})
	}
	if len(memos) == 0 {
		return nil
	}
	if err := o.Memory.Remember(ctx, memos); err != nil {
		return fmt.Errorf("remember normal: %w", err)
	}
	return nil
}

// noveltyState is a snapshot: that of the calibration, and the coreset.
type noveltyState struct {
	Calibration []byte
	Normal      []coresetState
}

// Snapshot implements engine.Snapshotter.
func (n *Novelty) Snapshot(w io.Writer) error {
	var calibration bytes.Buffer
	if err := n.calibration.Snapshot(&calibration); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := gob.NewEncoder(w).Encode(noveltyState{calibration.Bytes(), n.normal.state()}); err != nil {
		return fmt.Errorf("semantic: snapshot: %w", err)
	}
	return nil
}

// Restore implements engine.Snapshotter. On an error nothing changes.
func (n *Novelty) Restore(r io.Reader) error {
	var in noveltyState
	if err := gob.NewDecoder(r).Decode(&in); err != nil {
		return fmt.Errorf("semantic: restore: %w", err)
	}
	if err := n.calibration.Restore(bytes.NewReader(in.Calibration)); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.normal.restore(in.Normal)
	return nil
}

// cut shortens a text to at most n bytes at a rune boundary.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}
