package embedding

import (
	"hash/fnv"
	"math"

	"github.com/llm-sentinel/llm-sentinel/evals"
)

// hashedName is the baseline's in the report.
const hashedName = "hashed_words"

// hashedDimension is that of the built-in table, so that the baseline has as many values to say it with.
const hashedDimension = 256

// hashedWords is the baseline: the words of each text, counted with a sign at a place that their hash says (Weinberger et al., Feature
// Hashing for Large Scale Multitask Learning, 2009), at unit length.
func hashedWords(texts []string) [][]float32 {
	out := make([][]float32, len(texts))
	for i, t := range texts {
		out[i] = hash(t)
	}
	return out
}

func hash(text string) []float32 {
	v := make([]float32, hashedDimension)
	for _, word := range evals.Words(text) {
		h := fnv.New32a()
		_, _ = h.Write([]byte(word)) // it never fails
		sum := h.Sum32()
		if sum>>31 == 0 {
			v[sum%hashedDimension]++
		} else {
			v[sum%hashedDimension]--
		}
	}
	normalise(v)
	return v
}

// normalise scales v to unit length; a zero vector stays.
func normalise(v []float32) {
	length := math.Sqrt(dot(v, v))
	if length == 0 {
		return
	}
	for i := range v {
		v[i] = float32(float64(v[i]) / length)
	}
}

func dot(a, b []float32) float64 {
	var sum float64
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}
