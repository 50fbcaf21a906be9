package report

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/evals"
)

func labels(ticks []tick) []string {
	var out []string
	for _, t := range ticks {
		out = append(out, t.Label)
	}
	return out
}

func TestAxes(t *testing.T) {
	for name, test := range map[string]struct {
		values []float64
		want   []string
	}{
		"proportions":      {values: []float64{0.1, 0.97}, want: []string{"0.0", "0.2", "0.4", "0.6", "0.8", "1.0"}},
		"small ones":       {values: []float64{0, 0.012}, want: []string{"0.000", "0.005", "0.010", "0.015"}},
		"counts":           {values: []float64{3, 47}, want: []string{"0", "10", "20", "30", "40", "50"}},
		"far from nothing": {values: []float64{100, 104}, want: []string{"100", "101", "102", "103", "104"}},
		"both signs":       {values: []float64{-2, 2}, want: []string{"-2", "-1", "0", "1", "2"}},
		"one value":        {values: []float64{4, 4}, want: []string{"2", "3", "4", "5", "6"}},
		"nothing":          {values: []float64{0, 0}, want: []string{"0.0", "0.2", "0.4", "0.6", "0.8", "1.0"}},
		"huge":             {values: []float64{0, 3e9}, want: []string{"0", "1e+09", "2e+09", "3e+09"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChart(evals.Chart{Curves: []evals.Curve{{X: test.values, Y: test.values}}})
			require.Equal(t, test.want, labels(c.XTicks))
			require.Equal(t, test.want, labels(c.YTicks))
		})
	}
}

func TestACurveLeavesAGapWhereItIsNoNumber(t *testing.T) {
	c := newChart(evals.Chart{Curves: []evals.Curve{{X: []float64{0, 0.5, 0.6, 1}, Y: []float64{0, math.NaN(), 1, 1, 7}}}})
	require.Equal(t, "M48.0 252.0M288.0 24.0L448.0 24.0", c.Curves[0].Path)
	require.Len(t, c.Curves[0].Dots, 3)
}

func TestOnlyAnROCHasTheDiagonalOfChance(t *testing.T) {
	require.True(t, newChart(evals.Chart{X: "False positive rate", Y: "True positive rate"}).Chance)
	require.False(t, newChart(evals.Chart{X: "recall", Y: "precision"}).Chance)
}

func TestMoreCurvesThanColoursAreDashed(t *testing.T) {
	var c evals.Chart
	for range palette + 1 {
		c.Curves = append(c.Curves, evals.Curve{X: []float64{0, 1}, Y: []float64{0, 1}})
	}
	require.Equal(t, "c0 dashed", newChart(c).Curves[palette].Class)
}

// Whatever a suite measured, drawing it neither fails nor puts NaN into the page.
func FuzzChart(f *testing.F) {
	f.Add(0.0, 1.0, 0.5)
	f.Add(math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64)
	f.Add(1e300, 1e300, math.Inf(1))
	f.Fuzz(func(t *testing.T, a, b, c float64) {
		drawn := newChart(evals.Chart{Curves: []evals.Curve{{X: []float64{a, b, c}, Y: []float64{c, a, b}}}})
		require.LessOrEqual(t, len(drawn.XTicks), 4*wantedTicks+1)
		for _, k := range drawn.Curves {
			require.NotContains(t, k.Path, "NaN")
			require.NotContains(t, k.Path, "Inf")
		}
		for _, x := range drawn.XTicks {
			require.NotContains(t, x.At, "NaN")
			require.NotContains(t, x.At, "Inf")
		}
	})
}
