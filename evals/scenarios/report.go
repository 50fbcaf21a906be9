package scenarios

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/llm-sentinel/llm-sentinel/evals"
	"github.com/llm-sentinel/llm-sentinel/evals/measure"
	"github.com/llm-sentinel/llm-sentinel/evals/scenario"
)

// The baselines.
const (
	thresholdBaseline = "threshold" // on each raw metric
	subjectBaseline   = "subject"   // what the incident was found on is its cause
)

// report puts the scores into figures.
type report struct {
	evals.Result
	seed                uint64
	window              time.Duration
	days                []Day
	product, thresholds score
}

func (r *report) notes() {
	r.Notes = append(r.Notes,
		fmt.Sprintf("%d generated days, with seeds from %d on; each is learnt from its own beginning, and nothing from any other.", len(r.days), r.days[0].Config.Seed),
		"Delays run from the true onset to the event time of the latest anomaly when the incident was told; how long it was held back after that, while symptoms were gathered, is not in them.",
		"Causes and delays are those of the incidents that were found.",
		"The baseline threshold is an alarm on each of four raw metrics, at a fixed multiple of its median in the first third of the day; its cause is what the metric is of. "+
			"The baseline subject takes what the incident was found on for its cause.")
}

// metrics are the figures of the suite.
func (r *report) metrics() {
	n := len(r.product.cases)
	if n == 0 {
		r.Unavailable["recall"] = "no day has an incident"
	} else {
		ours, theirs := measure.MeanOf(r.product.values(isFound)), measure.MeanOf(r.thresholds.values(isFound))
		r.set("recall", evals.Metric{
			N: n, Baselines: map[string]float64{thresholdBaseline: theirs(measure.All(n))},
			Gains: map[string]evals.Interval{thresholdBaseline: measure.Paired(r.seed, n, r.groups(r.product), ours, theirs)},
		}, measure.Bootstrap(r.seed, n, r.groups(r.product), ours))
	}

	ours, theirs := r.falsePerDay(r.product), r.falsePerDay(r.thresholds)
	r.set("false_per_day", evals.Metric{
		N: len(r.days), Lower: true, Unit: "incidents/day", Baselines: map[string]float64{thresholdBaseline: theirs(measure.All(len(r.days)))},
		Gains: map[string]evals.Interval{thresholdBaseline: measure.Paired(r.seed, len(r.days), nil, ours, theirs)},
	}, measure.Bootstrap(r.seed, len(r.days), nil, ours))

	found := r.product.of(isFound)
	if n = len(found.cases); n == 0 {
		for _, name := range []string{"median_delay_windows", "cause.top1", "cause.top3"} {
			r.Unavailable[name] = "no incident was found"
		}
		return
	}
	alarmed := r.thresholds.of(isFound)
	delay := evals.Metric{N: n, Lower: true, Unit: "windows"}
	if len(alarmed.cases) > 0 {
		delay.Baselines = map[string]float64{thresholdBaseline: median(r.delaysOf(alarmed))}
	}
	r.set("median_delay_windows", delay, measure.Bootstrap(r.seed, n, r.groups(found), medianOf(r.delaysOf(found))))

	named := measure.MeanOf(found.values(func(v verdict) bool { return v.named }))
	for name, right := range map[string]func(verdict) bool{
		"cause.top1": func(v verdict) bool { return v.top1 },
		"cause.top3": func(v verdict) bool { return v.top3 },
	} {
		ours := measure.MeanOf(found.values(right))
		m := evals.Metric{
			N: n, Baselines: map[string]float64{subjectBaseline: named(measure.All(n))},
			Gains: map[string]evals.Interval{subjectBaseline: measure.Paired(r.seed, n, r.groups(found), ours, named)},
		}
		if k := len(alarmed.cases); k > 0 {
			m.Baselines[thresholdBaseline] = measure.MeanOf(alarmed.values(right))(measure.All(k))
		}
		r.set(name, m, measure.Bootstrap(r.seed, n, r.groups(found), ours))
	}
}

func (r *report) set(name string, m evals.Metric, i evals.Interval) {
	m.Value, m.Low, m.High = i.Value, i.Low, i.High
	r.Metrics[name] = m
}

// groups are the days: what a day brings is not independent of the rest of it.
func (r *report) groups(s score) []string {
	out := make([]string, len(s.cases))
	for i, v := range s.cases {
		out[i] = r.days[v.day].Name()
	}
	return out
}

