package retrieval

import (
	"fmt"
	"slices"

	"gonum.org/v1/gonum/stat"

	"github.com/llm-sentinel/llm-sentinel/evals"
	"github.com/llm-sentinel/llm-sentinel/evals/measure"
)

// present puts the metrics of all real texts, and a table and a chart of all outcomes, into the result. The first outcome is the exact
// scan of the real texts, and groups are those of its queries.
func present(r *evals.Result, seed uint64, groups []string, all []outcome) {
	table := evals.Table{
		Title:   "Search and storage, one call after the other",
		Columns: []string{"backend", "vectors", "queries", "recall@10", "p50 ms", "p99 ms", "vectors/s", "then arranged in s"},
	}
	chart := evals.Chart{Title: "Time of a search", X: "ms", Y: "share of searches"}
	for _, o := range all {
		if o.vectors == all[0].vectors && o.backend != exactName {
			o.metrics(r, seed, groups, all[0])
		}
		table.Rows = append(table.Rows, o.row())
		chart.Curves = append(chart.Curves, o.curve())
	}
	r.Tables, r.Charts = append(r.Tables, table), append(r.Charts, chart)
}

func (o outcome) metrics(r *evals.Result, seed uint64, groups []string, exact outcome) {
	n := len(o.Millis)
	found := measure.Mean(seed, o.Recall, groups)
	r.Metrics[o.backend+".recall_at_10"] = evals.Metric{
		Value: found.Value, Low: found.Low, High: found.High, N: n, Baselines: map[string]float64{exactName: 1},
		Gains: map[string]evals.Interval{exactName: {Value: found.Value - 1, Low: found.Low - 1, High: found.High - 1}},
	}
	for name, p := range map[string]float64{"p50_ms": 0.5, "p99_ms": 0.99} {
		mine := func(cases []int) float64 { return quantile(o.Millis, cases, p) }
		theirs := func(cases []int) float64 { return quantile(exact.Millis, cases, p) }
		i := measure.Bootstrap(seed, n, groups, mine)
		gain := measure.Paired(seed, n, groups, mine, theirs)
		r.Metrics[o.backend+"."+name] = evals.Metric{
			Value: i.Value, Low: i.Low, High: i.High, N: n, Unit: "ms", Lower: true, Speed: true,
			Baselines: map[string]float64{exactName: i.Value - gain.Value}, Gains: map[string]evals.Interval{exactName: gain},
		}
	}
	rate := measure.Bootstrap(seed, len(o.Seconds), nil, o.rate)
	r.Metrics[o.backend+".vectors_per_second"] = evals.Metric{
		Value: rate.Value, Low: rate.Low, High: rate.High, N: o.vectors, Unit: "vectors/s", Speed: true,
	}
}

// rate is vectors a second over some calls of Remember.
func (t timing) rate(calls []int) float64 {
	var vectors, seconds float64
	for _, i := range calls {
		vectors += t.Taken[i]
		seconds += t.Seconds[i]
	}
	return vectors / seconds
}

func (o outcome) row() []string {
	n := len(o.Millis)
	recall, rate, settled := "", "", ""
	if o.real {
		recall = fmt.Sprintf("%.4f", stat.Mean(o.Recall, nil))
	}
	if len(o.Seconds) > 0 {
		rate = fmt.Sprintf("%.0f", o.rate(measure.All(len(o.Seconds))))
	}
	if o.Settled > 0 {
		settled = fmt.Sprintf("%.0f", o.Settled)
	}
	return []string{
		o.backend, fmt.Sprint(o.vectors), fmt.Sprint(n), recall,
		fmt.Sprintf("%.2f", quantile(o.Millis, measure.All(n), 0.5)), fmt.Sprintf("%.2f", quantile(o.Millis, measure.All(n), 0.99)), rate, settled,
	}
}

// curve is the distribution of the time of a search.
func (o outcome) curve() evals.Curve {
	const points = 100
	c := evals.Curve{Name: fmt.Sprintf("%s, %d vectors", o.backend, o.vectors)}
	for i := range points + 1 {
		p := float64(i) / points
		c.X, c.Y = append(c.X, quantile(o.Millis, measure.All(len(o.Millis)), p)), append(c.Y, p)
	}
	return c
}

// quantile is the least value that at least a share p of the cases does not exceed.
func quantile(values []float64, cases []int, p float64) float64 {
	some := make([]float64, len(cases))
	for i, c := range cases {
		some[i] = values[c]
	}
	slices.Sort(some)
	return stat.Quantile(p, stat.Empirical, some, nil)
}
