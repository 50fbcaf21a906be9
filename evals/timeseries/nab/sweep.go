package nab

import (
	"cmp"
	"math"
	"slices"
)

// Curve is the tally of a corpus at falling thresholds.
type Curve struct {
	Thresholds []float64
	Tallies    []Tally
}

// Sweep has the tally at every threshold at which something changes; the first is Quiet.
func Sweep(corpus []Series) Curve {
	var all []point
	windows := 0
	for _, s := range corpus {
		for _, p := range s.points {
			if p.window >= 0 {
				p.window += windows
			}
			all = append(all, p)
		}
		windows += s.windows
	}
	slices.SortStableFunc(all, func(a, b point) int { return cmp.Compare(b.score, a.score) })
	run := newRun(windows)
	curve := Curve{Thresholds: []float64{Quiet}, Tallies: []Tally{run.tally}}
	for i, p := range all {
		run.take(p)
		if i+1 == len(all) || all[i+1].score != p.score {
			curve.Thresholds = append(curve.Thresholds, p.score)
			curve.Tallies = append(curve.Tallies, run.tally)
		}
	}
	return curve
}

// Best is the index of the threshold that a profile likes best, of equals the highest.
func (c Curve) Best(p Profile) int {
	best := 0
	for i, t := range c.Tallies {
		if p.Above(t) > p.Above(c.Tallies[best]) {
			best = i
		}
	}
	return best
}

// Thin is at most n indices of the curve with the first and the last, densest at the high thresholds, where few rows are detected and
// each counts.
func (c Curve) Thin(n int) []int {
	last := len(c.Thresholds) - 1
	if last < n {
		out := make([]int, last+1)
		for i := range out {
			out[i] = i
		}
		return out
	}
	out := []int{0}
	for k := range n - 1 {
		at := int(math.Round(math.Pow(float64(last), float64(k)/float64(n-2))))
		if at > out[len(out)-1] {
			out = append(out, at)
		}
	}
	return out
}
