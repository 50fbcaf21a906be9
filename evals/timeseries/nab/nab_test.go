package nab

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func standard() Profile { return Profiles()[0] }

func series(t *testing.T, scores []float64, windows ...Window) Series {
	t.Helper()
	s, err := NewSeries(scores, windows)
	require.NoError(t, err)
	return s
}

// spikes are scores of 0 but 1 at some rows.
func spikes(rows int, at ...int) []float64 {
	out := make([]float64, rows)
	for _, row := range at {
		out[row] = 1
	}
	return out
}

func score(p Profile, tallies ...Tally) float64 {
	var sum Tally
	for _, t := range tallies {
		sum = sum.Plus(t)
	}
	return p.Score(p.Above(sum), sum.Windows)
}

func TestProbationIsAFractionUpToALimit(t *testing.T) {
	require.Equal(t, 15, Probation(100))
	require.Equal(t, 0, Probation(6))
	require.Equal(t, 750, Probation(5_000))
	require.Equal(t, 750, Probation(20_000))
}

func TestScale(t *testing.T) {
	window := Window{50, 59}
	at := func(rows ...int) Tally { return series(t, spikes(100, rows...), window).At([]float64{0.5})[0] }
	reward := func(position float64) float64 { return (2/(1+math.Exp(5*position)) - 1) / (2/(1+math.Exp(-5)) - 1) }
	for _, test := range []struct {
		name string
		rows []int
		want Tally
	}{
		{"silence misses the window", nil, Tally{Windows: 1, Missed: 1}},
		{"the first row of the window is worth all", []int{50}, Tally{Windows: 1, Found: 1}},
		{"later rows are worth less", []int{55}, Tally{Windows: 1, Found: reward(-0.5)}},
		{"the last row is worth something", []int{59}, Tally{Windows: 1, Found: reward(-0.1)}},
		{"only the first detection in a window counts", []int{55, 57, 59}, Tally{Windows: 1, Found: reward(-0.5)}},
		{"before any window a false detection costs all", []int{20}, Tally{Windows: 1, Missed: 1, Alarms: 1, False: 1}},
		{"just behind a window it costs less", []int{62}, Tally{Windows: 1, Missed: 1, Alarms: 1, False: 1 - 2/(1+math.Exp(5./3))}},
		{"far behind it costs all", []int{86}, Tally{Windows: 1, Missed: 1, Alarms: 1, False: 1}},
		{"probation does not count", []int{0, 14}, Tally{Windows: 1, Missed: 1}},
		{"what follows it does", []int{14, 15}, Tally{Windows: 1, Missed: 1, Alarms: 1, False: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := at(test.rows...)
			require.InDelta(t, test.want.Found, got.Found, 1e-12)
			require.InDelta(t, test.want.False, got.False, 1e-12)
			got.Found, got.False, test.want.Found, test.want.False = 0, 0, 0, 0
			require.Equal(t, test.want, got)
		})
	}
	require.Zero(t, score(standard(), at()))
	require.InDelta(t, 100, score(standard(), at(50)), 1e-9)
	require.InDelta(t, -100*0.11/2, score(standard(), at(20)), 1e-9)
	require.InDelta(t, -100*0.22/2, score(Profiles()[1], at(20)), 1e-9)
	require.InDelta(t, -100*0.11/3, score(Profiles()[2], at(20)), 1e-9)
	require.InDelta(t, 50-100*0.11/4, score(standard(), at(20), at(50)), 1e-9)
}

func TestNoWindowNoScore(t *testing.T) {
	require.True(t, math.IsNaN(score(standard(), series(t, spikes(10, 5)).At([]float64{0.5})[0])))
}

func TestWindowsInProbation(t *testing.T) {
	inside := series(t, spikes(100, 5), Window{2, 9})
	require.Zero(t, inside.At([]float64{0.5})[0].Windows)
	across := series(t, spikes(100, 12, 16), Window{10, 19}, Window{40, 49})
	got := across.At([]float64{0.5})[0]
	require.Equal(t, Tally{Windows: 2, Missed: 1, Found: got.Found}, got)
	require.InDelta(t, reward(16, Window{10, 19}), got.Found, 1e-12, "the part past probation is scored by its place in the whole window")
}

func TestNarrowAndAdjacentWindows(t *testing.T) {
	s := series(t, spikes(100, 40, 41, 42), Window{40, 40}, Window{41, 41})
	got := s.At([]float64{0.5})[0]
	require.InDelta(t, 2, got.Found, 1e-12)
	require.Zero(t, got.Missed)
	require.Equal(t, 1, got.Alarms)
}

func TestRefused(t *testing.T) {
	for name, windows := range map[string][]Window{
		"reversed": {{5, 4}}, "beyond the end": {{5, 10}}, "overlapping": {{2, 5}, {5, 7}}, "out of order": {{6, 7}, {2, 3}}, "negative": {{-1, 3}},
	} {
		_, err := NewSeries(make([]float64, 10), windows)
		require.ErrorContains(t, err, "out of order or beyond", name)
	}
	for _, x := range []float64{-0.1, 1.1, math.NaN(), math.Inf(1)} {
		_, err := NewSeries([]float64{0, x}, nil)
		require.ErrorContains(t, err, "row 1 is not within [0, 1]")
	}
}

// TestSweepAgreesWithThresholds compares the sweep of a corpus with series that are scored threshold by threshold from the start.
func TestSweepAgreesWithThresholds(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var corpus []Series
	var raw [][]float64
	windows := []Window{{40, 59}, {90, 99}}
	for range 5 {
		scores := make([]float64, 150)
		for i := range scores {
			scores[i] = float64(random.IntN(40)) / 40 // with ties
		}
		raw = append(raw, scores)
		corpus = append(corpus, series(t, scores, windows...))
	}
	curve := Sweep(corpus)
	require.Equal(t, Quiet, curve.Thresholds[0])
	require.Equal(t, Tally{Windows: 10, Missed: 10}, curve.Tallies[0])
	require.Len(t, curve.Thresholds, 41)
	for i, threshold := range curve.Thresholds {
		var fromGrid, fromSpikes Tally
		for k, s := range corpus {
			fromGrid = fromGrid.Plus(s.At(curve.Thresholds)[i])
			var at []int
			for row, x := range raw[k] {
				if x >= threshold {
					at = append(at, row)
				}
			}
			fromSpikes = fromSpikes.Plus(series(t, spikes(150, at...), windows...).At([]float64{0.5})[0])
		}
		for _, p := range Profiles() {
			require.InDelta(t, p.Above(fromSpikes), p.Above(curve.Tallies[i]), 1e-9)
			require.InDelta(t, p.Above(fromSpikes), p.Above(fromGrid), 1e-9)
		}
	}
	for _, p := range Profiles() {
		best := curve.Best(p)
		for i, tally := range curve.Tallies {
			require.LessOrEqual(t, p.Above(tally), p.Above(curve.Tallies[best]))
			require.False(t, i < best && p.Above(tally) == p.Above(curve.Tallies[best]), "of equal thresholds the highest")
		}
	}
}

func TestThinKeepsTheHighThresholds(t *testing.T) {
	c := Curve{Thresholds: make([]float64, 100_000)}
	got := c.Thin(1_000)
	require.LessOrEqual(t, len(got), 1_000)
	require.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, got[:11])
	require.Equal(t, 99_999, got[len(got)-1])
	require.IsIncreasing(t, got)
	require.Equal(t, []int{0, 1, 2}, Curve{Thresholds: make([]float64, 3)}.Thin(1_000))
}
