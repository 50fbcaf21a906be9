package measure

import "math"

// F1 is the harmonic mean of precision and recall of what was said against what is so. It is NaN when there is neither a positive nor a
// case that was said to be one.
func F1(said, positive []bool, cases []int) float64 {
	var right, wrong float64
	for _, i := range cases {
		switch {
		case said[i] && positive[i]:
			right++
		case said[i] != positive[i]:
			wrong++
		}
	}
	return 2 * right / (2*right + wrong)
}

// BalancedAccuracy is the mean of the proportions of positives and of negatives that were said to be what they are: 0.5 for any answer
// that does not look at the case. It is NaN without a positive or without a negative.
func BalancedAccuracy(said, positive []bool, cases []int) float64 {
	var all, right [2]float64 // of negatives, of positives
	for _, i := range cases {
		k := 0
		if positive[i] {
			k = 1
		}
		all[k]++
		if said[i] == positive[i] {
			right[k]++
		}
	}
	if all[0] == 0 || all[1] == 0 {
		return math.NaN()
	}
	return (right[0]/all[0] + right[1]/all[1]) / 2
}
