package custom

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/llm-sentinel/llm-sentinel/evals"
	"github.com/llm-sentinel/llm-sentinel/evals/measure"
)

// contest is the labelled rows with what is said of them, by what serves and by the trivial baselines.
type contest struct {
	definition *definition
	rows       []row
	groups     []string // what is drawn together, and shares a fold
	opinions   []opinion
	baselines  []baseline
	why        string // nothing serves the task, for this reason; "" when something does
	notes      []string
}

// newContest takes the rows that do not teach.
func newContest(d *definition, all []row) (*contest, error) {
	c := &contest{definition: d}
	for _, r := range all {
		if !r.Normal {
			c.rows = append(c.rows, r)
		}
	}
	if d.Task == taskSeries {
		c.groups = blocks(c.rows)
	} else {
		for _, r := range c.rows {
			group := "row " + strconv.Itoa(r.Line)
			if r.Group != "" {
				group = "group " + r.Group
			}
			c.groups = append(c.groups, group)
		}
	}
	c.opinions = make([]opinion, len(c.rows))
	c.baselines = d.baselines(c.rows)
	return c, c.check()
}

// check refuses data on which nothing can be measured.
func (c *contest) check() error {
	d := c.definition
	positives := 0
	for _, r := range c.rows {
		if r.Positive {
			positives++
		}
	}
	switch {
	case len(c.rows) == 0:
		return fmt.Errorf("%s has no row to score", d.File)
	case positives == 0:
		return fmt.Errorf("no row to score in %s has a %s of %q", d.File, d.Fields.Label, d.Positive)
	case positives == len(c.rows):
		return fmt.Errorf("every row to score in %s has a %s of %q", d.File, d.Fields.Label, d.Positive)
	}
	return nil
}

// keep leaves out the rows that do not count.
func (c *contest) keep(counts []bool) error {
	at := 0
	for i := range counts {
		if !counts[i] {
			continue
		}
		c.rows[at], c.groups[at], c.opinions[at] = c.rows[i], c.groups[i], c.opinions[i]
		for _, b := range c.baselines {
			b.scores[at] = b.scores[i]
		}
		at++
	}
	c.rows, c.groups, c.opinions = c.rows[:at], c.groups[:at], c.opinions[:at]
	for k := range c.baselines {
		c.baselines[k].scores = c.baselines[k].scores[:at]
	}
	return c.check()
}

func (c *contest) note(format string, args ...any) {
	c.notes = append(c.notes, fmt.Sprintf(format, args...))
}

// statistic is a figure of a system on some of the rows.
type statistic func(cases []int) float64

// result measures what was said.
func (c *contest) result(seed uint64) (evals.Result, error) {
	d := c.definition
	result := evals.NewResult(d.Name)
	found, learning := 0, 0
	scores := make([]float64, len(c.rows))
	for i, o := range c.opinions {
		scores[i] = o.Score
		if o.Found {
			found++
		}
		if o.Learning {
			learning++
		}
	}
	if c.why == "" && found == 0 {
		c.why = "no detector says anything of type " + d.Task
	}
	if learning > 0 {
		c.note("The detector had not learnt enough to weigh %d of %d rows, and can flag none of them: more normal rows would help.", learning, len(c.rows))
	}
	if silent := len(c.rows) - found; found > 0 && silent > 0 {
		c.note("The detector said nothing of %d of %d rows; they count as the least suspicious.", silent, len(c.rows))
	}
	for _, name := range tasks[d.Task].metrics {
		required, demanded := d.Thresholds[name]
		if c.why != "" {
			if demanded {
				return result, fmt.Errorf("%s has a threshold of %g and cannot be measured: %s", name, required, c.why)
			}
			result.Unavailable[name] = c.why
			continue
		}
		m := c.metric(seed, name, scores)
		if demanded {
			m.Required = &required
		}
		result.Metrics[name] = m
	}
	c.draw(&result, scores)
	result.Notes = c.notes
	return result, nil
}

// metric measures one figure and the same of the baselines.
func (c *contest) metric(seed uint64, name string, scores []float64) evals.Metric {
	positive, flagged := c.positive(), make([]bool, len(c.rows))
	for i, o := range c.opinions {
		flagged[i] = o.Flagged
	}
	m := evals.Metric{N: len(c.rows), Baselines: make(map[string]float64)}
	var own statistic
	rivals := make(map[string]statistic)
	switch name {
	case metricAUROC, metricTPR:
		own = ranked(name, scores, positive)
		for _, b := range c.baselines {
			rivals[b.name] = ranked(name, b.scores, positive)
		}
	case metricF1, metricBalancedAccuracy:
		own = decided(name, flagged, positive)
		rivals["always"] = decided(name, slices.Repeat([]bool{true}, len(c.rows)), positive)
	default:
		m.Lower = true
		own = func(cases []int) float64 { return falseAlarms(flagged, positive, cases) }
	}
	interval := measure.Bootstrap(seed, len(c.rows), c.groups, own)
	m.Value, m.Low, m.High = interval.Value, interval.Low, interval.High
	all := measure.All(len(c.rows))
	for rival, of := range rivals {
		m.Baselines[rival] = of(all)
	}
	if name == metricAUROC {
		m.Gains = make(map[string]evals.Interval)
		for rival, of := range rivals {
			m.Gains[rival] = measure.Paired(seed, len(c.rows), c.groups, own, of)
		}
	}
	return m
}

