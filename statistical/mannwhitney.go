package statistical

import (
	"cmp"
	"math"
	"slices"
)

// MannWhitneyP returns the one-sided p-value of the Mann-Whitney U test that values of b tend to be larger than those of
// a (Mann and Whitney, Annals of Mathematical Statistics 1947): by normal approximation, with corrections for ties and
// continuity. NaN is left out. It is 1 when a or b is empty or all values are equal.
func MannWhitneyP(a, b []float64) float64 {
	type observation struct {
		value float64
		fromB bool
	}
	all := make([]observation, 0, len(a)+len(b))
	for i, x := range slices.Concat(a, b) {
		if !math.IsNaN(x) {
			all = append(all, observation{value: x, fromB: i >= len(a)})
		}
	}
	slices.SortFunc(all, func(x, y observation) int { return cmp.Compare(x.value, y.value) })

	var nb, rankSum, ties float64
	for first := 0; first < len(all); {
		last := first
		for last < len(all) && all[last].value == all[first].value {
			last++
		}
		tied := float64(last - first)
		rank := float64(first+last+1) / 2
		for _, o := range all[first:last] {
			if o.fromB {
				nb++
				rankSum += rank
			}
		}
		ties += tied*tied*tied - tied
		first = last
	}
	n := float64(len(all))
	na := n - nb
	if na == 0 || nb == 0 {
		return 1
	}
	variance := na * nb / 12 * (n + 1 - ties/(n*(n-1)))
	if !(variance > 0) {
		return 1
	}
	u := rankSum - nb*(nb+1)/2
	return NormalUpperP((u - na*nb/2 - 0.5) / math.Sqrt(variance))
}
