package measure

import (
	"cmp"
	"math"
	"slices"
)

// AUROC is the probability that a positive case has a higher score than a negative one, ties counting half (Mann and Whitney, 1947).
// It is NaN without a positive or without a negative.
func AUROC(scores []float64, positive []bool, cases []int) float64 {
	order := slices.Clone(cases)
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(scores[a], scores[b]) })
	var wins, positives, below float64 // below: negatives with a lower score
	for i := 0; i < len(order); {
		j := i
		var p, n float64
		for ; j < len(order) && scores[order[j]] == scores[order[i]]; j++ {
			if positive[order[j]] {
				p++
			} else {
				n++
			}
		}
		wins += p * (below + n/2)
		below += n
		positives += p
		i = j
	}
	if positives == 0 || below == 0 {
		return math.NaN()
	}
	return wins / (positives * below)
}

// ThresholdAtFPR is the least threshold t such that at most the given proportion of negatives has a score above t.
func ThresholdAtFPR(scores []float64, positive []bool, cases []int, fpr float64) float64 {
	var negatives []float64
	for _, i := range cases {
		if !positive[i] {
			negatives = append(negatives, scores[i])
		}
	}
	if len(negatives) == 0 {
		return math.NaN()
	}
	slices.Sort(negatives)
	allowed := int(fpr*float64(len(negatives)) + 1e-9)
	return negatives[len(negatives)-1-min(allowed, len(negatives)-1)]
}

// TPRAtFPR is the proportion of positives above the threshold that at most the given proportion of negatives exceeds. It is NaN without
// a positive or without a negative.
func TPRAtFPR(scores []float64, positive []bool, cases []int, fpr float64) float64 {
	return RateAbove(scores, positive, cases, ThresholdAtFPR(scores, positive, cases, fpr))
}

// RateAbove is the proportion of positives with a score above the threshold, NaN without a positive or threshold.
func RateAbove(scores []float64, positive []bool, cases []int, threshold float64) float64 {
	var above, positives float64
	for _, i := range cases {
		if positive[i] {
			positives++
			if scores[i] > threshold {
				above++
			}
		}
	}
	if positives == 0 || math.IsNaN(threshold) {
		return math.NaN()
	}
	return above / positives
}
