package topics

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/llm-sentinel/llm-sentinel/evals"
	"github.com/llm-sentinel/llm-sentinel/evals/measure"
)

// detector is the name of what serves.
const detector = "sentinel"

// report turns outcomes into figures.
type report struct {
	env     evals.Env
	built   bool              // there is a pipeline
	missing map[string]string // by source: why it is not there
	streams []*stream
	systems map[string][]outcome
}

func (r *report) add(s *stream, said []alarm) {
	if r.built {
		r.systems[detector] = append(r.systems[detector], judge(s, said))
	}
	for _, b := range baselines {
		r.systems[b.name] = append(r.systems[b.name], judge(s, b.alarms(s)))
	}
	r.streams = append(r.streams, s)
}

// figure is one metric, after the source and a dot.
type figure struct {
	name  string
	unit  string
	lower bool
	about change // "" for all changes
	of    func(r *report, outcomes []outcome, cases []int) float64
}

// The names of figures, that of a change and a dot before them where they are about one.
const (
	auroc         = "auroc"
	detectionRate = "detection_rate"
	falseAlarms   = "false_alarms_per_day"
	medianDelay   = "median_delay_prompts"
)

func figures() []figure {
	out := []figure{
		{auroc, "", false, "", (*report).auroc},
		{detectionRate, "", false, "", (*report).detectionRate},
	}
	for _, c := range changes {
		out = append(out, figure{string(c) + "." + detectionRate, "", false, c, (*report).detectionRate})
	}
	return append(out,
		figure{falseAlarms, "a day", true, "", (*report).falseAlarms},
		figure{medianDelay, "prompts", true, "", (*report).medianDelay},
	)
}

// auroc is of the largest score after the change, of changed streams against calm ones.
func (r *report) auroc(outcomes []outcome, cases []int) float64 {
	scores, positive := make([]float64, len(outcomes)), make([]bool, len(outcomes))
	for i, o := range outcomes {
		scores[i], positive[i] = o.score, r.streams[i].change != calm
	}
	return measure.AUROC(scores, positive, cases)
}

func (r *report) detectionRate(outcomes []outcome, cases []int) float64 {
	var n, detected float64
	for _, i := range cases {
		if r.streams[i].change != calm {
			n++
			if outcomes[i].detected {
				detected++
			}
		}
	}
	return detected / n
}

func (r *report) falseAlarms(outcomes []outcome, cases []int) float64 {
	var n int
	var days float64
	for _, i := range cases {
		n += outcomes[i].wrong
		days += outcomes[i].calm.Hours() / 24
	}
	return float64(n) / days
}

// medianDelay is NaN when nothing was detected.
func (r *report) medianDelay(outcomes []outcome, cases []int) float64 {
	var delays []int
	for _, i := range cases {
		if r.streams[i].change != calm && outcomes[i].detected {
			delays = append(delays, outcomes[i].delay)
		}
	}
	if len(delays) == 0 {
		return math.NaN()
	}
	slices.Sort(delays)
	n := len(delays)
	return float64(delays[(n-1)/2]+delays[n/2]) / 2
}

// cases are the streams of a source; with a change only its streams and their twins.
func (r *report) cases(source string, about change) []int {
	twin := make(map[string]bool)
	for _, s := range r.streams {
		if s.source == source && (about == "" || s.change == about) {
			twin[s.pair] = true
		}
	}
	var out []int
	for i, s := range r.streams {
		if twin[s.pair] {
			out = append(out, i)
		}
	}
	return out
}

// interval draws a stream and its twin together.
func (r *report) interval(cases []int, statistic func([]int) float64) evals.Interval {
	groups := make([]string, len(cases))
	for i, at := range cases {
		groups[i] = r.streams[at].pair
	}
	return measure.Bootstrap(r.env.Seed, len(cases), groups, func(drawn []int) float64 {
		picked := make([]int, len(drawn))
		for i, at := range drawn {
			picked[i] = cases[at]
		}
		return statistic(picked)
	})
}

