package statistical

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWilson(t *testing.T) {
	// Newcombe, Statistics in Medicine 1998, table I, method 3.
	for _, c := range []struct {
		k, n      int
		low, high float64
	}{{81, 263, 0.2553, 0.3662}, {15, 148, 0.0624, 0.1605}, {0, 20, 0, 0.1611}, {1, 29, 0.0061, 0.1718}} {
		low, high := Wilson(c.k, c.n, 0.95)
		require.InDelta(t, c.low, low, 5e-5, "%d of %d", c.k, c.n)
		require.InDelta(t, c.high, high, 5e-5, "%d of %d", c.k, c.n)
	}
	low, high := Wilson(7, 7, 0.95)
	require.Equal(t, 1.0, high)
	require.Less(t, low, 1.0, "seven of seven are no certainty")
	for _, impossible := range [][2]int{{0, 0}, {-1, 3}, {4, 3}} {
		low, high := Wilson(impossible[0], impossible[1], 0.95)
		require.Equal(t, [2]float64{0, 1}, [2]float64{low, high}, "nothing is known")
	}
}
