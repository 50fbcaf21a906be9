package statistical

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// directions are random unit vectors around a mean.
func directions(rng *rand.Rand, n int, shift float64) [][]float32 {
	out := make([][]float32, n)
	for i := range out {
		v := make([]float64, 16)
		var norm float64
		for j := range v {
			v[j] = rng.NormFloat64()
		}
		v[0] += shift
		for _, x := range v {
			norm += x * x
		}
		out[i] = make([]float32, len(v))
		for j, x := range v {
			out[i][j] = float32(x / math.Sqrt(norm))
		}
	}
	return out
}

func TestMMDIsCalibratedUnderTheNull(t *testing.T) {
	rng := seeded(51)
	const looks = 300
	below := map[float64]int{0.05: 0, 0.2: 0, 0.5: 0}
	for k := range looks {
		_, p := MMD(directions(rng, 60, 0.5), directions(rng, 40, 0.5), 200, uint64(k))
		for level := range below {
			if p < level {
				below[level]++
			}
		}
	}
	for level, n := range below {
		require.InDelta(t, level, float64(n)/looks, 3*math.Sqrt(level*(1-level)/looks), "share below %v", level)
	}
}

func TestMMDFindsAShift(t *testing.T) {
	rng := seeded(52)
	for k := range 10 {
		statistic, p := MMD(directions(rng, 60, 0), directions(rng, 40, 2), 200, uint64(k))
		require.Positive(t, statistic)
		require.Less(t, p, 1e-6, "far below what 200 permutations could say by counting")
	}
	a, b := directions(rng, 60, 0), directions(rng, 40, 1)
	_, first := MMD(a, b, 200, 7)
	_, again := MMD(a, b, 200, 7)
	require.Equal(t, first, again)
}

func TestMMDOfTooLittle(t *testing.T) {
	rng := seeded(53)
	for _, sizes := range [][2]int{{0, 9}, {9, 1}, {1, 1}} {
		_, p := MMD(directions(rng, sizes[0], 0), directions(rng, sizes[1], 0), 200, 1)
		require.Equal(t, 1.0, p)
	}
	same := [][]float32{{1, 0}, {1, 0}, {1, 0}}
	_, p := MMD(same, same, 200, 1)
	require.Equal(t, 1.0, p, "all the same")
}
