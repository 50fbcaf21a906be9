package security

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// BenchmarkObserve is the cost of one event, of 5,000 keys at twenty a second.
func BenchmarkObserve(b *testing.B) {
	w := newWorld(b, 1)
	events := make([]engine.SecurityEvent, 100_000)
	for i := range events {
		w.now = w.now.Add(50 * time.Millisecond)
		events[i] = w.event(fmt.Sprint("key-", w.random.IntN(5_000)), func(e *engine.SecurityEvent) {
			e.User, e.Details["session_id"] = fmt.Sprint("u-", w.random.IntN(8_000)), fmt.Sprint("s-", i/10)
		})
	}
	b.ReportAllocs()
	lap := 0
	for i := 0; b.Loop(); i++ {
		if i == len(events) {
			i, lap = 0, lap+1
		}
		e := events[i]
		e.ID, e.At = fmt.Sprint(lap, "-", e.ID), e.At.Add(time.Duration(lap)*5000*time.Second)
		w.s.Observe([]engine.SecurityEvent{e})
		if i%100 == 0 {
			w.s.Advance(e.At)
		}
	}
}

// BenchmarkAnswered is the cost of one trace.
func BenchmarkAnswered(b *testing.B) {
	w := newWorld(b, 1)
	tr := w.request(trace(1), "Here you are: a text of some length that is no refusal.", 2)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		tr.ID = trace(i)
		w.s.Answered(&tr)
	}
}

// BenchmarkSnapshot is the cost of writing the state once it is full.
func BenchmarkSnapshot(b *testing.B) {
	w := newWorld(b, 1)
	for i := range 30_000 {
		w.now = w.now.Add(50 * time.Millisecond)
		w.send(w.event(fmt.Sprint("k-", i)))
	}
	var buf bytes.Buffer
	for b.Loop() {
		buf.Reset()
		if err := w.s.Snapshot(&buf); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(buf.Len()), "bytes")
}
