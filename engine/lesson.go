package engine

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/llm-sentinel/llm-sentinel/statistical"
)

// lessons is what people's words teach at the moment. It follows from the words that are stored and count; nothing else is kept, so that
// what is taken back or expires leaves no trace.
type lessons struct {
	revising sync.Mutex      // one revision at a time
	revised  time.Time       // wall time of the latest
	kept     map[string]Memo // examples in the memories, by lesson; nil before the first revision

	mu         sync.RWMutex
	words      []Feedback // that count
	list       []Lesson
	thresholds map[thresholdKey]float64
}

// reviseEvery is how often words are looked at again, in wall time: some expire, and others come through another instance.
const reviseEvery = time.Minute

// reviseTimeout bounds a revision, in wall time.
const reviseTimeout = 20 * time.Second

// raise gives findings the threshold of their series.
func (l *lessons) raise(findings []Finding) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if len(l.thresholds) == 0 {
		return
	}
	for i := range findings {
		f := &findings[i]
		f.Threshold = l.thresholds[thresholdKey{f.Type, f.Series}]
	}
}

// Lessons lists what people said together of each incident and anomaly, newest first, and the thresholds that follow.
func (p *Pipeline) Lessons() ([]Lesson, []SeriesThreshold) {
	p.lessons.mu.RLock()
	defer p.lessons.mu.RUnlock()
	return slices.Clone(p.lessons.list), listThresholds(p.lessons.thresholds)
}

// Feedback lists people's words, newest first.
func (p *Pipeline) Feedback(ctx context.Context, cursor string, limit int) (Page[Feedback], error) {
	return p.parts.Feedback.Feedback(ctx, "", cursor, limit)
}

// AddFeedback stores a person's word and teaches what follows from it. CodeNotFound when there is no such incident or anomaly, CodeFull
// when too many words of its API key count already.
func (p *Pipeline) AddFeedback(ctx context.Context, f Feedback) (Feedback, error) {
	var err error
	if f.Case, err = p.caseOf(ctx, &f); err != nil {
		return Feedback{}, fmt.Errorf("engine: feedback: %w", err)
	}
	f.Expires = f.At.Add(p.cfg.Feedback.ExpireAfter)
	if n, at := p.spoken(f.KeyID, f.At); n >= p.cfg.Feedback.MaxPerKey {
		return Feedback{}, &Error{
			Code: CodeFull, RetryAfter: at.Sub(f.At),
			Message: fmt.Sprintf("%d words that came with this API key count already, as many as feedback.max_per_key allows: take some back", n),
		}
	}
	if err := p.parts.Feedback.AddFeedback(ctx, f); err != nil {
		return Feedback{}, err
	}
	p.revise(ctx)
	return f, nil
}

// UndoFeedback takes a word back. It must come with the API key that the word came with, or from where no key is needed: whoever
// disagrees with another's word says so with a word of its own.
func (p *Pipeline) UndoFeedback(ctx context.Context, id, keyID, by string) (Feedback, error) {
	p.lessons.mu.RLock()
	i := slices.IndexFunc(p.lessons.words, func(f Feedback) bool { return f.ID == id })
	foreign := i >= 0 && keyID != "" && p.lessons.words[i].KeyID != keyID
	p.lessons.mu.RUnlock()
	switch {
	case i < 0:
		return Feedback{}, Errorf(CodeNotFound, "no feedback %s that counts", id)
	case foreign:
		return Feedback{}, Errorf(CodeConflict, "feedback %s came with another API key: say the opposite, or undo it with 'sentinel feedback undo'", id)
	}
	f, err := p.parts.Feedback.UndoFeedback(ctx, id, time.Now().UTC(), by)
	if err != nil {
		return Feedback{}, err
	}
	p.revise(ctx)
	return f, nil
}

// spoken is how many words of an API key count, and when the first of them expires.
func (p *Pipeline) spoken(keyID string, now time.Time) (n int, first time.Time) {
	p.lessons.mu.RLock()
	defer p.lessons.mu.RUnlock()
	for i := range p.lessons.words {
		if f := &p.lessons.words[i]; f.KeyID == keyID && f.counts(now) {
			if n++; n == 1 || f.Expires.Before(first) {
				first = f.Expires
			}
		}
	}
	return n, first
}