func (r *report) result() evals.Result {
	out := evals.NewResult("topics")
	for _, source := range sources {
		for _, f := range figures() {
			name := source + "." + f.name
			switch why, missing := r.missing[source]; {
			case missing:
				out.Unavailable[name] = why
			case !r.built:
				out.Unavailable[name] = "there is no pipeline to play prompts to"
			default:
				r.metric(&out, source, name, f)
			}
		}
		if _, missing := r.missing[source]; !missing {
			out.Tables = append(out.Tables, r.table(source))
		}
	}
	if r.built {
		out.Tables = append(out.Tables, r.each())
	}
	out.Notes = []string{
		"Nothing is learnt from labelled data, so a frozen model changes nothing: a stream's history is what its pipeline learns from.",
		"A stream without an anomaly of the type has score 0: the AUROC of what serves is of what it tells, not of what it keeps to itself.",
	}
	return out
}

func (r *report) metric(out *evals.Result, source, name string, f figure) {
	cases := r.cases(source, f.about)
	statistic := func(system string) func([]int) float64 {
		return func(cases []int) float64 { return f.of(r, r.systems[system], cases) }
	}
	own := statistic(detector)
	v := r.interval(cases, own)
	if math.IsNaN(v.Value) {
		out.Unavailable[name] = "no change was detected"
		return
	}
	n := len(cases)
	if f.name != auroc && f.name != falseAlarms {
		n /= 2 // calm twins have no part in it
	}
	m := evals.Metric{Value: v.Value, Low: v.Low, High: v.High, N: n, Unit: f.unit, Lower: f.lower, Baselines: make(map[string]float64)}
	if f.name == auroc {
		m.Gains = make(map[string]evals.Interval)
	}
	for _, b := range baselines {
		theirs := statistic(b.name)
		if x := theirs(cases); !math.IsNaN(x) {
			m.Baselines[b.name] = x
		}
		if f.name == auroc {
			m.Gains[b.name] = r.interval(cases, func(cases []int) float64 { return own(cases) - theirs(cases) })
		}
	}
	out.Metrics[name] = m
}

// table has every system beside the others, for all changes and for each.
func (r *report) table(source string) evals.Table {
	t := evals.Table{
		Title:   source + ": what is noticed",
		Columns: []string{"change", "system", "AUROC", "detected", "median delay (prompts)", "false alarms a day"},
	}
	for _, about := range append([]change{""}, changes[:]...) {
		for _, system := range r.names() {
			cases, outcomes := r.cases(source, about), r.systems[system]
			name, delay, alarms := "all", "-", "-"
			if about != "" {
				name = string(about)
			} else { // calm is the same whatever comes after it
				alarms = fmt.Sprintf("%.2f", r.falseAlarms(outcomes, cases))
			}
			if d := r.medianDelay(outcomes, cases); !math.IsNaN(d) {
				delay = fmt.Sprintf("%.0f", d)
			}
			t.Rows = append(t.Rows, []string{
				name, system, fmt.Sprintf("%.2f", r.auroc(outcomes, cases)), fmt.Sprintf("%.2f", r.detectionRate(outcomes, cases)), delay, alarms,
			})
		}
	}
	return t
}

// names are the systems, what serves first.
func (r *report) names() []string {
	var out []string
	if r.built {
		out = append(out, detector)
	}
	for _, b := range baselines {
		out = append(out, b.name)
	}
	return out
}

// each lists what serves said of every stream.
func (r *report) each() evals.Table {
	t := evals.Table{Title: "Streams", Columns: []string{"stream", "change", "largest score after it", "told after (prompts)", "false alarms"}}
	for i, s := range r.streams {
		o := r.systems[detector][i]
		told := "-"
		if o.detected {
			told = strconv.Itoa(o.delay)
		}
		t.Rows = append(t.Rows, []string{s.pair, string(s.change), fmt.Sprintf("%.2f", o.score), told, strconv.Itoa(o.wrong)})
	}
	return t
}
