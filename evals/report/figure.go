package report

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/llm-sentinel/llm-sentinel/evals"
)

// figure prints a number with as many digits as a reader can use: three after the point below 10, fewer above.
func figure(x float64) string {
	digits := 3
	switch size := math.Abs(x); {
	case size >= 1000:
		digits = 0
	case size >= 100:
		digits = 1
	case size >= 10:
		digits = 2
	case size > 0 && size < 0.0005:
		return strconv.FormatFloat(x, 'g', 2, 64)
	}
	return strconv.FormatFloat(x, 'f', digits, 64)
}

func withUnit(x float64, unit string) string {
	if unit == "" {
		return figure(x)
	}
	return figure(x) + " " + unit
}

// interval is the 95 % interval of a metric.
func interval(m evals.Metric) string { return figure(m.Low) + " – " + figure(m.High) }

// baseline is one trivial system and its value.
type baseline struct {
	Name  string
	Value float64
}

// baselines of a metric, best first, names in order where they are as good as each other.
func baselines(m evals.Metric) []baseline {
	out := make([]baseline, 0, len(m.Baselines))
	for _, name := range slices.Sorted(maps.Keys(m.Baselines)) {
		out = append(out, baseline{name, m.Baselines[name]})
	}
	slices.SortStableFunc(out, func(a, b baseline) int {
		if m.Lower {
			return cmp.Compare(a.Value, b.Value)
		}
		return cmp.Compare(b.Value, a.Value)
	})
	return out
}

// best is the best baseline of a metric in words, "" when it has none.
func best(m evals.Metric) string {
	all := baselines(m)
	if len(all) == 0 {
		return ""
	}
	return all[0].Name + " " + figure(all[0].Value)
}

// standing is how a metric compares with its best baseline.
type standing string

const (
	better  standing = "better"
	unclear standing = "unclear" // the interval holds the baseline
	worse   standing = "worse"
)

// stand judges by the paired gain over the best baseline where the suite has it, and by the metric's own interval otherwise. It is ""
// without a baseline.
func stand(m evals.Metric) standing {
	all := baselines(m)
	if len(all) == 0 {
		return ""
	}
	low, high := m.Low-all[0].Value, m.High-all[0].Value
	if gain, paired := m.Gains[all[0].Name]; paired {
		low, high = gain.Low, gain.High
	}
	if m.Lower {
		low, high = -high, -low
	}
	switch {
	case low > 0:
		return better
	case high < 0:
		return worse
	}
	return unclear
}
