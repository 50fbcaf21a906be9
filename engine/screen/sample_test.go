package screen

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSampleOfAFullWindowIsUniform(t *testing.T) {
	t.Parallel()
	var s samples[int]
	const seen = 64 * 20
	sum := 0.0
	for n := range 50 {
		start := began.Add(time.Duration(n) * time.Hour)
		for i := range seen {
			s.add(start, i)
		}
	}
	windows := s.due(began.Add(1000*time.Hour), time.Hour)
	require.Len(t, windows, 50)
	for _, w := range windows {
		require.Len(t, w.Values, maxSample)
		require.Equal(t, seen, w.Seen)
		for _, v := range w.Values {
			sum += float64(v) / maxSample / 50
		}
	}
	require.InDelta(t, seen/2, sum, seen/20, "what came late counts as much as what came first")
}

func TestSampleHandsOutWhatHasEndedOldestFirst(t *testing.T) {
	t.Parallel()
	var s samples[string]
	s.add(began.Add(time.Hour), "second")
	s.add(began, "first")
	s.add(began.Add(2*time.Hour), "third")
	due := s.due(began.Add(2*time.Hour), time.Hour)
	require.Len(t, due, 2)
	require.Equal(t, []string{"first"}, due[0].Values)
	require.Equal(t, []string{"second"}, due[1].Values)
	require.Len(t, s.Open, 1)
}
