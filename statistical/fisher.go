package statistical

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Fisher combines independent p-values of one hypothesis: -2 Σ ln p has a chi-squared distribution with two degrees of freedom a p-value
// (Fisher, Statistical Methods for Research Workers, 1932). Without a p-value it is 1. What depends on each other makes it too small:
// Cauchy stands that.
func Fisher(ps ...float64) float64 {
	if len(ps) == 0 {
		return 1
	}
	var sum float64
	for _, p := range ps {
		sum -= 2 * math.Log(clampP(p))
	}
	return clampP(distuv.ChiSquared{K: 2 * float64(len(ps))}.Survival(sum))
}
