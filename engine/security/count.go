package security

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// worth is the p-value below which a pattern is told, and not learnt: what becomes of it is the engine's to decide.
const worth = 0.01

// countP is P(K >= k) for K negative binomial with the mean and the variance mean + dispersion * mean^2, in [1e-300, 1].
func countP(k, mean, dispersion float64) float64 {
	if k <= 0 {
		return 1
	}
	p := mathext.RegIncBeta(k, 1/dispersion, dispersion*mean/(1+dispersion*mean))
	if math.IsNaN(p) {
		return 1
	}
	return min(1, max(p, 1e-300))
}

// moments are the decayed sums of a count over windows. Fields are exported for the snapshot.
type moments struct{ N, Sum, Squares float64 }

func (m *moments) add(x float64) {
	m.N++
	m.Sum += x
	m.Squares += x * x
}

func (m *moments) fade(by float64) {
	m.N *= by
	m.Sum *= by
	m.Squares *= by
}

func (m *moments) mean() float64 {
	if m.N <= 0 {
		return 0
	}
	return m.Sum / m.N
}

// dispersion is the negative binomial's, by moments.
func (m *moments) dispersion() float64 {
	mean := m.mean()
	if mean <= 0 {
		return leastDispersion
	}
	variance := m.Squares/m.N - mean*mean
	return min(mostDispersion, max(leastDispersion, (variance-mean)/(mean*mean)))
}

const (
	leastDispersion = 0.05
	mostDispersion  = 20
)

// exceeds is the chance of k or more in a new window, which the uncertainty of the mean widens.
func (m *moments) exceeds(k int) float64 {
	mean := max(m.mean(), 0.5/(m.N+1))
	return countP(float64(k), mean, m.dispersion()+1/(m.Sum+0.5))
}

// fisher combines independent p-values (Fisher, Statistical Methods for Research Workers, 1925).
func fisher(ps []float64) float64 {
	x := 0.0
	for _, p := range ps {
		x -= math.Log(max(p, 1e-300))
	}
	term, sum := 1.0, 1.0
	for i := 1; i < len(ps); i++ {
		term *= x / float64(i)
		sum += term
	}
	return min(1, max(math.Exp(-x)*sum, 1e-300))
}
