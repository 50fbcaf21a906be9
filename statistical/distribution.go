package statistical

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// BinomialUpperP returns P(K >= k) for K binomial with n trials of probability p. It is 1 when the parameters make no
// sense.
func BinomialUpperP(k, n int, p float64) float64 {
	switch {
	case k <= 0 || n < 0 || !(p >= 0 && p <= 1):
		return 1
	case k > n || p == 0:
		return minP
	case p == 1:
		return 1
	}
	return clampP(mathext.RegIncBeta(float64(k), float64(n-k)+1, p))
}

// negativeBinomialUpperP returns P(K >= k) for K negative binomial with the given mean and variance
// mean + dispersion * mean^2.
func negativeBinomialUpperP(k, mean, dispersion float64) float64 {
	if k <= 0 {
		return 1
	}
	q := dispersion * mean / (1 + dispersion*mean)
	return clampP(mathext.RegIncBeta(k, 1/dispersion, q))
}

// negativeBinomialLowerP returns P(K <= k) for the same distribution.
func negativeBinomialLowerP(k, mean, dispersion float64) float64 {
	if k < 0 {
		return minP
	}
	return clampP(mathext.RegIncBeta(1/dispersion, k+1, 1/(1+dispersion*mean)))
}

// BetaBinomialUpperP returns P(K >= k) for K out of n trials whose probability is not known but estimated, as Beta(a, b): the chance
// of seeing as many in new data. n and k are not negative, a and b positive.
func BetaBinomialUpperP(k, n int, a, b float64) float64 {
	if k <= 0 || n <= 0 {
		return 1
	}
	if k > n || !(a > 0) || !(b > 0) {
		return minP
	}
	return betaBinomialUpperP(float64(k), float64(n), a, b)
}

// exactTerms is how many terms of a beta-binomial sum are added up before an approximation takes over.
const exactTerms = 4096

// betaBinomialUpperP returns P(K >= k) for K beta-binomial: n trials whose probability is drawn once, from Beta(a, b).
// It sums the probabilities where they are few and otherwise takes the beta distribution with the mean and variance of
// K/n, with continuity correction.
func betaBinomialUpperP(k, n, a, b float64) float64 {
	if k <= 0 {
		return 1
	}
	mean, precision := a/(a+b), a+b
	deviation := math.Sqrt(n * mean * (1 - mean) * (1 + (n-1)/(precision+1)))
	if n > exactTerms && deviation > exactTerms/40 {
		// Var(K/n) = mean (1-mean) / (effective+1)
		effective := 1/(1/n+(n-1)/n/(precision+1)) - 1
		return clampP(mathext.RegIncBeta((1-mean)*effective, mean*effective, 1-(k-0.5)/n))
	}
	if k > n*mean {
		return clampP(betaBinomialSum(k, n, a, b))
	}
	// By symmetry the lower tail of the bad is the upper tail of the good.
	return clampP(1 - betaBinomialSum(n-k+1, n, b, a))
}

// betaBinomialSum adds up P(K = k), P(K = k+1), ... until the rest is negligible. k must lie above the mean.
func betaBinomialSum(k, n, a, b float64) float64 {
	term := math.Exp(logChoose(n, k) + mathext.Lbeta(k+a, n-k+b) - mathext.Lbeta(a, b))
	total := 0.0
	for ; k <= n && term > 1e-16*total; k++ {
		total += term
		term *= (n - k) / (k + 1) * (k + a) / (n - k - 1 + b)
	}
	return total
}

func logChoose(n, k float64) float64 { return -math.Log(n+1) - mathext.Lbeta(n-k+1, k+1) }
