package screen

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// crowd makes spans of many series of model calls.
type crowd struct {
	rng    *rand.Rand
	traces uint64
}

// span is a call of series n at a moment. Every name is a string of its own, as a decoder makes them.
func (c *crowd) span(n int, at time.Time, version string) engine.Span {
	c.traces++
	s := engine.Span{
		SpanID: engine.SpanID{1}, Name: "chat", Service: "assistant", Operation: engine.OpChat, Provider: "acme",
		Model: fmt.Sprintf("large-language-model-%d", n), ResponseModel: fmt.Sprintf("large-language-model-%d-%s", n, version),
		Agent: engine.Agent{Name: "helper"}, Region: "eu-central-1", User: "u",
		Start: at, End: at.Add(time.Duration(8e8 * math.Exp(0.5*c.rng.NormFloat64()))),
		Failed: c.rng.Float64() < 0.05,
		Usage:  engine.Usage{Input: int64(900 * math.Exp(0.5*c.rng.NormFloat64())), Output: int64(300 * math.Exp(0.5*c.rng.NormFloat64()))},
	}
	binary.BigEndian.PutUint64(s.TraceID[8:], c.traces)
	return s
}

// heap is what is in use once everything else was collected.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestMemoryOfASeries measures what a series takes: all that each of them has, its place in the tier's index too. Watchers are left out: what
// they take is bounded by themselves, however many series there are.
func TestMemoryOfASeries(t *testing.T) {
	const series = 1_000
	for _, c := range []struct {
		name             string
		windows, spans   int // closed windows, and spans in each
		open, challenged bool
		most             int64
	}{
		{"fresh: one span", 0, 1, true, false, 1_536},
		{"typical: 20 spans a window", 24, 20, true, false, 2_560},
		{"busy: 300 spans a window, two windows open, a new version on trial", 6, 300, true, true, 3_584},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScreen(t)
			s.watchers = nil
			crowd := &crowd{rng: rand.New(rand.NewPCG(1, 1))}
			now := began
			fill := func(version string) {
				for n := range series {
					spans := make([]engine.Span, c.spans)
					for i := range spans {
						spans[i] = crowd.span(n, now.Add(time.Duration(i)*time.Second/2), version)
					}
					s.Observe(spans)
				}
				now = now.Add(5 * time.Minute)
			}
			s.Observe([]engine.Span{crowd.span(series, now, "1")})
			before := heap()
			for range c.windows {
				fill("1")
				s.Advance(now)
			}
			fill("1")
			if c.challenged {
				fill("2")
			}
			took := (heap() - before) / series
			require.Equal(t, series+1, s.series.len())
			t.Logf("%d bytes a series", took)
			require.Less(t, took, c.most)
			runtime.KeepAlive(s)
		})
	}
}
