package security

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// alpha is the level at which the tests take a finding for an anomaly: the engine's first one.
const alpha = 1e-4

// world makes events with a clock and chance of its own.
type world struct {
	t      testing.TB
	random *rand.Rand
	now    time.Time
	n      int
	s      *Screener
	found  []engine.Finding
}

func newWorld(t testing.TB, seed uint64, change ...func(*Config)) *world {
	t.Helper()
	return &world{
		t: t, random: rand.New(rand.NewPCG(seed, 7)), now: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC), s: newScreener(t, change...),
	}
}

func newScreener(t testing.TB, change ...func(*Config)) *Screener {
	t.Helper()
	cfg := DefaultConfig()
	for _, c := range change {
		c(&cfg)
	}
	s, err := New(cfg, prometheus.NewRegistry())
	require.NoError(t, err)
	return s
}

// event makes an attack by a key at the world's time.
func (w *world) event(key string, change ...func(*engine.SecurityEvent)) engine.SecurityEvent {
	w.n++
	e := engine.SecurityEvent{
		ID: fmt.Sprint("e-", w.n), At: w.now, Type: "jailbreak", Severity: engine.SeverityHigh, Service: "assistant", APIKey: key,
		Details: map[string]string{"pattern": "dan"},
	}
	for _, c := range change {
		c(&e)
	}
	return e
}

// send observes events and lets the watermark follow.
func (w *world) send(events ...engine.SecurityEvent) {
	w.s.Observe(events)
	w.found = append(w.found, w.s.Advance(w.now.Add(-30*time.Second))...)
}

// wait moves the clock by an exponential time with the mean given.
func (w *world) wait(mean time.Duration) {
	w.now = w.now.Add(time.Duration(w.random.ExpFloat64() * float64(mean)))
}

// trickle sends single events of random keys for a while, with the mean pause between them. make may change each.
func (w *world) trickle(lasts, pause time.Duration, keys int, change ...func(*engine.SecurityEvent)) {
	end := w.now.Add(lasts)
	for w.wait(pause); w.now.Before(end); w.wait(pause) {
		w.send(w.event(fmt.Sprint("key-", w.random.IntN(keys)), change...))
	}
	w.now = end
}

// burst sends n events of a key, evenly over a time.
func (w *world) burst(n int, lasts time.Duration, key string, change ...func(*engine.SecurityEvent)) {
	for range n {
		w.send(w.event(key, change...))
		w.now = w.now.Add(lasts / time.Duration(n))
	}
}

// anomalies are the findings that the engine would take for one.
func (w *world) anomalies() []engine.Finding {
	return slices.DeleteFunc(slices.Clone(w.found), func(f engine.Finding) bool { return f.Learning || !f.Material || f.P >= alpha })
}

// only demands that all anomalies are of one pattern about one subject, that there is at least one, and returns them.
func (w *world) only(pattern string, who engine.Subject) []engine.Finding {
	w.t.Helper()
	all := w.anomalies()
	require.NotEmpty(w.t, all)
	for _, f := range all {
		require.Equal(w.t, engine.SecurityPattern, f.Type)
		require.Equal(w.t, "security", f.Detector)
		require.Equal(w.t, pattern, string(f.Series.Operation), f.Reason)
		require.Equal(w.t, who, f.Subject, f.Reason)
		require.Positive(w.t, f.P)
		require.Positive(w.t, f.Window)
		require.NotEmpty(w.t, f.Reason)
	}
	return all
}

func (w *world) quiet() {
	w.t.Helper()
	for _, f := range w.anomalies() {
		require.Fail(w.t, "not quiet", "%s %v p=%g: %s", f.At, f.Subject, f.P, f.Reason)
	}
}

func key(value string) engine.Subject {
	return engine.Subject{Kind: engine.SubjectAPIKey, Value: value}
}

func trace(n int) engine.TraceID {
	var id engine.TraceID
	binary.BigEndian.PutUint64(id[8:], uint64(n+1))
	return id
}

// rhythm is how busy an hour is, between 0.2 and 1.8.
func rhythm(t time.Time) float64 { return 1 - 0.8*math.Cos(2*math.Pi*float64(t.Hour())/24) }
