package security

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// busy is a world in which a bit of everything happened.
func busy(t testing.TB, change ...func(*Config)) *world {
	w := newWorld(t, 1, change...)
	types := []string{"jailbreak", "login_failed", "login_succeeded", "rate_limit_exceeded", "key_used"}
	w.trickle(36*time.Hour, 30*time.Second, 100, func(e *engine.SecurityEvent) {
		e.Type, e.TraceID = types[w.random.IntN(len(types))], trace(w.n)
		e.Details["action"], e.Details["country"] = "detected", []string{"DE", "FR"}[w.random.IntN(2)]
		if w.random.IntN(2) == 0 {
			tr := w.request(e.TraceID, "Sure", 0)
			tr.Spans[0].APIKey = e.APIKey
			w.s.Answered(&tr)
		}
	})
	w.burst(25, 5*time.Minute, "thief")
	return w
}

func TestRestoredScreenerAnswersTheSame(t *testing.T) {
	t.Parallel()
	unusual := func(c *Config) {
		c.MaxSubjects, c.MaxSignatures, c.MaxTraces, c.MaxEvents, c.MinWindows = 60, 3, 40, 500, 20
	}
	w := busy(t, unusual)
	w.s.Observe([]engine.SecurityEvent{w.event("thief")}) // something that waits for Advance
	var buf bytes.Buffer
	require.NoError(t, w.s.Snapshot(&buf))
	after := newScreener(t, unusual)
	require.NoError(t, after.Restore(&buf))

	before := w.s
	for range 3_000 {
		w.wait(30 * time.Second)
		e := w.event(fmt.Sprint("key-", w.random.IntN(100)), func(e *engine.SecurityEvent) {
			e.TraceID, e.Details["action"] = trace(w.n), "allowed"
		})
		events := []engine.SecurityEvent{e}
		if w.random.IntN(3) == 0 {
			events = append(events, w.event("thief"), w.event("newcomer"), e)
		}
		tr := w.request(e.TraceID, "Sure", 0)
		for _, s := range []*Screener{before, after} {
			s.Observe(events)
			s.Answered(&tr)
		}
		require.Equal(t, before.Advance(w.now), after.Advance(w.now))
	}
	want, err := before.write()
	require.NoError(t, err)
	got, err := after.write()
	require.NoError(t, err)
	require.Equal(t, want.Peers, got.Peers)
	require.Equal(t, want.Recidivism, got.Recidivism)
	require.Equal(t, want.Seen, got.Seen)
	require.Equal(t, want.Violators, got.Violators)
}

func TestCorruptSnapshotIsAnErrorAndChangesNothing(t *testing.T) {
	t.Parallel()
	w := busy(t)
	var buf bytes.Buffer
	require.NoError(t, w.s.Snapshot(&buf))
	whole := buf.Bytes()
	require.Error(t, w.s.Restore(bytes.NewReader(nil)))
	require.Error(t, w.s.Restore(bytes.NewReader(whole[:len(whole)/2])))
	require.Error(t, newScreener(t, func(c *Config) { c.Window = 5 * time.Minute }).Restore(bytes.NewReader(whole)))
	for name, change := range map[string]func(*snapshot){
		"another format":  func(in *snapshot) { in.Format++ },
		"no sketch":       func(in *snapshot) { in.Activities.Heavy = nil },
		"a negative time": func(in *snapshot) { in.Folded = -1 },
		"a negative tick": func(in *snapshot) {
			for k, x := range in.Activities.Items {
				x.Ring.Newest = -5
				in.Activities.Items[k] = x
			}
		},
		"an endless past": func(in *snapshot) {
			for k, x := range in.Services.Items {
				x.Crowd.Ring.Newest = math.MaxInt64
				in.Services.Items[k] = x
			}
		},
		"no rate": func(in *snapshot) {
			for k, x := range in.Signatures.Items {
				x.Rate = nil
				in.Signatures.Items[k] = x
			}
		},
		"sums of nothing": func(in *snapshot) {
			for k, x := range in.Peers {
				x.Beyond.N = math.NaN()
				in.Peers[k] = x
			}
		},
		"an impossible hour": func(in *snapshot) {
			for k, x := range in.Habits.Items {
				x.Hour = -1
				in.Habits.Items[k] = x
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := snapshot{}
			require.NoError(t, gob.NewDecoder(bytes.NewReader(whole)).Decode(&in))
			change(&in)
			var out bytes.Buffer
			require.NoError(t, gob.NewEncoder(&out).Encode(in))
			n := len(w.s.activities.items)
			require.Error(t, w.s.Restore(&out))
			require.Len(t, w.s.activities.items, n)
		})
	}
}

// FuzzRestore shows that whatever can be restored can be worked with.
func FuzzRestore(f *testing.F) {
	w := newWorld(f, 4)
	w.trickle(3*time.Hour, 5*time.Minute, 5)
	var buf bytes.Buffer
	require.NoError(f, w.s.Snapshot(&buf))
	f.Add(buf.Bytes())
	f.Add(buf.Bytes()[:buf.Len()/3])
	f.Add([]byte{})
	more := []engine.SecurityEvent{w.event("key-1"), w.event("key-2", func(e *engine.SecurityEvent) { e.At = e.At.Add(24 * time.Hour) })}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := New(DefaultConfig(), prometheus.NewRegistry())
		require.NoError(t, err)
		if s.Restore(bytes.NewReader(data)) != nil {
			return
		}
		s.Observe(more)
		s.Advance(w.now.Add(48 * time.Hour))
	})
}
