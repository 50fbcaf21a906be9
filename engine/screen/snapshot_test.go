package screen

import (
	"bytes"
	"encoding/gob"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func TestRestoredScreenAnswersTheSame(t *testing.T) {
	t.Parallel()
	// A configuration unlike the default: what was learnt must not bring another one with it.
	unusual := func(c *Config) {
		c.MinSamples, c.MinWindows, c.HalfLife, c.AdoptAfter, c.MaxUsers = 300, 40, 5*time.Hour, 3*time.Hour, 8
	}
	w := newWorld(1)
	before := newScreen(t, unusual)
	w.play(before, 120, nil)
	newVersion := func(r *request) bool {
		if r.model == "large" {
			r.version, r.chat = "large-02", r.chat*3/2
		}
		return true
	}
	w.play(before, 10, newVersion)
	before.Observe(w.traffic(newVersion)) // an open window

	var buf bytes.Buffer
	require.NoError(t, before.Snapshot(&buf))
	after := newScreen(t, unusual)
	require.NoError(t, after.Restore(&buf))
	require.Equal(t, before.States(), after.States())

	trouble := func(r *request) bool {
		if r.provider == "other" {
			r.chatError = "503"
		}
		r.cost *= 5
		if r.user < "user-c" {
			r.tokens *= 30
		}
		return newVersion(r)
	}
	for n := range 80 {
		change := newVersion
		if n > 20 && n < 70 {
			change = trouble // longer than it takes to be adopted
		}
		spans := w.traffic(change)
		before.Observe(spans)
		after.Observe(spans)
		for _, trace := range engine.Traces(spans) {
			require.Equal(t, before.Score(&trace), after.Score(&trace))
		}
		require.Equal(t, before.Advance(w.now), after.Advance(w.now))
	}
	require.Equal(t, before.States(), after.States())
}

func TestRestoreFollowsTodaysConfiguration(t *testing.T) {
	t.Parallel()
	w := newWorld(2)
	before := learnt(t, w)
	var buf bytes.Buffer
	require.NoError(t, before.Snapshot(&buf))
	strict := newScreen(t, func(c *Config) { c.MinSamples, c.MaxSeries = 1_000_000, 2 })
	require.NoError(t, strict.Restore(&buf))
	require.Len(t, strict.States(), 2)
	for _, st := range strict.States() {
		require.True(t, st.Learning)
	}
}

func TestCorruptSnapshotIsAnError(t *testing.T) {
	t.Parallel()
	w := newWorld(3)
	s := newScreen(t)
	w.play(s, 20, nil)
	var buf bytes.Buffer
	require.NoError(t, s.Snapshot(&buf))
	whole := buf.Bytes()

	require.Error(t, newScreen(t).Restore(bytes.NewReader(nil)))
	require.Error(t, newScreen(t).Restore(bytes.NewReader(whole[:len(whole)/2])))

	encode := func(change func(*snapshot)) *bytes.Buffer {
		in, err := s.state()
		require.NoError(t, err)
		change(&in)
		var out bytes.Buffer
		require.NoError(t, gob.NewEncoder(&out).Encode(in))
		return &out
	}
	for name, change := range map[string]func(*snapshot){
		"another format":         func(in *snapshot) { in.Format++ },
		"a series cut short":     func(in *snapshot) { in.Series[0] = in.Series[0][:len(in.Series[0])-1] },
		"a series of bytes":      func(in *snapshot) { in.Series[0] = append(in.Series[0], 0) },
		"another form of series": func(in *snapshot) { in.Series[0][0]++ },
		"a pool of nothing":      func(in *snapshot) { in.Pools[0].Learnt = nil },
		"a service cut short":    func(in *snapshot) { in.Services[0].Learnt[0] = in.Services[0].Learnt[0][:3] },
		"a bad correction":       func(in *snapshot) { in.Inflation["latency"] = []byte("no") },
		"an impossible window": func(in *snapshot) {
			x, err := readSeries(&s.nothing, in.Series[0])
			require.NoError(t, err)
			x.timeline.open = []*window{{Spans: 1, Failed: 2}}
			in.Series[0], err = x.MarshalBinary()
			require.NoError(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			broken := newScreen(t)
			w.play(broken, 5, nil)
			states := broken.States()
			require.Error(t, broken.Restore(encode(change)))
			require.Equal(t, states, broken.States(), "half of a snapshot is not kept")
			w.play(broken, 3, nil)
		})
	}
}

// FuzzRestore shows that whatever can be restored can be worked with.
func FuzzRestore(f *testing.F) {
	w := newWorld(4)
	s := newScreen(f, func(c *Config) { c.MaxSeries, c.MaxServices, c.MaxUsers = 4, 2, 3 })
	w.perHour = 60
	w.play(s, 4, nil)
	s.Observe(w.traffic(func(r *request) bool { r.version = "2"; return true }))
	var buf bytes.Buffer
	require.NoError(f, s.Snapshot(&buf))
	f.Add(buf.Bytes())
	f.Add(buf.Bytes()[:buf.Len()/3])
	f.Add([]byte{})
	more := w.traffic(nil)
	traces := engine.Traces(more)
	now := w.now
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := New(DefaultConfig(), prometheus.NewRegistry())
		require.NoError(t, err)
		if s.Restore(bytes.NewReader(data)) != nil {
			return
		}
		s.Observe(more)
		for i := range traces {
			s.Score(&traces[i])
		}
		s.Advance(now)
		s.States()
	})
}
