package screen

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/statistical"
)

// leastFailures is how many failures a window finding needs, whatever the proportion.
const leastFailures = 3

// errorsOfWindow tests the proportion of failures against the baseline's, over one window and over longer horizons.
func (s *Screen) errorsOfWindow(x *series, w *window) (engine.Finding, bool) {
	base, known := errorBaseline(x.base.Errors, s.pool(x.key))
	f := engine.Finding{
		Type: engine.ErrorRate, Detector: "errors", At: w.Start.Add(s.cfg.Window), Window: s.cfg.Window, Series: x.key, P: 1, Learning: !known,
	}
	if !known {
		return f, true
	}
	for _, n := range horizons {
		sum := x.timeline.over(n, s.cfg.Window, failing)
		if sum.Failed < leastFailures {
			continue
		}
		p := base.UpperP(sum.Failed, sum.Spans)
		if p < f.P {
			f.P, f.Window = p, f.At.Sub(sum.Start)
			f.Effect = engine.Effect{Baseline: base.Rate(), Current: float64(sum.Failed) / float64(sum.Spans), Unit: "ratio"}
			// What is over is not told again: the latest window must stand out too.
			now := float64(w.Failed) / float64(max(1, w.Spans))
			f.Material = min(now, f.Effect.Current)-f.Effect.Baseline >= s.cfg.ErrorExcess
		}
	}
	f.P = min(1, f.P*float64(len(horizons)))
	f.Traces = w.Errors
	f.Reason = fmt.Sprintf("%.0f %% of %s fail, normally %.1f %%", 100*f.Effect.Current, x.key, 100*f.Effect.Baseline)
	return f, true
}

// blame says whom the failures of one moment are about: the provider when all that it serves fails alike, else the model, else
// the tool, else the service. moment is every series with a window that ended then.
func (s *Screen) blame(f *engine.Finding, x *series, moment []*series) {
	levels := []struct {
		subject engine.Subject
		same    func(*series) bool
	}{
		{engine.Subject{Kind: engine.SubjectProvider, Value: x.provider}, func(y *series) bool { return y.provider == x.provider && y.key.Operation.IsModelCall() }},
		{engine.Subject{Kind: engine.SubjectModel, Value: x.key.Model}, func(y *series) bool { return y.key.Model == x.key.Model }},
		{engine.Subject{Kind: engine.SubjectTool, Value: x.key.Tool}, func(y *series) bool { return y.key.Tool == x.key.Tool }},
	}
	windows := int(f.Window / s.cfg.Window)
	for _, level := range levels {
		if level.subject.Value == "" {
			continue
		}
		var failed, spans int
		for _, y := range moment {
			if level.same(y) {
				sum := y.timeline.over(windows, s.cfg.Window, failing)
				failed += sum.Failed
				spans += sum.Spans
			}
		}
		// Alike: the whole fails at least at half the rate of the part that was noticed.
		if spans > 0 && 2*float64(failed)/float64(spans) >= f.Effect.Current {
			f.Subject = level.subject
			return
		}
	}
	f.Subject = engine.Subject{Kind: engine.SubjectService, Value: x.key.Service}
}

// errorsOfTrace tests the number of failed spans of a trace, those that only pass a child's failure on left out.
func (s *Screen) errorsOfTrace(t *engine.Trace) (engine.Finding, bool) {
	f := engine.Finding{Type: engine.ErrorRate, Detector: "errors", At: t.End(), TraceID: t.ID, P: 1}
	passedOn := make(map[engine.SpanID]bool)
	for i := range t.Spans {
		if t.Spans[i].Failed {
			passedOn[t.Spans[i].Parent] = true
		}
	}
	var failed, spans int
	var expected float64
	types := make(map[string]int)
	for i := range t.Spans {
		span := &t.Spans[i]
		pool, _ := s.pools.Peek(poolKey(span.Series()))
		base, known := errorBaseline(s.baseline(span).Errors, pool)
		if !known {
			continue
		}
		spans++
		expected += min(0.5, base.Rate())
		if !span.Failed || passedOn[span.SpanID] {
			continue
		}
		if failed == 0 {
			f.SpanID, f.Series = span.SpanID, span.Series()
			f.Subject = culprit(span)
		}
		failed++
		types[cmp.Or(span.ErrorType, "error")]++
		if len(f.Spans) < maxTraces {
			f.Spans = append(f.Spans, span.SpanID)
		}
	}
	if spans == 0 {
		f.Learning = true
		return f, true
	}
	rate := expected / float64(spans)
	f.Effect = engine.Effect{Baseline: rate, Current: float64(failed) / float64(spans), Unit: "ratio"}
	f.Material = failed > 0
	if failed == 0 {
		f.Series = t.Lead().Series()
		f.Reason = "no failure"
		return f, true
	}
	f.P = statistical.BinomialUpperP(failed, spans, rate)
	f.Reason = fmt.Sprintf("%d of %d spans failed (%s), normally %.1f %%", failed, spans, commonest(types), 100*rate)
	return f, true
}

// culprit is whom a failed span is laid to when nothing else is known: who was called, else the service.
func culprit(s *engine.Span) engine.Subject {
	switch {
	case s.Operation.IsModelCall() && s.Provider != "":
		return engine.Subject{Kind: engine.SubjectProvider, Value: s.Provider}
	case s.Tool.Name != "":
		return engine.Subject{Kind: engine.SubjectTool, Value: s.Tool.Name}
	}
	return engine.Subject{Kind: engine.SubjectService, Value: s.Service}
}

// errorBaseline is the proportion to judge by: the series' own where it has seen enough, its pool's otherwise. Proportions of like
// operations can stand in for each other; latencies and tokens cannot, since a slower tool is not a fault.
func errorBaseline(own, pool *statistical.Proportion) (base *statistical.Proportion, known bool) {
	if !own.Learning() {
		return own, true
	}
	if pool != nil && !pool.Learning() {
		return pool, true
	}
	return own, false
}

func commonest(counts map[string]int) string {
	best := ""
	for k, n := range counts {
		if best == "" || n > counts[best] || n == counts[best] && k < best {
			best = k
		}
	}
	return best
}

// passedOn remembers, for a short while, the spans whose child failed: their own failure is not theirs.
type passedOn struct {
	spans map[spanRef]struct{}
	order []spanRef
}

type spanRef struct {
	Trace engine.TraceID
	Span  engine.SpanID
}

const passedOnKept = 10_000

func (p *passedOn) note(trace engine.TraceID, parent engine.SpanID) {
	if parent.IsZero() {
		return
	}
	ref := spanRef{trace, parent}
	if _, have := p.spans[ref]; have {
		return
	}
	if len(p.order) >= passedOnKept {
		delete(p.spans, p.order[0])
		p.order = p.order[1:]
	}
	p.spans[ref] = struct{}{}
	p.order = append(p.order, ref)
}

func (p *passedOn) has(trace engine.TraceID, span engine.SpanID) bool {
	_, ok := p.spans[spanRef{trace, span}]
	return ok
}

// sortFindings sorts findings by time and series for a stable order of what is reported.
func sortFindings(list []engine.Finding) {
	slices.SortStableFunc(list, func(a, b engine.Finding) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Series.String(), b.Series.String()), cmp.Compare(a.Detector, b.Detector), cmp.Compare(a.Subject.Value, b.Subject.Value))
	})
}