// falsePerDay is the statistic false alarms a simulated day, of days.
func (r *report) falsePerDay(s score) func([]int) float64 {
	wrong := make([]float64, len(r.days))
	for _, w := range s.wrong {
		wrong[w.day]++
	}
	return func(days []int) float64 {
		var n, length float64
		for _, i := range days {
			n += wrong[i]
			length += r.days[i].length()
		}
		return n / length
	}
}

// delaysOf are the delays of incidents that were found, in windows.
func (r *report) delaysOf(s score) []float64 {
	out := make([]float64, len(s.cases))
	for i, v := range s.cases {
		out[i] = v.delay.Seconds() / r.window.Seconds()
	}
	return out
}

// medianOf is the statistic median, of values.
func medianOf(values []float64) func([]int) float64 {
	return func(cases []int) float64 { return median(chosen(values, cases)) }
}

func chosen(values []float64, cases []int) []float64 {
	out := make([]float64, len(cases))
	for i, c := range cases {
		out[i] = values[c]
	}
	return out
}

func (r *report) tables() {
	r.Tables = append(r.Tables, r.byKind(), r.byCondition(), r.falseByType(), r.byRawMetric(), r.failures())
}

func (r *report) byKind() evals.Table {
	t := evals.Table{
		Title:   "Incidents by kind",
		Columns: []string{"kind", "incidents", "found", "recall", "95 % interval", "found by thresholds", "cause first", "cause among three", "median delay in windows"},
	}
	for _, k := range scenario.Kinds() {
		is := func(v verdict) bool { return v.truth.Type == string(k) }
		cases, raw := r.product.of(is), r.thresholds.of(is)
		if len(cases.cases) == 0 {
			continue
		}
		found := cases.of(isFound)
		recall := measure.Mean(r.seed, cases.values(isFound), r.groups(cases))
		row := []string{
			string(k), strconv.Itoa(len(cases.cases)), strconv.Itoa(len(found.cases)), share(recall.Value), share(recall.Low) + " to " + share(recall.High),
			strconv.Itoa(len(raw.of(isFound).cases)), strconv.Itoa(found.count(func(v verdict) bool { return v.top1 })),
			strconv.Itoa(found.count(func(v verdict) bool { return v.top3 })), "",
		}
		if len(found.cases) > 0 {
			row[len(row)-1] = fmt.Sprintf("%.1f", median(r.delaysOf(found)))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func (r *report) byCondition() evals.Table {
	t := evals.Table{
		Title:   "Days by condition",
		Columns: []string{"condition", "days", "incidents", "found", "cause first", "false", "false a day", "false a day of thresholds"},
	}
	done := make(map[string]bool)
	for _, d := range r.days {
		if done[d.Condition] {
			continue
		}
		done[d.Condition] = true
		var days []int
		for i := range r.days {
			if r.days[i].Condition == d.Condition {
				days = append(days, i)
			}
		}
		here := r.product.of(func(v verdict) bool { return slices.Contains(days, v.day) })
		wrong := 0
		for _, w := range r.product.wrong {
			if slices.Contains(days, w.day) {
				wrong++
			}
		}
		t.Rows = append(t.Rows, []string{
			d.Condition, strconv.Itoa(len(days)), strconv.Itoa(len(here.cases)), strconv.Itoa(here.count(isFound)),
			strconv.Itoa(here.count(func(v verdict) bool { return v.top1 })), strconv.Itoa(wrong),
			fmt.Sprintf("%.2f", r.falsePerDay(r.product)(days)), fmt.Sprintf("%.2f", r.falsePerDay(r.thresholds)(days)),
		})
	}
	return t
}

func (r *report) falseByType() evals.Table {
	t := evals.Table{Title: "False incidents by type", Columns: []string{"type", "false", "of them in place of one that was missed"}}
	counts := make(map[string][2]int)
	for _, w := range r.product.wrong {
		c := counts[w.found.Type]
		c[0]++
		if w.instead {
			c[1]++
		}
		counts[w.found.Type] = c
	}
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		t.Rows = append(t.Rows, []string{k, strconv.Itoa(counts[k][0]), strconv.Itoa(counts[k][1])})
	}
	return t
}

func (r *report) byRawMetric() evals.Table {
	t := evals.Table{Title: "Thresholds on raw metrics", Columns: []string{"metric", "times its median", "type it can find", "incidents of the type", "found", "false a day"}}
	for _, m := range dashboard {
		of := r.thresholds.of(func(v verdict) bool { return v.truth.Type == string(m.kind) })
		one := score{wrong: slices.DeleteFunc(slices.Clone(r.thresholds.wrong), func(w wrong) bool { return w.metric != m.name })}
		t.Rows = append(t.Rows, []string{
			m.name, fmt.Sprintf("%g", m.times), string(m.kind), strconv.Itoa(len(of.cases)), strconv.Itoa(of.count(isFound)), fmt.Sprintf("%.2f", r.falsePerDay(one)(measure.All(len(r.days)))),
		})
	}
	return t
}

// maxFailures bounds the rows of what to look into.
const maxFailures = 200

// failures lists what was missed, wrongly explained or false, day by day.
func (r *report) failures() evals.Table {
	t := evals.Table{Title: "What went wrong", Columns: []string{"day", "what", "type", "subject", "from", "to", "note"}}
	row := func(day int, what, kind, subject string, from, to time.Time, note string) {
		if len(t.Rows) < maxFailures {
			t.Rows = append(t.Rows, []string{r.days[day].Name(), what, kind, subject, clock(from), clock(to), note})
		}
	}
	for day := range r.days {
		for _, v := range r.product.cases {
			x := v.truth
			switch {
			case v.day != day || v.top1:
			case v.found:
				row(day, "cause not first", x.Type, x.Subject, x.Onset, x.End, x.Cause.Kind+" "+x.Cause.Subject)
			case v.instead != "":
				row(day, "missed", x.Type, x.Subject, x.Onset, x.End, "a "+v.instead+" was found in its place")
			default:
				row(day, "missed", x.Type, x.Subject, x.Onset, x.End, "")
			}
		}
		for _, w := range r.product.wrong {
			if f := w.found; w.day == day {
				row(day, "false", f.Type, f.Subject, f.Start, f.End, f.ID)
			}
		}
	}
	return t
}

// delays draws which share of the incidents had been told after so many windows.
func (r *report) delays() {
	c := evals.Chart{Title: "How soon incidents are told", X: "windows since the onset", Y: "share of the incidents"}
	for _, s := range []struct {
		name string
		of   score
	}{{"Sentinel", r.product}, {"threshold on each raw metric", r.thresholds}} {
		curve := evals.Curve{Name: s.name, X: []float64{0}, Y: []float64{0}}
		delays := r.delaysOf(s.of.of(isFound))
		slices.Sort(delays)
		points := min(len(delays), curvePoints)
		for i := 1; i <= points; i++ {
			told := i * len(delays) / points
			curve.X = append(curve.X, delays[told-1])
			curve.Y = append(curve.Y, float64(told)/float64(len(s.of.cases)))
		}
		c.Curves = append(c.Curves, curve)
	}
	r.Charts = append(r.Charts, c)
}

// curvePoints bounds a curve.
const curvePoints = 200

// confusion counts which type was found for which.
func (r *report) confusion() {
	const missed, nothing = "missed", "no incident"
	columns := make(map[string]bool)
	cells := make(map[[2]string]int)
	count := func(row, column string) {
		columns[column] = true
		cells[[2]string{row, column}]++
	}
	for _, v := range r.product.cases {
		switch {
		case v.found:
			count(v.truth.Type, v.truth.Type)
		case v.instead != "":
			count(v.truth.Type, v.instead)
		default:
			count(v.truth.Type, missed)
		}
	}
	for _, w := range r.product.wrong {
		if !w.instead {
			count(nothing, w.found.Type)
		}
	}
	c := evals.Confusion{Title: "Kind of incident (row) and type that was found, on whatever subject (column)"}
	for _, k := range scenario.Kinds() {
		c.Rows = append(c.Rows, string(k))
	}
	for _, k := range slices.Sorted(maps.Keys(columns)) {
		if k != missed && !slices.Contains(c.Rows, k) {
			c.Columns = append(c.Columns, k)
		}
	}
	c.Columns = append(append(slices.Clone(c.Rows), c.Columns...), missed)
	c.Rows = append(c.Rows, nothing)
	for _, row := range c.Rows {
		var counts []int
		for _, column := range c.Columns {
			counts = append(counts, cells[[2]string{row, column}])
		}
		c.Counts = append(c.Counts, counts)
	}
	r.Confusions = append(r.Confusions, c)
}

func share(p float64) string { return fmt.Sprintf("%.2f", p) }

func clock(t time.Time) string { return t.UTC().Format("Mon 15:04") }
