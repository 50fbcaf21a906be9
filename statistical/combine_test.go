package statistical

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/stat/distuv"
)

func TestCauchy(t *testing.T) {
	nan := math.NaN()
	tests := map[string]struct {
		ps, weights []float64
		want        float64
	}{
		"nothing":               {want: maxCombinedP},
		"only NaN":              {ps: []float64{nan}, want: maxCombinedP},
		"one":                   {ps: []float64{0.03}, want: 0.03},
		"one, large":            {ps: []float64{0.9}, want: 0.9},
		"one, certain":          {ps: []float64{1}, want: maxCombinedP},
		"equal ones":            {ps: []float64{0.02, 0.02, 0.02}, want: 0.02},
		"tiny":                  {ps: []float64{1e-200, 0.5}, want: 2e-200},
		"tinier than possible":  {ps: []float64{0, 0}, want: 1e-300},
		"certainty is silent":   {ps: []float64{1e-6, 1, 1, 1}, want: 4e-6},
		"NaN is left out":       {ps: []float64{nan, 0.01}, want: 0.01},
		"weights":               {ps: []float64{1e-10, 0.5}, weights: []float64{3, 1}, want: 1e-10 * 4 / 3},
		"weight zero":           {ps: []float64{1e-10, 0.2}, weights: []float64{0, 1}, want: 0.2},
		"weights that cannot":   {ps: []float64{1e-10, 0.2, 0.1}, weights: []float64{math.Inf(1), 2, nan}, want: 0.2},
		"weights that are huge": {ps: []float64{1e-10, 0.5}, weights: []float64{1e308, 1e308}, want: 2e-10},
		"weights missing":       {ps: []float64{0.2, 1e-10}, weights: []float64{1}, want: 0.2},
		"all weights zero":      {ps: []float64{0.2}, weights: []float64{0}, want: maxCombinedP},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			require.InEpsilon(t, tt.want, Cauchy(tt.ps, tt.weights), 1e-3)
		})
	}
}

func TestCauchyIsCalibratedUnderDependence(t *testing.T) {
	for name, correlation := range map[string]float64{"independent": 0, "correlated": 0.5, "nearly equal": 0.95} {
		t.Run(name, func(t *testing.T) {
			r := seeded(28)
			var ps []float64
			for range 50_000 {
				shared, each := r.NormFloat64(), make([]float64, 6)
				for i := range each {
					z := math.Sqrt(correlation)*shared + math.Sqrt(1-correlation)*r.NormFloat64()
					each[i] = distuv.UnitNormal.Survival(z)
				}
				ps = append(ps, 1.3*Cauchy(each, nil)) // the level is approximate, better the smaller it is
			}
			for _, alpha := range []float64{0.01, 1e-3, 1e-4} {
				requireConservative(t, ps, alpha)
			}
		})
	}
}

func TestCauchyMonotone(t *testing.T) {
	last := 0.0
	for e := -299.0; e <= 0; e += 0.1 {
		p := Cauchy([]float64{math.Pow(10, e), 0.3, 0.8}, nil)
		require.GreaterOrEqual(t, p, last)
		last = p
	}
}

func TestScore(t *testing.T) {
	require.InEpsilon(t, 1, Score(1e-4, 1e-4), 1e-12)
	require.InEpsilon(t, 2, Score(1e-8, 1e-4), 1e-12)
	require.Zero(t, Score(1, 1e-4))
	require.InEpsilon(t, 75, Score(0, 1e-4), 1e-9)
	require.Equal(t, 100.0, Score(0, 0.5))
	for _, alpha := range []float64{0, 1, -1, 2, math.NaN()} {
		require.Zero(t, Score(1e-9, alpha))
	}
	require.Zero(t, Score(math.NaN(), 0.1))
}

func BenchmarkCauchy(b *testing.B) {
	ps := []float64{0.2, 1e-9, 0.7, 1, 0.04}
	b.ReportAllocs()
	for b.Loop() {
		Cauchy(ps, nil)
	}
}
