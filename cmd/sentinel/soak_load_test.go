package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// message is one message of the load.
type message struct {
	service string
	burst   bool // of its known incident
	at      time.Time
	body    []byte
}

// load is the traffic in the order in which it is delivered: of several services side by side, each with a burst of errors of its own
// provider; some messages twice, and neighbours exchanged.
func (s *soak) load(t *testing.T) []message {
	t.Helper()
	var calls []message
	begin := time.Now().Add(-72 * time.Hour).Truncate(time.Hour)
	n := 4 + s.kills/5
	for i := range n {
		name := fmt.Sprintf("service-%d", i)
		s.bursts[name] = &period{}
		f := newTraffic(name, begin)
		f.silent = true
		add := func(n int, every time.Duration, burst bool) {
			traces := f.calls(n, every, func(i int, span ptrace.Span) {
				span.SetName("chat model-of-" + name)
				span.Attributes().PutStr("gen_ai.request.model", "model-of-"+name)
				span.Attributes().PutStr("gen_ai.provider.name", "provider-of-"+name)
				if burst {
					failing(i, span)
				}
			})
			for k, body := range encoded(t, traces) {
				calls = append(calls, message{name, burst, spansOf(traces[k])[0].EndTimestamp().AsTime(), body})
			}
		}
		add(600+i*60, 30*time.Second, false) // half an hour lies between the beginnings of two bursts of twenty minutes
		add(120, 10*time.Second, true)
		add(60+(n-1-i)*60, 30*time.Second, false)
	}
	slices.SortStableFunc(calls, func(a, b message) int { return a.at.Compare(b.at) })
	out := make([]message, 0, len(calls))
	for i, c := range calls {
		out = append(out, c)
		if i >= 3 && rand.IntN(10) == 0 {
			out = append(out, calls[i-rand.IntN(3)])
			s.repeated++
		}
	}
	for i := 1; i < len(out); i++ {
		if rand.IntN(5) == 0 {
			out[i-1], out[i] = out[i], out[i-1]
			s.moved++
		}
	}
	return out
}
