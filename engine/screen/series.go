package screen

import (
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/statistical"
)

// baseline is what is normal for a series.
type baseline struct {
	Latency *statistical.Quantity // seconds
	Tokens  *statistical.Quantity // input and output of a model call
	Errors  *statistical.Proportion
}

func newBaseline(cfg Config) baseline {
	q := statistical.QuantityConfig{HalfLife: cfg.HalfLife, MinCount: cfg.MinSamples}
	return baseline{
		Latency: statistical.NewQuantity(q),
		Tokens:  statistical.NewQuantity(q),
		Errors:  statistical.NewProportion(statistical.ProportionConfig{HalfLife: cfg.HalfLife, MinCount: cfg.MinSamples}),
	}
}

// learn takes in a closed window.
func (b *baseline) learn(w *window) {
	for _, p := range w.Latency {
		b.Latency.Add(w.Start, p.Seconds)
	}
	for _, x := range b.ordinary(w.Tokens) {
		b.Tokens.Add(w.Start, x)
	}
	b.Errors.Add(w.Start, w.Failed, w.Spans)
}

// ordinary leaves out tokens that are extreme, unless most are: one who floods a series must not become its normal, but a new
// prompt that makes every call longer must.
func (b *baseline) ordinary(tokens []float64) []float64 {
	if b.Tokens.Learning() {
		return tokens
	}
	out := make([]float64, 0, len(tokens))
	for _, x := range tokens {
		if b.Tokens.UpperP(x) >= notLearnt {
			out = append(out, x)
		}
	}
	if 2*len(out) < len(tokens) {
		return tokens
	}
	return out
}

// series is one baseline with its windows.
type series struct {
	key      engine.SeriesKey
	provider string // of the latest span: the key's model belongs to it
	base     baseline
	timeline timeline
	versions versions
	strange  time.Time // since when its windows show something; zero when calm
	random   uint64    // state of the sampling of a full window
}

// poolKey names the pool whose error proportion stands in for a series that has not seen enough.
func poolKey(k engine.SeriesKey) engine.SeriesKey {
	return engine.SeriesKey{Service: k.Service, Operation: k.Operation}
}

// add takes a span into a window. ownFault is false when a child of the span failed and it only passed that on.
func (s *series) add(w *window, span *engine.Span, ownFault bool) {
	w.Spans++
	if span.Failed && ownFault {
		w.Failed++
		w.Errors = appendTrace(w.Errors, span.TraceID)
	}
	// A failure ends early or at a time limit: neither says how fast the operation is.
	if !span.Failed {
		s.sample(w, point{span.Duration().Seconds(), span.TraceID})
	}
	if tokens := span.Usage.Total(); tokens > 0 && len(w.Tokens) < maxPoints {
		w.Tokens = append(w.Tokens, float64(tokens))
	}
}

// sample keeps a uniform sample of the window's latencies.
func (s *series) sample(w *window, p point) {
	if len(w.Latency) < maxPoints {
		w.Latency = append(w.Latency, p)
		return
	}
	s.random = s.random*6364136223846793005 + 1442695040888963407 // Knuth's linear congruential generator
	if i := int(s.random>>33) % w.Spans; i < maxPoints {
		w.Latency[i] = p
	}
}
