package semantic

import (
	"bytes"
	"context"
	"encoding/gob"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/statistical"
)

// Novelty implements engine.Detector for what users ask: how far a text is from the nearest normal ones of its service, and how
// differently it is put. A long text is compared in chunks and its strangest chunk counts. Of documents and results of tools it judges
// whether each sentence belongs to the rest. What users normally ask is a coreset.
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
// they have the exponential one that statistical.Conformal goes on with (docs/detectors/novelty.md has the measurement).
func strangeness(similarity float64) float64 { return (1 - similarity) * (1 - similarity) }

// Score implements engine.Detector: one finding about what users ask, one about what is read for them.
func (n *Novelty) Score(ctx context.Context, o engine.Observation) ([]engine.Finding, error) {
	out, err := n.asked(ctx, o)
	if err != nil {
		return nil, err
	}
	return append(out, n.brought(o)...), nil
}

// asked judges the prompts of a trace, by meaning and by wording.
func (n *Novelty) asked(ctx context.Context, o engine.Observation) ([]engine.Finding, error) {
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
		h := n.peek(groupKey{Pair: o.Pair(), Service: span.Service})
		p, known := h.Scores.pValue(n.cfg, strangeness(similarity), lengthClass(t.Text))
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
	if p, ok := n.wordedP(o); ok {
		f.P = statistical.Cauchy([]float64{f.P, p}, nil)
	}
	f.Material = f.Effect.Baseline-f.Effect.Current >= n.cfg.NoveltyDrop
	f.Reason = fmt.Sprintf("the prompt is like nothing %s was asked: similarity %.2f, normally %.2f", f.Subject.Value, f.Effect.Current, f.Effect.Baseline)
	return []engine.Finding{f}, nil
}

// sentencePairs lists the pairs of words of each sentence of a text, and the sentences.
func sentencePairs(text string) (sentences []string, pairs [][]uint32) {
	sentences = units(text)
	pairs = make([][]uint32, len(sentences))
	for i, s := range sentences {
		pairs[i] = framePairs(s)
	}
	return sentences, pairs
}

// telling reports whether a prompt is long enough for its wording to say something: how few words are put is chance.
func telling(text string) bool { return lengthClass(text) == len(lengths) }

// wordedP is the p-value of the strangest wording among the long prompts of a trace, of which each is judged as a whole; ok is false
// where there is none, or too little history.
func (n *Novelty) wordedP(o engine.Observation) (p float64, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p = 1
	looks := 0.0
	for _, t := range passages(o.Texts, engine.TextUserPrompt) {
		if !telling(t.text) {
			continue
		}
		_, pairs := sentencePairs(t.text)
		h := n.peek(groupKey{Pair: o.Pair(), Service: o.Trace.Spans[t.span].Service})
		if one, known := h.Worded.pValue(n.cfg, h.Wording.surprise(slices.Concat(pairs...), nil), anyLength); known {
			p = min(p, one)
			looks++
		}
	}
	return min(1, p*looks), looks > 0
}

// brought judges the documents and results of tools of a trace by the sentence of each that belongs there least.
func (n *Novelty) brought(o engine.Observation) []engine.Finding {
	f := engine.Finding{Type: engine.SemanticNovelty, Detector: n.Name(), At: o.Trace.End(), TraceID: o.Trace.ID, P: 1, Learning: true}
	n.mu.Lock()
	defer n.mu.Unlock()
	texts := passages(o.Texts, engine.TextDocument, engine.TextToolResult)
	for i, t := range texts {
		span := &o.Trace.Spans[t.span]
		if i == 0 {
			f.Series, f.Subject = span.Series(), brings(span)
		}
		sentences, pairs := sentencePairs(t.text)
		h := n.peek(groupKey{Pair: o.Pair(), Service: span.Service, Kind: t.kind})
		at, surprise := h.Wording.misfit(pairs)
		f.Raw = max(f.Raw, surprise)
		p, known := h.Scores.pValue(n.cfg, surprise, lengthClass(t.text))
		if !known || len(sentences) == 0 {
			continue
		}
		p = min(1, p*float64(len(texts)))
		if !f.Learning && p >= f.P {
			continue
		}
		f.P, f.Learning = p, false
		f.Series, f.SpanID, f.Excerpt, f.Subject = span.Series(), span.SpanID, engine.Cut(sentences[at], n.cfg.ExcerptBytes), brings(span)
		f.Effect = engine.Effect{Baseline: h.Usual.Median(), Current: h.Wording.known(pairs[at]), Unit: "similarity"}
		f.Material = p < attackP && f.Effect.Baseline-f.Effect.Current >= n.cfg.NoveltyDrop
		f.Reason = fmt.Sprintf("a sentence does not belong to its document: %.0f %% of its wording is known, normally %.0f %%", 100*f.Effect.Current, 100*f.Effect.Baseline)
	}
	if len(texts) == 0 {
		return nil
	}
	return []engine.Finding{f}
}

// brings is what brought a text in: the tool, or the operation that retrieved it.
func brings(s *engine.Span) engine.Subject {
	if s.Tool.Name != "" {
		return engine.Subject{Kind: engine.SubjectTool, Value: s.Tool.Name}
	}
	return engine.Subject{Kind: engine.SubjectOperation, Value: string(s.Operation)}
}

// learnWording learns how the texts of a trace are put, after it has judged them.
func (n *Novelty) learnWording(o engine.Observation) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, t := range passages(o.Texts, engine.TextUserPrompt, engine.TextDocument, engine.TextToolResult) {
		_, pairs := sentencePairs(t.text)
		key := groupKey{Pair: o.Pair(), Service: o.Trace.Spans[t.span].Service}
		class := lengthClass(t.text)
		if t.kind == engine.TextUserPrompt {
			h := n.of(key)
			if h.Wording.Texts >= n.cfg.MinTexts && telling(t.text) {
				h.Worded.add(n.cfg, h.Wording.surprise(slices.Concat(pairs...), nil), anyLength)
			}
			h.Wording.learn(pairs)
			continue
		}
		key.Kind = t.kind
		h := n.of(key)
		if h.Wording.Texts >= n.cfg.MinTexts && len(pairs) > 0 {
			at, surprise := h.Wording.misfit(pairs)
			h.Scores.add(n.cfg, surprise, class)
			h.Usual.Add(o.Trace.End(), h.Wording.known(pairs[at]))
		}
		h.Wording.learn(pairs)
	}
}

// Learn implements engine.Detector: it calibrates on the trace's texts and remembers those that add something.
func (n *Novelty) Learn(ctx context.Context, o engine.Observation) error {
	n.learnWording(o)
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
		h := n.of(groupKey{Pair: o.Pair(), Service: span.Service})
		set := n.normal.of(coresetKey{o.Pair(), span.Service, string(span.Operation), string(t.Kind)})
		if set.hears(user, n.cfg) && h.Texts >= n.cfg.MinTexts && o.Trace.End().Sub(h.Enough) >= n.cfg.Siblings {
			h.Scores.add(n.cfg, strangeness(similarity), lengthClass(t.Text))
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
			Vector:     t.Vector, Text: engine.Cut(t.Text, n.cfg.ExcerptBytes), Service: span.Service, Operation: string(span.Operation),
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
