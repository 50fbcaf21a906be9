package measure

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/llm-sentinel/llm-sentinel/evals"
)

// Resamples is how often the bootstrap draws.
const Resamples = 1000

// Bootstrap is a statistic of all n cases with its 95 % percentile interval over resamples of the cases with replacement (Efron and
// Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13). With groups, one name a case, whole groups are drawn: cases of a group
// are near copies. Resamples on which the statistic is NaN, such as an AUROC without a positive, are left out.
func Bootstrap(seed uint64, n int, groups []string, statistic func(cases []int) float64) evals.Interval {
	return interval(statistic(All(n)), resample(seed, n, groups, statistic))
}

// Paired is the difference a less b of two statistics of the same cases, both evaluated on each resample.
func Paired(seed uint64, n int, groups []string, a, b func(cases []int) float64) evals.Interval {
	return Bootstrap(seed, n, groups, func(cases []int) float64 { return a(cases) - b(cases) })
}

// Mean is the mean of values with its interval, the usual statistic of cases.
func Mean(seed uint64, values []float64, groups []string) evals.Interval {
	return Bootstrap(seed, len(values), groups, MeanOf(values))
}

// MeanOf is the statistic mean, of values.
func MeanOf(values []float64) func(cases []int) float64 {
	return func(cases []int) float64 {
		var sum float64
		for _, i := range cases {
			sum += values[i]
		}
		return sum / float64(len(cases))
	}
}

// All are the cases 0 to n-1.
func All(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func resample(seed uint64, n int, groups []string, statistic func([]int) float64) []float64 {
	members := units(n, groups)
	random := rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))
	draws := make([]float64, 0, Resamples)
	cases := make([]int, 0, 2*n)
	for range Resamples {
		cases = cases[:0]
		for range members {
			cases = append(cases, members[random.IntN(len(members))]...)
		}
		if len(cases) == 0 {
			continue
		}
		if x := statistic(cases); !math.IsNaN(x) {
			draws = append(draws, x)
		}
	}
	return draws
}

// units are the cases that are drawn together, in order of first appearance.
func units(n int, groups []string) [][]int {
	out := make([][]int, 0, n)
	at := make(map[string]int)
	for i := range n {
		if groups == nil || groups[i] == "" {
			out = append(out, []int{i})
			continue
		}
		k, ok := at[groups[i]]
		if !ok {
			k = len(out)
			at[groups[i]] = k
			out = append(out, nil)
		}
		out[k] = append(out[k], i)
	}
	return out
}

func interval(value float64, draws []float64) evals.Interval {
	if len(draws) == 0 {
		return evals.Interval{Value: value, Low: value, High: value}
	}
	slices.Sort(draws)
	at := func(q float64) float64 { return draws[int(q*float64(len(draws)-1)+0.5)] }
	// The value itself always lies in its interval: a percentile interval of a skewed statistic may miss it.
	return evals.Interval{Value: value, Low: min(value, at(0.025)), High: max(value, at(0.975))}
}
