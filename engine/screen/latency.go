package screen

import (
	"cmp"
	"fmt"
	"math"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/statistical"
)

// conspicuous is the p-value below which a span counts as abnormal when evidence is gathered.
const conspicuous = 0.02

// latencyOfWindow tests whether more of the latencies than chance allows lie in the upper quarter or twentieth of the
// baseline, over one window and over longer horizons. Counting exceedances instead of adding up sizes keeps one very slow
// request from standing for many.
func (s *Screen) latencyOfWindow(x *series, w *window) (engine.Finding, bool) {
	base, known := x.base.Latency, !x.base.Latency.Learning()
	count := w.Latency.Count()
	t := tally{Start: w.Start, Points: min(count, maxPoints), Spans: w.Spans, Failed: w.Failed}
	if known && count > 0 {
		share := float64(t.Points) / float64(count)
		t.Above25 = int(share*float64(base.Exceeding(&w.Latency, 0.25)) + 0.5)
		t.Above05 = int(share*float64(base.Exceeding(&w.Latency, 0.05)) + 0.5)
	}
	x.timeline.close(t, s.cfg.Window)
	f := engine.Finding{
		Type: engine.LatencySpike, Detector: "latency", At: w.Start.Add(s.cfg.Window), Window: s.cfg.Window, Series: x.key,
		Subject: engine.Subject{Kind: engine.SubjectService, Value: x.key.Service}, P: 1, Learning: !known,
	}
	if !known || count == 0 {
		return f, known
	}
	for _, n := range horizons {
		sum := x.timeline.over(n, s.cfg.Window, slow)
		if sum.Points < 3 {
			continue
		}
		p := min(exceedP(sum.Above25, sum.Points, 0.25, base.Count()), exceedP(sum.Above05, sum.Points, 0.05, base.Count()))
		if p < f.P {
			f.P, f.Window = p, f.At.Sub(sum.Start)
		}
	}
	f.P = min(1, f.P*float64(2*len(horizons))) // as many looks
	f.Effect = largerEffect(w.Latency.Quantile, base)
	f.Material = s.slower(f.Effect)
	f.Traces = w.slowTraces(func(seconds float64) bool { return base.UpperP(seconds) < 0.05 })
	f.Reason = fmt.Sprintf("%s takes %s, normally %s", x.key, seconds(f.Effect.Current), seconds(f.Effect.Baseline))
	return f, true
}

// exceedP is the chance that k of n values lie above a quantile that leaves the share level above it and was itself estimated from
// count values: the true share above it is Beta distributed (the law of order statistics).
func exceedP(k, n int, level, count float64) float64 {
	return statistical.BetaBinomialUpperP(k, n, level*(count+1), (1-level)*(count+1))
}

// largerEffect compares the median and the upper quartile of some values with the baseline's and returns the one that moved more: a slow
// minority moves only the quartile.
func largerEffect(quantile func(p float64) float64, base *statistical.Quantity) engine.Effect {
	var out engine.Effect
	for _, q := range []float64{0.5, 0.75} {
		e := engine.Effect{Baseline: base.Quantile(q), Current: quantile(q), Unit: "s"}
		if out.Unit == "" || e.Ratio() > out.Ratio() {
			out = e
		}
	}
	return out
}

func (s *Screen) slower(e engine.Effect) bool {
	return e.Ratio() >= s.cfg.LatencyRatio && e.Current-e.Baseline >= s.cfg.LatencyExcess.Seconds()
}

// latencyOfTrace compares each span of a trace with its series.
func (s *Screen) latencyOfTrace(t *engine.Trace) (engine.Finding, bool) {
	return s.worstSpan(t, engine.Finding{Type: engine.LatencySpike, Detector: "latency"}, func(span *engine.Span, base *baseline) (float64, engine.Effect, bool, bool) {
		if span.Failed {
			return 1, engine.Effect{}, false, false
		}
		if base.Latency.Learning() {
			return 1, engine.Effect{}, false, true
		}
		x := span.Duration().Seconds()
		e := engine.Effect{Baseline: base.Latency.Median(), Current: x, Unit: "s"}
		return base.Latency.UpperP(x), e, s.slower(e), false
	}, func(span *engine.Span, e engine.Effect) string {
		return fmt.Sprintf("%s took %s, normally %s", span.Name, seconds(e.Current), seconds(e.Baseline))
	})
}

// worstSpan scores every span that applies and combines the p-values of those whose effect matters. Spans that say learning
// make the finding a learning one only when no other span is known.
func (s *Screen) worstSpan(
	t *engine.Trace, f engine.Finding,
	score func(span *engine.Span, base *baseline) (p float64, e engine.Effect, material, learning bool),
	reason func(span *engine.Span, e engine.Effect) string,
) (engine.Finding, bool) {
	f.At, f.TraceID, f.P = t.End(), t.ID, 1
	var ps []float64
	worst, worstP, learning := -1, 2.0, false
	var worstEffect engine.Effect
	for i := range t.Spans {
		span := &t.Spans[i]
		p, e, material, young := score(span, s.baseline(span))
		if young {
			learning = true
			continue
		}
		if e.Unit == "" {
			continue
		}
		if !material {
			p = 1
		} else if p < conspicuous && len(f.Spans) < maxTraces {
			f.Spans = append(f.Spans, span.SpanID)
		}
		ps = append(ps, p)
		if p < worstP || p == worstP && e.Ratio() > worstEffect.Ratio() {
			worst, worstP, worstEffect = i, p, e
			f.Material = material
		}
	}
	if worst < 0 {
		f.Learning = learning
		return f, learning
	}
	span := &t.Spans[worst]
	f.P = statistical.Cauchy(ps, nil)
	f.Effect, f.SpanID, f.Series = worstEffect, span.SpanID, span.Series()
	f.Reason = reason(span, worstEffect)
	return f, true
}

// seconds renders a duration in seconds for a reader.
func seconds(x float64) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return "an unknown time"
	}
	d := time.Duration(x * float64(time.Second))
	switch {
	case d >= 10*time.Second:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	}
	return cmp.Or(d.Round(time.Millisecond), d.Round(time.Microsecond)).String()
}
