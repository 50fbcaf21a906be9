package screen

import (
	"testing"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// BenchmarkObserve is the cost of one span on the hot path.
func BenchmarkObserve(b *testing.B) {
	w := newWorld(1)
	s := learnt(b, w)
	var spans []engine.Span
	for range 20 {
		spans = append(spans, w.traffic(nil)...)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		n := i % len(spans)
		s.Observe(spans[n : n+1])
	}
}

// BenchmarkScore is the cost of judging one trace of three spans.
func BenchmarkScore(b *testing.B) {
	w := newWorld(2)
	s := learnt(b, w)
	traces := engine.Traces(w.traffic(nil))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.Score(&traces[i%len(traces)])
	}
}
