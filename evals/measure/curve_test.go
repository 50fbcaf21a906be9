package measure

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestROC(t *testing.T) {
	curve := ROC("x", []float64{3, 2, 2, 1}, []bool{true, true, false, false}, []int{0, 1, 2, 3})
	require.Equal(t, "x", curve.Name)
	require.Equal(t, []float64{0, 0, 0.5, 1}, curve.X, "tied scores are one point")
	require.Equal(t, []float64{0, 0.5, 1, 1}, curve.Y)
	require.Empty(t, ROC("x", []float64{1}, []bool{true}, []int{0}).X)
}

func TestROCOfManyCasesHasFewPoints(t *testing.T) {
	const n = 10_000
	scores, positive, cases := make([]float64, n), make([]bool, n), make([]int, n)
	for i := range n {
		scores[i], positive[i], cases[i] = float64(i*7919%n), i%3 == 0, i
	}
	curve := ROC("x", scores, positive, cases)
	require.LessOrEqual(t, len(curve.X), curvePoints+2)
	require.Equal(t, 1.0, curve.X[len(curve.X)-1])
	require.Equal(t, 1.0, curve.Y[len(curve.Y)-1])
}

func TestHistogram(t *testing.T) {
	curve := Histogram("x", []float64{-5, 0.1, 1.5, 99}, 0, 2, 2)
	require.Equal(t, []float64{0.5, 1.5}, curve.X)
	require.Equal(t, []float64{0.5, 0.5}, curve.Y, "what lies beyond the bounds counts in the outermost bins")
	require.Equal(t, []float64{0, 0}, Histogram("x", nil, 0, 2, 2).Y)
}
