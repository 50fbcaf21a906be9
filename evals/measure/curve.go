package measure

import (
	"cmp"
	"math"
	"slices"

	"github.com/llm-sentinel/llm-sentinel/evals"
)

// curvePoints is about how many points a curve has at most.
const curvePoints = 200

// ROC is the curve of the true positive rate (y) over the false positive rate (x), from (0, 0) to (1, 1), as the threshold falls. It is
// empty without a positive or without a negative.
func ROC(name string, scores []float64, positive []bool, cases []int) evals.Curve {
	order := slices.Clone(cases)
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	var all float64
	for _, i := range order {
		if positive[i] {
			all++
		}
	}
	none := float64(len(order)) - all
	curve := evals.Curve{Name: name}
	if all == 0 || none == 0 {
		return curve
	}
	curve.X, curve.Y = []float64{0}, []float64{0}
	var tp, fp float64
	step := max(1, (len(order)+curvePoints-1)/curvePoints)
	next := step
	for k, i := range order {
		if positive[i] {
			tp++
		} else {
			fp++
		}
		last := k == len(order)-1
		tied := !last && scores[order[k+1]] == scores[i]
		if !tied && (k+1 >= next || last) {
			curve.X, curve.Y = append(curve.X, fp/none), append(curve.Y, tp/all)
			next = k + 1 + step
		}
	}
	return curve
}

// Histogram is the share of values (y) in each of equal bins between low and high, by the middle of the bin (x). Values beyond the
// bounds count in the outermost bins.
func Histogram(name string, values []float64, low, high float64, bins int) evals.Curve {
	curve := evals.Curve{Name: name, X: make([]float64, bins), Y: make([]float64, bins)}
	width := (high - low) / float64(bins)
	for i := range bins {
		curve.X[i] = low + (float64(i)+0.5)*width
	}
	if len(values) == 0 || width <= 0 {
		return curve
	}
	for _, v := range values {
		at := math.Floor((v - low) / width)
		curve.Y[int(min(max(at, 0), float64(bins-1)))] += 1 / float64(len(values))
	}
	return curve
}
