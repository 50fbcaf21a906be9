package screen

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// follow plays windows of traffic under a rhythm of the day through the sequences alone.
func (w *world) follow(s *sequences, windows int, change func(*request) bool) []engine.Finding {
	mean := w.perHour
	defer func() { w.perHour = mean }()
	var out []engine.Finding
	for range windows {
		hour := float64(w.now.Hour()) + float64(w.now.Minute())/60
		w.perHour = mean * (1 + 0.7*math.Sin(2*math.Pi*hour/24))
		spans, until := w.traffic(change), w.now.Add(-w.window)
		for i := range spans {
			s.observe(&spans[i], until)
		}
		out = append(out, s.advance(w.now)...)
	}
	return out
}

// followedFor is what has followed calm traffic for so many days.
func followedFor(w *world, days int) *sequences {
	s := newSequences(DefaultConfig())
	w.follow(s, 288*days, nil)
	return s
}

func TestSequencesLearnFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(1)
	s := newSequences(DefaultConfig())
	for _, f := range w.follow(s, 576, nil) {
		require.True(t, f.Learning)
	}
	for _, f := range w.follow(s, 1, nil) {
		require.Equal(t, f.Type == engine.LatencySpike || f.Type == engine.ErrorRate, f.Learning, "%s: quiet windows said nothing of some", f.Type)
	}
}

// Calm weeks show nothing, and the p-values of windows are no smaller than they say.
func TestSequencesAreSilentInCalmTraffic(t *testing.T) {
	t.Parallel()
	windows, small, incidents := 0, 0, 0
	for seed := range uint64(4) {
		w := newWorld(10 + seed)
		s := followedFor(w, 2)
		found := w.follow(s, 288*7, nil)
		incidents += len(told(found, spoken))
		windows += len(found)
		for _, f := range found {
			if f.P < 0.01 {
				small++
			}
		}
	}
	require.Greater(t, windows, 25_000)
	require.LessOrEqual(t, incidents, 2, "in four weeks of calm at the highest level that an engine speaks at")
	require.Less(t, float64(small), 0.01*float64(windows))
}

// spoken is the highest level that an engine speaks at.
const spoken = 1e-3

func TestSequencesFindWhatNeverWas(t *testing.T) {
	t.Parallel()
	service := engine.Subject{Kind: engine.SubjectService, Value: "shop"}
	for _, c := range []struct {
		name   string
		change func(*request) bool
		kind   engine.AnomalyType
	}{
		{"requests take three times as long", func(r *request) bool { r.chat *= 3; return true }, engine.LatencySpike},
		{"half of the requests fail", func(r *request) bool {
			if r.user < "user-k" {
				r.ownError = "panic"
			}
			return true
		}, engine.ErrorRate},
		{"requests cost ten times as much", func(r *request) bool { r.cost *= 10; return true }, engine.CostOverrun},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(3)
			s := followedFor(w, 3)
			w.follow(s, 96, nil) // not at night
			found := told(w.follow(s, 6, c.change), spoken)
			require.Len(t, found, 6, "in each window, for what is strange is not learnt")
			for _, f := range found {
				require.Equal(t, c.kind, f.Type, f.Reason)
				require.Equal(t, service, f.Subject)
				require.NotEmpty(t, f.Reason)
				require.NotEmpty(t, f.Traces)
			}
			require.Empty(t, told(w.follow(s, 60, nil), spoken), "it is over")
			require.NotEmpty(t, told(w.follow(s, 2, c.change), spoken), "the second time is as strange as the first")
		})
	}
}

// Traffic falls and rises within a day anyway, so only its end in the busy hours is told, and a flood.
func TestSequencesFindTheEndOfTraffic(t *testing.T) {
	t.Parallel()
	w := newWorld(3)
	s := followedFor(w, 3)
	w.follow(s, 96, nil)
	found := told(w.follow(s, 3, func(*request) bool { return false }), spoken)
	require.NotEmpty(t, found)
	for _, f := range found {
		require.Equal(t, engine.Traffic, f.Type)
		require.Empty(t, f.Traces)
	}
}

// A level that lasts becomes normal, and the one before it is not strange when it comes back.
func TestSequencesAdoptWhatLasts(t *testing.T) {
	t.Parallel()
	w := newWorld(5)
	s := followedFor(w, 3)
	slower := func(r *request) bool { r.chat *= 3; return true }
	require.NotEmpty(t, told(w.follow(s, int(s.cfg.AdoptAfter/s.cfg.Window), slower), spoken))
	w.follow(s, 60, slower)
	require.Empty(t, told(w.follow(s, 60, slower), spoken))
	require.Empty(t, told(w.follow(s, 60, nil), spoken))
}

func TestSequencesSnapshotIsExact(t *testing.T) {
	t.Parallel()
	w := newWorld(6)
	before := followedFor(w, 3)
	broken := func(r *request) bool { r.chat *= 4; r.cost *= 10; return true }
	w.follow(before, 3, broken)
	open := w.traffic(nil)
	for i := range open {
		before.observe(&open[i], w.now.Add(-w.window))
	}
	data, err := before.MarshalBinary()
	require.NoError(t, err)
	require.Less(t, len(data), 128<<10, "a service takes at most 120 KiB, and its open windows")
	after := newSequences(DefaultConfig())
	require.NoError(t, after.UnmarshalBinary(data))
	for n := range 200 {
		change := broken
		if n > 20 && n < 40 {
			change = nil
		}
		spans, until := w.traffic(change), w.now.Add(-w.window)
		for i := range spans {
			before.observe(&spans[i], until)
			after.observe(&spans[i], until)
		}
		require.Equal(t, before.advance(w.now), after.advance(w.now))
	}
	require.Error(t, after.UnmarshalBinary(data[:len(data)/2]))
	kept, err := after.MarshalBinary()
	require.NoError(t, err)
	again := newSequences(DefaultConfig())
	require.NoError(t, again.UnmarshalBinary(kept))
}

func TestSequencesAreBounded(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.MaxServices = 3
	s := newSequences(cfg)
	for i := range 10 {
		s.observe(&engine.Span{Service: string(rune('a' + i)), Start: began, End: began.Add(time.Second)}, time.Time{})
	}
	require.Equal(t, 3, s.services.Len())
	require.Len(t, s.advance(began.Add(5*time.Minute)), 3, "their requests")
	require.Len(t, s.advance(began.Add(24*time.Hour)), 3*12, "silence is told of for an hour")
}
