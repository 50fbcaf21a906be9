package statistical

import "math"

const (
	minP = 1e-300 // smallest p-value that is ever returned

	// tailExcesses is how many excesses a tail should be fitted to; while there are fewer, the threshold is lowered, to
	// maxTailShare at most.
	tailExcesses = 20
	maxTailShare = 0.25

	// knownFrom is how many observations must be as large for their share to be taken as it is.
	knownFrom = 5

	// winsorAt caps an excess at this many times the mean excess. A value drawn from the fitted tail gets there once in
	// e^6 = 400 times, while one wild excess can no longer decide the scale.
	winsorAt = 6
)

// clampP brings a computed probability into [minP, 1]; NaN, which no computation here should give, is no evidence.
func clampP(p float64) float64 {
	switch {
	case math.IsNaN(p), p > 1:
		return 1
	case p < minP:
		return minP
	default:
		return p
	}
}

// clamp brings x into [low, high], NaN to low.
func clamp(x, low, high float64) float64 {
	if !(x > low) {
		return low
	}
	return min(x, high)
}

// tail is a distribution's upper tail above a threshold, with exponential excesses.
type tail struct {
	mass  float64 // P(X > threshold)
	count float64 // how many excesses it was fitted to
	mean  float64 // their mean
}

// empiricalP is P(X >= x) when atLeast of n observations were as large: the conformal p-value, which is never too small
// whatever the distribution.
func empiricalP(atLeast, n float64) float64 { return clampP((1 + atLeast) / (n + 1)) }

// p returns P(X >= threshold + z) for z >= 0, given that atLeast of n observations were as large. Where those are few,
// the share is extrapolated; it stays above the share of observations that, but for one, were as large.
func (t tail) p(z, atLeast, n float64) float64 {
	if atLeast >= knownFrom {
		return empiricalP(atLeast, n)
	}
	return max(min(t.survival(z), empiricalP(knownFrom, n)), clampP((atLeast-1)/n))
}

// survival returns P(X > threshold + z) by the fitted tail. It is predictive: with n excesses of mean m, the ratio of
// the next excess to m has an F distribution with 2 and 2n degrees of freedom, which gives (1 + z/(n m))^-n. This tends
// to exp(-z/m) as n grows and is heavier before.
func (t tail) survival(z float64) float64 {
	n := max(t.count, 1)
	return clampP(t.mass * math.Exp(-n*math.Log1p(z/(n*t.mean))))
}

// winsorisedMean is the mean of count excesses of which none counts as more than winsorAt times the mean. total returns
// their sum when each is cut at a limit.
func winsorisedMean(count float64, total func(limit float64) float64) float64 {
	limit := math.Inf(1)
	for range 2 {
		limit = winsorAt * total(limit) / count
	}
	return total(limit) / count
}

// tailShare is the share of n observations to which a tail is fitted; from is the quantile at which it starts once n is
// large.
func tailShare(n, from float64) float64 {
	share := 1 - from
	if share*n >= tailExcesses || n <= 0 {
		return share
	}
	return max(share, min(maxTailShare, tailExcesses/n))
}

// sortedUpperP returns P(X >= x) given a sorted sample: empirical, and beyond the largest few of the sample by an
// exponential tail that is fitted above the quantile from. In a tail without spread the empirical p-value stands.
func sortedUpperP(x float64, sorted []float64, from float64) float64 {
	n := float64(len(sorted))
	atLeast := float64(len(sorted) - lowerBound(sorted, x))
	empirical := empiricalP(atLeast, n)
	excesses := int(tailShare(n, from) * n)
	if excesses < 2 || excesses >= len(sorted) {
		return empirical
	}
	threshold := sorted[len(sorted)-excesses-1]
	if !(x > threshold) {
		return empirical
	}
	above := sorted[len(sorted)-excesses:]
	mean := winsorisedMean(float64(excesses), func(limit float64) float64 {
		total := 0.0
		for _, s := range above {
			total += min(s-threshold, limit)
		}
		return total
	})
	if !(mean > 0) || math.IsInf(mean, 0) {
		return empirical
	}
	t := tail{mass: float64(excesses+1) / (n + 1), count: float64(excesses), mean: mean}
	return t.p(x-threshold, atLeast, n)
}

// lowerBound is the index of the first element of sorted that is >= x.
func lowerBound(sorted []float64, x float64) int {
	low, high := 0, len(sorted)
	for low < high {
		mid := int(uint(low+high) >> 1)
		if sorted[mid] < x {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}
