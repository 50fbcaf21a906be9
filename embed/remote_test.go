package embed

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNormalizeRefusesWhatHasNoDirection(t *testing.T) {
	for _, v := range []float32{0, float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
		require.Error(t, normalize([]float32{v, 0}))
	}
	large := []float32{math.MaxFloat32, 0}
	require.NoError(t, normalize(large))
	require.Equal(t, []float32{1, 0}, large)
}