// caseOf reads what a word is about.
func (p *Pipeline) caseOf(ctx context.Context, f *Feedback) (Case, error) {
	if f.Incident == "" {
		a, err := p.parts.Records.Anomaly(ctx, f.AnomalyID)
		if err != nil {
			return Case{}, err
		}
		return Case{Type: a.Type, Service: a.Service, Operation: a.Series.Operation, Series: []SeriesKey{a.Series}, Title: a.Reason, Text: a.Excerpt}, nil
	}
	in, err := p.parts.Records.Incident(ctx, f.Incident)
	if err != nil {
		return Case{}, err
	}
	c := Case{Type: in.Type, Title: in.Title}
	if len(in.Services) > 0 {
		c.Service = in.Services[0]
	}
	if in.Evidence != nil && in.Evidence.Abnormal != nil {
		c.Text = in.Evidence.Abnormal.Text
	}
	page, err := p.parts.Records.Anomalies(ctx, AnomalyQuery{IncidentID: in.ID, Type: in.Type, Limit: 1000})
	if err != nil {
		return Case{}, err
	}
	c.Series = mostCommon(page.Items, maxCaseSeries)
	if len(c.Series) > 0 {
		c.Service, c.Operation = c.Series[0].Service, c.Series[0].Operation
	}
	return c, nil
}

// mostCommon lists the series with most of the anomalies.
func mostCommon(anomalies []Anomaly, n int) []SeriesKey {
	counts := make(map[SeriesKey]int)
	var out []SeriesKey // by first sight
	for i := range anomalies {
		k := anomalies[i].Series
		if counts[k]++; counts[k] == 1 {
			out = append(out, k)
		}
	}
	slices.SortStableFunc(out, func(a, b SeriesKey) int { return cmp.Compare(counts[b], counts[a]) })
	return out[:min(n, len(out))]
}

// reviseAside looks at the words again beside the stream when it is time to: a store or an embedder that is slow delays nothing.
func (p *Pipeline) reviseAside(ctx context.Context) {
	if p.parts.Feedback == nil || !p.lessons.revising.TryLock() {
		return
	}
	if time.Since(p.lessons.revised) < reviseEvery {
		p.lessons.revising.Unlock()
		return
	}
	p.aside.Go(func() {
		defer p.lessons.revising.Unlock()
		p.reviseLocked(ctx)
	})
}

// revise looks at the words again at once.
func (p *Pipeline) revise(ctx context.Context) {
	p.lessons.revising.Lock()
	defer p.lessons.revising.Unlock()
	p.reviseLocked(ctx)
}

// reviseLocked derives from the stored words what they teach, and brings the memories up to date. What fails is tried again later.
// p.lessons.revising is held.
func (p *Pipeline) reviseLocked(ctx context.Context) {
	p.lessons.revised = time.Now()
	ctx, cancel := context.WithTimeout(ctx, reviseTimeout)
	defer cancel()
	words, err := p.readFeedback(ctx)
	if err == nil {
		list := deliberate(words, p.cfg.Feedback, time.Now())
		p.lessons.mu.Lock()
		p.lessons.words = words
		p.lessons.list, p.lessons.thresholds = list, thresholds(list, p.cfg.Feedback)
		p.lessons.mu.Unlock()
		p.m.judged(list)
		err = p.remember(ctx, words, list)
	}
	if err != nil {
		p.health.failed("feedback", err.Error())
		p.log.Error("feedback not taken up, it will be later", "error", err)
		return
	}
	p.health.worked("feedback")
}

