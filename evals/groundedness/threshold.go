package groundedness

import (
	"math"
	"slices"

	"github.com/llm-sentinel/llm-sentinel/evals"
	"github.com/llm-sentinel/llm-sentinel/evals/measure"
)

const (
	unsaid = -1              // score of a trace of which nothing was said, below all others
	never  = math.MaxFloat64 // threshold that no score reaches
)

func scoresOf(heard []evals.Opinion) []float64 {
	out := make([]float64, len(heard))
	for i, h := range heard {
		if out[i] = h.Score; !h.Found {
			out[i] = unsaid
		}
	}
	return out
}

// threshold is the score from which on to say hallucinated, such that the balanced accuracy on the cases is best; the strictest of several
// that are equally good. Without both labels nothing is ever said.
func threshold(scores []float64, positive []bool, cases []int) float64 {
	candidates := make([]float64, 0, len(cases))
	for _, i := range cases {
		candidates = append(candidates, scores[i])
	}
	slices.Sort(candidates)
	best, at := 0.5, never
	for _, t := range slices.Backward(slices.Compact(candidates)) {
		if x := measure.BalancedAccuracy(reach(scores, t), positive, cases); x > best {
			best, at = x, t
		}
	}
	return at
}

// reach says of each score whether it reaches the threshold.
func reach(scores []float64, threshold float64) []bool {
	out := make([]bool, len(scores))
	for i, s := range scores {
		out[i] = s >= threshold
	}
	return out
}
