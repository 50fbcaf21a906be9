package embedded

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDotOfEveryRemainder(t *testing.T) {
	for n := range 40 {
		a, b := make([]float32, n), make([]float32, n)
		var want float64
		for i := range n {
			a[i], b[i] = float32(i+1), float32(n-2*i)
			want += float64(a[i]) * float64(b[i])
		}
		require.InDelta(t, want, float64(dot(a, b)), 1e-3, "dimension %d", n)
	}
}

func FuzzDecodeVector(f *testing.F) {
	f.Add(encodeVector([]float32{1, 0, -1}), 3)
	f.Add(encodeVector([]float32{float32(math.NaN())}), 1)
	f.Add([]byte{1}, 0)
	f.Fuzz(func(t *testing.T, raw []byte, dimension int) {
		v, err := decodeVector(nil, raw, dimension)
		if err != nil {
			return
		}
		require.Len(t, v, dimension)
		require.Equal(t, string(raw), string(encodeVector(v)))
	})
}
