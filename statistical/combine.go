package statistical

import "math"

// maxCombinedP is the largest p-value that Cauchy returns.
const maxCombinedP = 1 - 1e-15

// Cauchy combines p-values that may depend on each other in any way (Liu and Xie, "Cauchy Combination Test", JASA 2020):
// each becomes a standard Cauchy variable, and their weighted mean is one too, nearly so in the tail under dependence.
// Nil weights are equal ones; a weight that is missing, negative or not finite is 0, and NaN is left out.
//
// A p-value near 1 would become a large negative number that outweighs any evidence. So with d p-values none counts as
// larger than 1-1/d, as its authors' own implementation does for p = 1; this leaves small combined p-values as they
// are. The result lies in [1e-300, 1-1e-15], and is 1-1e-15 when there is nothing to combine.
func Cauchy(ps []float64, weights []float64) float64 {
	weight := func(i int) float64 {
		switch {
		case math.IsNaN(ps[i]):
			return 0
		case weights == nil:
			return 1
		case i < len(weights) && weights[i] > 0 && !math.IsInf(weights[i], 1):
			return weights[i]
		default:
			return 0
		}
	}
	used, largest := 0, 0.0
	for i := range ps {
		if w := weight(i); w > 0 {
			used++
			largest = max(largest, w)
		}
	}
	if used == 0 {
		return maxCombinedP
	}
	limit := maxCombinedP
	if used > 1 {
		limit = 1 - 1/float64(used)
	}
	total, statistic := 0.0, 0.0
	for i, p := range ps {
		if w := weight(i) / largest; w > 0 {
			total += w
			statistic += w * cauchyQuantile(min(max(p, minP), limit))
		}
	}
	return min(cauchyUpperP(statistic/total), maxCombinedP)
}

// cauchyQuantile returns x with P(X >= x) = p. The cotangent is exact where p is tiny, where it is 1/(πp).
func cauchyQuantile(p float64) float64 {
	if p > 0.5 {
		return -cauchyQuantile(1 - p)
	}
	if p < 1e-8 {
		return 1 / (math.Pi * p)
	}
	return 1 / math.Tan(math.Pi*p)
}

// cauchyUpperP returns P(X >= x).
func cauchyUpperP(x float64) float64 {
	if x > 1 {
		return clampP(math.Atan(1/x) / math.Pi)
	}
	return clampP(0.5 - math.Atan(x)/math.Pi)
}

// maxScore is the largest score.
const maxScore = 100

// Score puts a p-value on the common scale, log p / log α in [0, 100]: above 1 is anomalous at level α. It is 0 when p
// is NaN or alpha is not within (0, 1).
func Score(p, alpha float64) float64 {
	if math.IsNaN(p) || !(alpha > 0 && alpha < 1) || p >= 1 {
		return 0
	}
	return min(math.Log(max(p, minP))/math.Log(alpha), maxScore)
}
