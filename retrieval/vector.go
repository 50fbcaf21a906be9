package retrieval

import (
	"math"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Unit returns a copy of v with length 1, or CodeInvalid when v has another dimension or no direction.
func Unit(v []float32, dimension int) ([]float32, error) {
	if len(v) != dimension {
		return nil, engine.Errorf(engine.CodeInvalid, "vector of dimension %d in a collection of dimension %d", len(v), dimension)
	}
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	length := math.Sqrt(sum) // squares of float32 neither overflow nor vanish in float64
	if length == 0 || math.IsInf(length, 0) || math.IsNaN(length) {
		return nil, engine.Errorf(engine.CodeInvalid, "vector of length %g has no direction", length)
	}
	out := make([]float32, dimension)
	for i, x := range v {
		out[i] = float32(float64(x) / length)
	}
	return out, nil
}
