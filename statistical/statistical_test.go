package statistical

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/stat/distuv"
)

// start is a moment like any other; nothing depends on it.
var start = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, seed)) }

func lognormal(r *rand.Rand, median, sigma float64) float64 {
	return median * math.Exp(sigma*r.NormFloat64())
}

// requireUniform fails when the values do not look uniform on [0, 1] by a chi-square test at level 0.001.
func requireUniform(t *testing.T, values []float64) {
	t.Helper()
	const bins = 10
	var observed [bins]float64
	for _, v := range values {
		require.GreaterOrEqual(t, v, 0.0)
		require.LessOrEqual(t, v, 1.0)
		observed[min(int(v*bins), bins-1)]++
	}
	expected, statistic := float64(len(values))/bins, 0.0
	for _, o := range observed {
		statistic += (o - expected) * (o - expected) / expected
	}
	p := distuv.ChiSquared{K: bins - 1}.Survival(statistic)
	require.Greater(t, p, 0.001, "counts %v", observed)
}

// requireConservative fails when values at or below alpha are clearly more than a share alpha of all.
func requireConservative(t *testing.T, values []float64, alpha float64) {
	t.Helper()
	hits := 0
	for _, v := range values {
		if v <= alpha {
			hits++
		}
	}
	require.Greater(t, BinomialUpperP(hits, len(values), alpha), 1e-3,
		"%d of %d at or below %v, expected %.1f", hits, len(values), alpha, alpha*float64(len(values)))
}
