package measure_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/stat"

	"github.com/llm-sentinel/llm-sentinel/evals/measure"
)

// similarities of all pairs of n items, with ties.
func similarities(n int, seed uint64) [][]float64 {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([][]float64, n)
	for i := range out {
		out[i] = make([]float64, n)
		for j := range out[i] {
			out[i][j] = float64(r.IntN(12))
		}
	}
	return out
}

func pairs(s [][]float64) measure.Pairs {
	return measure.NewPairs(len(s), func(i, j int) float64 { return s[i][j] })
}

// middleRank of x among values, from 0.
func middleRank(x float64, values []float64) (rank float64) {
	for _, v := range values {
		if v < x {
			rank++
		} else if v == x {
			rank += 0.5
		}
	}
	return rank
}

// TestSpearmanOfAResample compares with the definition: rank the drawn pairs anew, then correlate.
func TestSpearmanOfAResample(t *testing.T) {
	const n = 9
	a, b := similarities(n, 1), similarities(n, 2)
	cases := []int{0, 3, 3, 8, 5, 5, 5, 1, 2}
	var x, y []float64
	for k, i := range cases {
		for _, j := range cases[:k] {
			if i != j {
				x, y = append(x, a[min(i, j)][max(i, j)]), append(y, b[min(i, j)][max(i, j)])
			}
		}
	}
	rx, ry := make([]float64, len(x)), make([]float64, len(y))
	for k := range x {
		rx[k], ry[k] = middleRank(x[k], x), middleRank(y[k], y)
	}
	require.InDelta(t, stat.Correlation(rx, ry, nil), measure.Spearman(pairs(a), pairs(b), cases), 1e-12)
}

func TestSpearmanOfKnownOrders(t *testing.T) {
	a := pairs(similarities(6, 3))
	all := []int{0, 1, 2, 3, 4, 5}
	require.InDelta(t, 1, measure.Spearman(a, a, all), 1e-12)
	up := measure.NewPairs(6, func(i, j int) float64 { return float64(10*j + i) })
	down := measure.NewPairs(6, func(i, j int) float64 { return -float64(10*j + i) })
	require.InDelta(t, -1, measure.Spearman(up, down, all), 1e-12)
	constant := measure.NewPairs(6, func(int, int) float64 { return 1 })
	require.True(t, math.IsNaN(measure.Spearman(up, constant, all)), "nothing can be said of a constant")
}
