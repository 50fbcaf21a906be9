package measure

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestZScore(t *testing.T) {
	z := new(ZScore)
	for i := range 3 * zWindow {
		score := z.Next(time.Time{}, float64(i%2))
		require.Less(t, score, 0.6)
		require.False(t, i < zLeast && score > 0, "it has seen too little")
	}
	require.Greater(t, z.Next(time.Time{}, 100), 0.99)
	require.Len(t, z.latest, zWindow)

	flat := new(ZScore)
	for range zLeast {
		flat.Next(time.Time{}, 7)
	}
	require.Zero(t, flat.Next(time.Time{}, 7))
	require.Equal(t, 1.0, flat.Next(time.Time{}, 8), "finite for a series that never moved")
}