// readFeedback reads the words, newest first, those that do not count any more among them: what they taught has to be forgotten.
func (p *Pipeline) readFeedback(ctx context.Context) ([]Feedback, error) {
	var out []Feedback
	for cursor := ""; len(out) < p.cfg.Feedback.MaxFeedback; {
		page, err := p.parts.Feedback.Feedback(ctx, "", cursor, min(1000, p.cfg.Feedback.MaxFeedback-len(out)))
		if err != nil {
			return nil, fmt.Errorf("engine: read feedback: %w", err)
		}
		out = append(out, page.Items...)
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	return out, nil
}

// remember makes each lens' memory hold the examples of the lessons that teach, and no others. p.lessons.revising is held.
func (p *Pipeline) remember(ctx context.Context, words []Feedback, list []Lesson) error {
	wanted := make(map[string]Memo, len(list))
	for i := range list {
		if m, ok := list[i].remembered(); ok {
			wanted[m.ID] = m
		}
	}
	var stale []string
	if p.lessons.kept == nil { // an earlier run may have taught what nobody stands for any more
		p.lessons.kept = make(map[string]Memo)
		for i := range words {
			if id := lessonID(words[i].subject()); wanted[id].ID == "" && !slices.Contains(stale, id) {
				stale = append(stale, id)
			}
		}
	}
	for id, m := range p.lessons.kept {
		if now := wanted[id]; now.Collection != m.Collection || now.Text != m.Text {
			stale = append(stale, id)
		}
	}
	if len(stale) > 0 {
		if err := p.forgetLessons(ctx, stale); err != nil {
			return err
		}
		for _, id := range stale {
			delete(p.lessons.kept, id)
		}
	}
	for id, m := range wanted {
		if _, ok := p.lessons.kept[id]; ok {
			continue
		}
		if err := p.rememberLesson(ctx, m); err != nil {
			return err
		}
		p.lessons.kept[id] = m
	}
	return nil
}

// rememberLesson puts an example into each lens' memory.
func (p *Pipeline) rememberLesson(ctx context.Context, m Memo) error {
	for _, lens := range p.lenses {
		vectors, err := lens.embed(ctx, []string{m.Text})
		if err != nil {
			return fmt.Errorf("engine: %s: %w", m.ID, err)
		}
		if !Usable(vectors[0]) {
			continue
		}
		item := m
		item.Vector, item.Collection.Model = vectors[0], lens.Embedder.Model()
		item.Text = excerpt(m.Text, p.cfg.Evidence.ExcerptBytes)
		if err := lens.Memory.Remember(ctx, []Memo{item}); err != nil {
			return fmt.Errorf("engine: %s: %w", m.ID, err)
		}
	}
	return nil
}

// forgetLessons takes examples out of each lens' memory, wherever an example can be.
func (p *Pipeline) forgetLessons(ctx context.Context, ids []string) error {
	places := map[Collection]bool{{Purpose: PurposeIncident, Kind: TextIncident}: true}
	for _, kind := range exampleKinds {
		places[Collection{Purpose: PurposeNormal, Kind: kind}] = true
		places[Collection{Purpose: PurposeAttack, Kind: kind}] = true
	}
	for _, lens := range p.lenses {
		for c := range places {
			c.Model = lens.Embedder.Model()
			if _, err := lens.Memory.Forget(ctx, Filter{Collection: c, IDs: ids}); err != nil {
				return fmt.Errorf("engine: forget %d lessons: %w", len(ids), err)
			}
		}
	}
	return nil
}

// recallFrom is the cosine similarity from which on a confirmed incident counts as like another one; recallMost bounds those of one.
const (
	recallFrom = 0.8
	recallMost = 2
)

// recall looks for incidents that people confirmed and whose title and example are like those of an active one: they are evidence.
func (p *Pipeline) recall(ctx context.Context, id string) {
	p.mu.Lock()
	x := p.grouper.find(id)
	var text string
	if x != nil {
		text = x.incident.Title
		if x.example != nil {
			text += "\n" + x.example.Text
		}
	}
	p.mu.Unlock()
	if text == "" || !p.confirmed() || len(p.lenses) == 0 {
		return
	}
	lens := p.lenses[len(p.lenses)-1] // the one that always learns
	vectors, err := lens.embed(ctx, []string{text})
	if err != nil || !Usable(vectors[0]) {
		return // told by embed
	}
	found, err := lens.Memory.Nearest(ctx, Query{
		Filter: Filter{Collection: Collection{PurposeIncident, TextIncident, lens.Embedder.Model()}}, Vector: vectors[0], K: recallMost + 1,
	})
	if err != nil {
		p.log.Error("confirmed incidents not recalled", "incident", id, "error", err)
		return
	}
	var past []PastIncident
	for _, n := range found {
		if n.Similarity >= recallFrom && n.Memo.Source != id && len(past) < recallMost {
			title, _, _ := strings.Cut(n.Memo.Text, "\n")
			past = append(past, PastIncident{ID: n.Memo.Source, Title: title, At: n.Memo.At, Similarity: n.Similarity})
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if x := p.grouper.find(id); x != nil && len(past) > 0 {
		known := p.similar(&x.incident)
		x.recalled = slices.DeleteFunc(past, func(a PastIncident) bool {
			return slices.ContainsFunc(known, func(b PastIncident) bool { return a.ID == b.ID })
		})
		p.renew(x)
	}
}

// confirmed reports whether people confirmed any incident.
func (p *Pipeline) confirmed() bool {
	p.lessons.mu.RLock()
	defer p.lessons.mu.RUnlock()
	return slices.ContainsFunc(p.lessons.list, func(l Lesson) bool { return l.Teaches && l.Verdict == TruePositive })
}

// judged exports how much of what was reported people found to be right. Without a verdict both are not a number.
func (m *metrics) judged(list []Lesson) {
	right, wrong := 0, 0
	for i := range list {
		switch list[i].Verdict {
		case TruePositive:
			right++
		case FalsePositive:
			wrong++
		}
	}
	m.lessons.WithLabelValues(TruePositive).Set(float64(right))
	m.lessons.WithLabelValues(FalsePositive).Set(float64(wrong))
	rate, low, high := math.NaN(), math.NaN(), math.NaN()
	if n := right + wrong; n > 0 {
		rate = float64(wrong) / float64(n)
		low, high = statistical.Wilson(wrong, n, confidence)
	}
	m.falsePositives.Set(rate)
	m.falsePositiveBound.WithLabelValues("lower").Set(low)
	m.falsePositiveBound.WithLabelValues("upper").Set(high)
	m.performance.Set(1 - high)
}

// confidence is that of the interval of the false positive rate, two-sided.
const confidence = 0.95
