package scenarios

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

var start = time.Date(2025, 10, 6, 22, 0, 0, 0, time.UTC)

// calls are n model calls of a service that end in one minute, each of so many seconds.
func calls(minute, n int, seconds float64, change func(i int, s *engine.Span)) []engine.Span {
	out := make([]engine.Span, n)
	for i := range out {
		end := start.Add(time.Duration(minute) * time.Minute)
		out[i] = engine.Span{
			Service: "care-desk", Provider: "boreal", Operation: engine.OpChat, Parent: engine.SpanID{1},
			Start: end.Add(-time.Duration(seconds * float64(time.Second))), End: end,
		}
		if change != nil {
			change(i, &out[i])
		}
	}
	return out
}

func TestThresholds(t *testing.T) {
	raw := newRawMetrics(5 * time.Minute)
	for m := 0; m < 60; m += 5 { // calm: 1 s, 1 of 100 fails in every other window, 10 tokens
		raw.add(calls(m, 100, 1, func(i int, s *engine.Span) { s.Failed = i == 0 && m%10 == 0 }))
		raw.add(calls(m, 1, 1, func(_ int, s *engine.Span) { s.User, s.Usage.Input = "u-1", 10 }))
		raw.add([]engine.Span{{Service: "care-desk", End: start.Add(time.Duration(m) * time.Minute)}}) // a root
	}
	raw.add(calls(70, 100, 4, nil))                                                // slow
	raw.add(calls(95, 100, 4, nil))                                                // within what joins
	raw.add(calls(140, 100, 4, nil))                                               // anew
	raw.add(calls(170, 3, 60, nil))                                                // too few to say anything
	raw.add(calls(200, 100, 1, func(i int, s *engine.Span) { s.Failed = i < 40 })) // failing
	raw.add(calls(230, 10, 1, func(_ int, s *engine.Span) { s.User, s.Usage.Output = "u-2", 51 }))
	raw.add(calls(260, 10, 1, func(_ int, s *engine.Span) { s.User, s.Usage.Output = "u-2", 50 })) // at the threshold, not above
	for range 11 {
		raw.add([]engine.Span{{Service: "care-desk", End: start.Add(290 * time.Minute)}})
	}

	at := func(minute int) time.Time { return start.Add(time.Duration(minute) * time.Minute) }
	type want struct {
		metric, kind, subject, cause string
		from, to, told               int
	}
	var got []want
	for _, a := range raw.alarms(at(60)) {
		got = append(got, want{a.Metric, a.Found.Type, a.Found.Subject, a.Found.CauseKind,
			int(a.Found.Start.Sub(start).Minutes()), int(a.Found.End.Sub(start).Minutes()), int(a.At.Sub(start).Minutes())})
		require.Equal(t, a.Found.Subject, a.Found.CauseSubject)
	}
	require.Equal(t, []want{
		{"latency p95", "latency_spike", "care-desk", "service", 70, 100, 75},
		{"latency p95", "latency_spike", "care-desk", "service", 140, 145, 145},
		{"error share", "error_rate", "boreal", "provider", 200, 205, 205},
		{"tokens a user", "token_abuse", "u-2", "user", 230, 235, 235},
		{"requests", "traffic", "care-desk", "service", 290, 295, 295},
	}, got)
	require.Empty(t, newRawMetrics(time.Minute).alarms(start))
}

// Without calm history there is no threshold, and without a threshold no alarm.
func TestNoThresholdWithoutHistory(t *testing.T) {
	raw := newRawMetrics(5 * time.Minute)
	raw.add(calls(70, 100, 4, nil))
	require.Empty(t, raw.alarms(start))
}
