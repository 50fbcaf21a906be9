package explanations

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/llm-sentinel/llm-sentinel/evals"
	"github.com/llm-sentinel/llm-sentinel/evals/measure"
)

// subjectBaseline takes what the incident was found on for its cause.
const subjectBaseline = "subject"

// report puts checked notes into figures.
type report struct {
	evals.Result
	seed  uint64
	known []known
}

// figure is a metric that is a sum over notes divided by another.
type figure struct {
	name  string
	above func(checked) float64
	below func(checked) float64
	lower bool
	speed bool
	unit  string
}

var figures = []figure{
	{name: "cause_accuracy", above: func(c checked) float64 { return one(c.right) }, below: each},
	{name: "claims_supported", above: func(c checked) float64 { return float64(c.supported) }, below: func(c checked) float64 { return float64(c.claims) }},
	{name: "citations_resolve", above: func(c checked) float64 { return float64(c.resolved) }, below: func(c checked) float64 { return float64(c.citations) }},
	{name: "fallback_rate", above: func(c checked) float64 { return one(c.fallback != "") }, below: each, lower: true},
	{name: "tokens_per_note", above: func(c checked) float64 { return float64(c.tokens) }, below: each, lower: true, unit: "tokens"},
	{name: "seconds_per_note", above: func(c checked) float64 { return c.took.Seconds() }, below: each, lower: true, speed: true, unit: "s"},
}

func each(checked) float64 { return 1 }

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// of is the statistic of a figure, of notes.
func (f figure) of(notes []checked) func([]int) float64 {
	return func(cases []int) float64 {
		var above, below float64
		for _, i := range cases {
			above += f.above(notes[i])
			below += f.below(notes[i])
		}
		return above / below
	}
}

// cases is what the figure of all notes rests on.
func (f figure) cases(notes []checked) int {
	n := 0.0
	for _, c := range notes {
		n += f.below(c)
	}
	return int(n)
}

// deterministic reports the notes without a language model, of all incidents in their order.
func (r *report) deterministic(notes []checked) {
	r.Notes = append(r.Notes,
		fmt.Sprintf("%d incidents that the pipeline raised and that match a true one; what it missed has no note.", len(notes)),
		"A claim is a paragraph or list item of the note, the facts that it lists among them. It is supported when each figure, each name with a digit and each quoted text in it is in the evidence.",
		"A cause is right when it is the first hypothesis and the summary names it. The baseline subject takes what the incident was found on for its cause.",
		"Language models are measured where cmd is given some; they reword the note, the causes and their order are computed, so that their cause accuracy can only fall short of the deterministic one.")
	cases := byTurns(r.known, 0)
	blamed := func(cases []int) float64 {
		n := 0.0
		for _, i := range cases {
			n += one(r.known[i].incident.Subject == r.known[i].cause)
		}
		return n / float64(len(cases))
	}
	for _, f := range figures {
		m := r.figure(f, notes, cases)
		if f.name == "cause_accuracy" {
			groups := r.days(cases)
			m.Baselines = map[string]float64{subjectBaseline: blamed(cases)}
			m.Gains = map[string]evals.Interval{subjectBaseline: measure.Paired(r.seed, len(notes), groups, f.of(notes), blamed)}
		}
		r.Metrics[Deterministic+"."+f.name] = m
	}
	r.tables(Deterministic, cases, notes)
}

// unreachable is the reason that a note gives when its model could not be asked at all.
const unreachable = "unavailable"

// model reports the notes of a language model, of the chosen incidents, beside the deterministic ones of the same.
func (r *report) model(name string, chosen []int, notes, plain []checked) {
	if !slices.ContainsFunc(notes, func(c checked) bool { return c.fallback != unreachable }) {
		for _, f := range figures {
			r.Unavailable[name+"."+f.name] = "the language model cannot be reached"
		}
		return
	}
	beside := make([]checked, len(chosen))
	for n, i := range chosen {
		beside[n] = plain[i]
	}
	for _, f := range figures {
		m := r.figure(f, notes, chosen)
		m.Baselines = map[string]float64{Deterministic: f.of(beside)(measure.All(len(beside)))}
		if !f.speed {
			m.Gains = map[string]evals.Interval{Deterministic: measure.Paired(r.seed, len(notes), r.days(chosen), f.of(notes), f.of(beside))}
		}
		r.Metrics[name+"."+f.name] = m
	}
	r.tables(name, chosen, notes)
}

// figure is one metric of notes; known[cases[n]] is what note n is about.
func (r *report) figure(f figure, notes []checked, cases []int) evals.Metric {
	i := measure.Bootstrap(r.seed, len(notes), r.days(cases), f.of(notes))
	return evals.Metric{Value: i.Value, Low: i.Low, High: i.High, N: f.cases(notes), Unit: f.unit, Lower: f.lower, Speed: f.speed}
}

// days are what bootstrap draws: incidents of a day share its traffic.
func (r *report) days(cases []int) []string {
	out := make([]string, len(cases))
	for n, i := range cases {
		out[n] = r.known[i].day
	}
	return out
}

// tables shows an explainer by kind of incident, and what it said that is not in the evidence.
func (r *report) tables(name string, cases []int, notes []checked) {
	t := evals.Table{
		Title:   "Notes by kind of incident: " + name,
		Columns: []string{"kind", "notes", "cause right", "claims", "supported", "citations", "resolved", "fallbacks"},
	}
	byKind := make(map[string][]checked)
	reasons := make(map[string]int)
	for n, i := range cases {
		byKind[r.known[i].kind] = append(byKind[r.known[i].kind], notes[n])
		if f := notes[n].fallback; f != "" {
			reasons[f]++
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(byKind)) {
		var right, claims, supported, citations, resolved, fallbacks int
		for _, c := range byKind[kind] {
			right += int(one(c.right))
			claims, supported = claims+c.claims, supported+c.supported
			citations, resolved = citations+c.citations, resolved+c.resolved
			fallbacks += int(one(c.fallback != ""))
		}
		row := []string{kind}
		for _, x := range []int{len(byKind[kind]), right, claims, supported, citations, resolved, fallbacks} {
			row = append(row, strconv.Itoa(x))
		}
		t.Rows = append(t.Rows, row)
	}
	r.Tables = append(r.Tables, t)

	if len(reasons) > 0 {
		t := evals.Table{Title: "Why the deterministic note stands: " + name, Columns: []string{"reason", "notes"}}
		for _, reason := range slices.SortedFunc(maps.Keys(reasons), func(a, b string) int { return cmp.Or(reasons[b]-reasons[a], strings.Compare(a, b)) }) {
			t.Rows = append(t.Rows, []string{reason, strconv.Itoa(reasons[reason])})
		}
		r.Tables = append(r.Tables, t)
	}
	wrong := evals.Table{Title: "Not in the evidence: " + name, Columns: []string{"day", "incident", "what the note says"}}
	for n, i := range cases {
		for _, fault := range notes[n].faults {
			if len(wrong.Rows) < maxFaults {
				wrong.Rows = append(wrong.Rows, []string{r.known[i].day, r.known[i].incident.ID, fault})
			}
		}
	}
	if len(wrong.Rows) > 0 {
		r.Tables = append(r.Tables, wrong)
	}
}

// maxFaults bounds the rows of what is not in the evidence.
const maxFaults = 100
