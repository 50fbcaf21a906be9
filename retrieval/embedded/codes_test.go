package embedded

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSimilarityLiesBetweenItsBounds(t *testing.T) {
	source := rand.New(rand.NewPCG(5, 6))
	for _, dimension := range []int{1, 2, 31, 32, 33, 67, 256, 384, 1537, maxDimension} {
		c := newCodes(dimension)
		var vectors [][]float32
		for _, shape := range shapes {
			for range 3 {
				v, err := unit(shape.vector(source, dimension), dimension)
				require.NoError(t, err)
				c.grow()
				c.set(len(vectors), v)
				vectors = append(vectors, v)
			}
		}
		var widest float64
		for _, v := range vectors {
			q := c.query(v)
			for i, w := range vectors {
				product := make([]int32, 1)
				c.products(product, []int{i}, &q)
				lower, upper := c.bounds(&q, i, product[0])
				require.LessOrEqual(t, lower, float64(dot(w, v)), "dimension %d, rows %d", dimension, i)
				require.GreaterOrEqual(t, upper, float64(dot(w, v)), "dimension %d, rows %d", dimension, i)
				widest = max(widest, upper-lower)
			}
		}
		// A code is off by at most half a step, which is at most 1/127.
		require.Less(t, widest, 2*(math.Sqrt(float64(dimension))*0.5/maxCode+0.02)*1.01, "dimension %d", dimension)
	}
}