// ranked is a figure of the order of scores.
func ranked(metric string, scores []float64, positive []bool) statistic {
	if metric == metricAUROC {
		return func(cases []int) float64 { return measure.AUROC(scores, positive, cases) }
	}
	return func(cases []int) float64 { return measure.TPRAtFPR(scores, positive, cases, 0.01) }
}

// decided is a figure of what was flagged.
func decided(metric string, flagged, positive []bool) statistic {
	if metric == metricF1 {
		return func(cases []int) float64 { return measure.F1(flagged, positive, cases) }
	}
	return func(cases []int) float64 { return measure.BalancedAccuracy(flagged, positive, cases) }
}

// falseAlarms is the proportion of negatives that were flagged, NaN without a negative.
func falseAlarms(flagged, positive []bool, cases []int) float64 {
	var wrong, negatives float64
	for _, i := range cases {
		if !positive[i] {
			negatives++
			if flagged[i] {
				wrong++
			}
		}
	}
	return wrong / negatives
}

func (c *contest) positive() []bool {
	out := make([]bool, len(c.rows))
	for i, r := range c.rows {
		out[i] = r.Positive
	}
	return out
}

const bins = 20 // of a histogram

// draw adds curves, the confusion of labels and, where nothing serves, what the baselines reach.
func (c *contest) draw(result *evals.Result, scores []float64) {
	positive, all := c.positive(), measure.All(len(c.rows))
	roc := evals.Chart{Title: "Receiver operating characteristic", X: "false positive rate", Y: "true positive rate"}
	trivial := evals.Table{Title: "Trivial baselines", Columns: []string{"baseline", metricAUROC, metricTPR}}
	if c.why == "" {
		roc.Curves = append(roc.Curves, measure.ROC("engine", scores, positive, all))
	}
	for _, b := range c.baselines {
		roc.Curves = append(roc.Curves, measure.ROC(b.name, b.scores, positive, all))
		trivial.Rows = append(trivial.Rows, []string{
			b.name, fmt.Sprintf("%.3f", measure.AUROC(b.scores, positive, all)), fmt.Sprintf("%.3f", measure.TPRAtFPR(b.scores, positive, all, 0.01)),
		})
	}
	result.Charts = append(result.Charts, roc)
	if c.why != "" {
		result.Tables = append(result.Tables, trivial)
		return
	}
	if negatives := len(all) - countTrue(positive); negatives < 100 {
		c.note("With %d negatives, %s allows no false positive at all.", negatives, metricTPR)
	}
	labels, confusion := c.confusion()
	axis := "−log10 of the p-value"
	if c.definition.Task == taskSeries {
		axis = "score"
	} else {
		c.note("Flagged means that the detector's own score, log p / log α, is above 1: what serving would have raised.")
		result.Confusions = append(result.Confusions, confusion)
	}
	low, high := slices.Min(scores), slices.Max(scores)
	if math.Abs(high-low) < 1e-3 { // nothing but ties: there is no distribution to see
		return
	}
	histogram := evals.Chart{Title: "Scores by label", X: axis, Y: "share of the label's rows"}
	for _, label := range labels {
		var of []float64
		for i, r := range c.rows {
			if r.Label == label {
				of = append(of, scores[i])
			}
		}
		histogram.Curves = append(histogram.Curves, measure.Histogram(label, of, low, high, bins))
	}
	result.Charts = append(result.Charts, histogram)
}

// confusion counts what was flagged by label, positive labels first.
func (c *contest) confusion() ([]string, evals.Confusion) {
	var labels []string
	counts := make(map[string][]int)
	for _, first := range []bool{true, false} {
		from := len(labels)
		for i, r := range c.rows {
			if r.Positive != first {
				continue
			}
			if counts[r.Label] == nil {
				counts[r.Label] = make([]int, 2)
				labels = append(labels, r.Label)
			}
			column := 0
			if c.opinions[i].Flagged {
				column = 1
			}
			counts[r.Label][column]++
		}
		slices.Sort(labels[from:])
	}
	out := evals.Confusion{Title: "Flagged by label", Rows: labels, Columns: []string{"quiet", "flagged"}}
	for _, label := range labels {
		out.Counts = append(out.Counts, counts[label])
	}
	return labels, out
}

func countTrue(flags []bool) int {
	n := 0
	for _, f := range flags {
		if f {
			n++
		}
	}
	return n
}
