package screen

import (
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/statistical"
)

// Sizes of a series' histograms: quantiles within 4 % while values span a factor of 150 and 24.
const (
	baselineBuckets = 64
	usageBuckets    = 40
)

// baseline is what is normal for a series.
type baseline struct {
	Latency *statistical.Quantity // seconds
	Tokens  *statistical.Quantity // input and output of a model call
	Errors  *statistical.Proportion
}

func newBaseline(cfg Config) baseline {
	q := statistical.QuantityConfig{HalfLife: cfg.HalfLife, MinCount: cfg.MinSamples, Buckets: baselineBuckets}
	usage := q
	usage.Buckets = usageBuckets
	return baseline{
		Latency: statistical.NewQuantity(q),
		Tokens:  statistical.NewQuantity(usage),
		Errors:  statistical.NewProportion(statistical.ProportionConfig{HalfLife: cfg.HalfLife, MinCount: cfg.MinSamples}),
	}
}

// fresh is a baseline like b that has learnt nothing.
func (b *baseline) fresh() baseline {
	return baseline{b.Latency.Fresh(), b.Tokens.Fresh(), b.Errors.Fresh()}
}

// learn takes in a closed window.
func (b *baseline) learn(w *window) {
	b.Latency.AddSample(w.Start, &w.Latency, maxPoints, func(float64) bool { return true })
	b.Tokens.AddSample(w.Start, &w.Tokens, maxPoints, b.ordinary(&w.Tokens))
	b.Errors.Add(w.Start, w.Failed, w.Spans)
}

// ordinary tells which tokens to learn: not those that are extreme, unless most are. One who floods a series must not become its
// normal, but a new prompt that makes every call longer must.
func (b *baseline) ordinary(tokens *statistical.Sample) func(float64) bool {
	if b.Tokens.Learning() || 2*b.Tokens.Exceeding(tokens, notLearnt) > tokens.Count() {
		return func(float64) bool { return true }
	}
	limit := b.Tokens.Limit(tokens, notLearnt)
	return func(x float64) bool { return x < limit }
}

// series is one baseline with its windows. Where it stands in the index is part of it, since a pointer apart takes memory.
type series struct {
	place
	key      engine.SeriesKey
	provider string // of the latest span: the key's model belongs to it
	base     baseline
	timeline timeline
	versions versions
	strange  time.Time // since when its windows show something; zero when calm

	generation int64      // of its row, of when it was last marked
	dirty      bool       // it changed since it was last marked
	due        bool       // it was marked, and has not changed since
	pending    bool       // its row on the shelf is not read yet
	held       []heldSpan // what happened to it meanwhile
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
		w.Errors = appendTrace(w.Errors, span.TraceID, maxSlow)
	}
	// A failure ends early or at a time limit: neither says how fast the operation is.
	if !span.Failed {
		w.addLatency(span.Duration().Seconds(), span.TraceID)
	}
	if tokens := span.Usage.Total(); tokens > 0 {
		w.Tokens.Add(float64(tokens))
	}
}
