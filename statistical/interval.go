package statistical

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Wilson is the interval of a proportion of which k of n independent observations are known (Wilson, JASA 1927), at a two-sided
// confidence in (0, 1). It stays within [0, 1] and is sensible for few observations; with none, or a count that cannot be, it is [0, 1].
func Wilson(k, n int, confidence float64) (low, high float64) {
	if n <= 0 || k < 0 || k > n || !(confidence > 0 && confidence < 1) {
		return 0, 1
	}
	z := distuv.UnitNormal.Quantile((1 + confidence) / 2)
	total, share := float64(n), float64(k)/float64(n)
	scale := 1 / (1 + z*z/total)
	middle := scale * (share + z*z/(2*total))
	reach := scale * z * math.Sqrt(share*(1-share)/total+z*z/(4*total*total))
	return max(0, middle-reach), min(1, middle+reach)
}
