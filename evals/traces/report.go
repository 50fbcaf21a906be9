package traces

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/llm-sentinel/llm-sentinel/evals"
	"github.com/llm-sentinel/llm-sentinel/evals/measure"
)

// report turns outcomes into figures.
type report struct {
	env  evals.Env
	days []day

	engine, incidents outcome // by anomalies and by incidents
	always, sigma     outcome
}

// The names of detectors and of orders of services.
const (
	nameEngine    = "sentinel"
	nameIncidents = "sentinel, by incidents"
	nameAlways    = "always_alarm"
	nameSigma     = "n_sigma"
	nameFrequent  = "most_frequent"
	nameBusiest   = "busiest"
	nameRandom    = "random"
)

// figure is one metric of detection.
type figure struct {
	name  string
	unit  string
	lower bool
	of    func(counts) float64
	n     func(counts) int // cases it rests on
}

var figures = []figure{
	{"detection.precision", "", false, counts.precision, func(c counts) int { return c.alarmed }},
	{"detection.recall", "", false, counts.recall, func(c counts) int { return c.faults }},
	{"detection.f1", "", false, counts.f1, func(c counts) int { return c.faults }},
	{"false_alarms_per_hour", "an hour", true, counts.falsePerHour, func(c counts) int { return c.windows }},
	{"median_delay_seconds", "s", true, counts.medianDelay, func(c counts) int { return c.detected }},
}

// tops are the lengths of the list in which the service at fault must stand.
var tops = []int{1, 3, 5}

func topName(k int) string { return "localisation.as_at_" + strconv.Itoa(k) }

func (r *report) result(built bool) evals.Result {
	out := evals.NewResult("traces")
	orders := r.orders(built)
	if built {
		r.detection(&out)
		r.localisation(&out, orders)
		out.Charts = append(r.timelines(), r.delays(), r.tradeOff())
		out.Confusions = r.confusions()
	} else {
		for _, f := range figures {
			out.Unavailable[f.name] = "there is no pipeline to play spans to"
		}
		for _, k := range tops {
			out.Unavailable[topName(k)] = "there is no pipeline to play spans to"
		}
	}
	out.Tables = append(out.Tables, r.detectors(built), r.localisers(orders))
	if built {
		out.Tables = append(out.Tables, r.each())
	}
	out.Notes = []string{
		"Nothing is learnt from labelled data, so a frozen model changes nothing: the history of a day is its own fault-free minute, moved to before the stream.",
		"Precision is by window of a minute, recall by fault; the spans were recorded around faults, so that always_alarm is right most of the time.",
		"Spans of this data carry no status. Return and exception faults change code and leave hardly a trace in spans; the published method reads logs and metrics too.",
	}
	return out
}

// detection measures by stretches: what is drawn together depends on each other.
func (r *report) detection(out *evals.Result) {
	n := len(r.engine.stretches)
	all := measure.All(n)
	for _, f := range figures {
		statistic := func(o *outcome) func([]int) float64 {
			return func(cases []int) float64 { return f.of(o.count(cases, 0)) }
		}
		if math.IsNaN(f.of(r.engine.count(all, 0))) {
			out.Unavailable[f.name] = "no fault was detected"
			continue
		}
		x := measure.Bootstrap(r.env.Seed, n, nil, statistic(&r.engine))
		m := evals.Metric{
			Value: x.Value, Low: x.Low, High: x.High, N: f.n(r.engine.count(all, 0)), Unit: f.unit, Lower: f.lower,
			Baselines: make(map[string]float64),
		}
		for name, o := range map[string]*outcome{nameAlways: &r.always, nameSigma: &r.sigma} {
			if b := f.of(o.count(all, 0)); !math.IsNaN(b) {
				m.Baselines[name] = b
			}
		}
		if f.name == "detection.f1" {
			m.Gains = map[string]evals.Interval{
				nameAlways: measure.Paired(r.env.Seed, n, nil, statistic(&r.engine), statistic(&r.always)),
				nameSigma:  measure.Paired(r.env.Seed, n, nil, statistic(&r.engine), statistic(&r.sigma)),
			}
		}
		out.Metrics[f.name] = m
	}
}

// ranking is the place of the service at fault in the order that something gives, by fault: 1 is first, 0 is not in it.
type ranking struct {
	name   string
	places []int
}

func (r *report) orders(built bool) []ranking {
	place := func(name string, faults []noticed, list func(i int) []string) ranking {
		out := ranking{name: name, places: make([]int, len(faults))}
		for i := range faults {
			out.places[i] = 1 + slices.Index(list(i), faults[i].fault.service)
		}
		return out
	}
	var out []ranking
	if built {
		faults := r.engine.faults()
		out = append(out, place(nameEngine, faults, func(i int) []string { return faults[i].ranked }))
	}
	faults := r.sigma.faults()
	return append(out,
		place(nameSigma, faults, func(i int) []string { return faults[i].ranked }),
		place(nameFrequent, faults, func(i int) []string { return mostFrequent(faults, i) }),
		place(nameBusiest, faults, func(i int) []string { return busiest(r.days, faults[i].fault) }),
	)
}

// within is, by fault, 1 when the service at fault is among the first k.
func (x ranking) within(k int) []float64 {
	out := make([]float64, len(x.places))
	for i, place := range x.places {
		if place > 0 && place <= k {
			out[i] = 1
		}
	}
	return out
}

// localisation draws faults of one kind in one service together: they were injected over and over.
func (r *report) localisation(out *evals.Result, orders []ranking) {
	faults := r.engine.faults()
	groups := make([]string, len(faults))
	for i := range faults {
		groups[i] = faults[i].fault.service + " " + faults[i].fault.kind
	}
	for _, k := range tops {
		own := orders[0].within(k)
		x := measure.Mean(r.env.Seed, own, groups)
		m := evals.Metric{
			Value: x.Value, Low: x.Low, High: x.High, N: len(faults), Baselines: map[string]float64{nameRandom: r.chance(k)},
			Gains: make(map[string]evals.Interval),
		}
		for _, other := range orders[1:] {
			theirs := other.within(k)
			m.Baselines[other.name] = mean(theirs)
			m.Gains[other.name] = measure.Paired(r.env.Seed, len(faults), groups, measure.MeanOf(own), measure.MeanOf(theirs))
		}
		out.Metrics[topName(k)] = m
	}
}

// chance is how often a random order has the service at fault among the first k.
func (r *report) chance(k int) float64 {
	services := make(map[string]bool)
	for _, d := range r.days {
		for i := range d.stream {
			services[d.stream[i].Service] = true
		}
	}
	return min(1, float64(k)/float64(len(services)))
}

func mean(values []float64) float64 { return measure.MeanOf(values)(measure.All(len(values))) }

// named is a detector and its outcome.
type named struct {
	name    string
	outcome *outcome
}

func (r *report) detectors(built bool) evals.Table {
	list := []named{{nameSigma, &r.sigma}, {nameAlways, &r.always}}
	if built {
		list = append([]named{{nameEngine, &r.engine}, {nameIncidents, &r.incidents}}, list...)
	}
	t := evals.Table{Title: "Detection", Columns: []string{
		"detector", "precision", "recall", "F1", "false alarms an hour", "median delay", "precision by run", "F1 by run",
	}}
	for _, x := range list {
		c := x.outcome.count(measure.All(len(x.outcome.stretches)), 0)
		delay := "-"
		if d := c.medianDelay(); !math.IsNaN(d) && x.name != nameIncidents { // when an incident was raised is not what it is dated by
			delay = fmt.Sprintf("%.0f s", d)
		}
		t.Rows = append(t.Rows, []string{
			x.name, percent(c.precision()), percent(c.recall()), percent(c.f1()), fmt.Sprintf("%.1f", c.falsePerHour()), delay,
			percent(c.runPrecision()), percent(c.runF1()),
		})
	}
	return t
}

func (r *report) localisers(orders []ranking) evals.Table {
	t := evals.Table{Title: "Localisation", Columns: []string{"order", "AS@1", "AS@3", "AS@5"}}
	for _, x := range orders {
		row := []string{x.name}
		for _, k := range tops {
			row = append(row, percent(mean(x.within(k))))
		}
		t.Rows = append(t.Rows, row)
	}
	row := []string{nameRandom}
	for _, k := range tops {
		row = append(row, percent(r.chance(k)))
	}
	t.Rows = append(t.Rows, row)
	return t
}

// each lists every fault.
func (r *report) each() evals.Table {
	t := evals.Table{Title: "Faults", Columns: []string{"time", "type", "service", "first alarm after", "place", "blamed"}}
	for _, f := range r.engine.faults() {
		after, place := "missed", "-"
		if f.score > 0 {
			after = fmt.Sprintf("%.0f s", f.delay.Seconds())
		}
		if i := slices.Index(f.ranked, f.fault.service); i >= 0 {
			place = strconv.Itoa(i + 1)
		}
		t.Rows = append(t.Rows, []string{
			f.fault.at.Format(time.DateTime), f.fault.kind, f.fault.service, after, place, strings.Join(f.ranked[:min(3, len(f.ranked))], ", "),
		})
	}
	return t
}

func percent(x float64) string { return fmt.Sprintf("%.0f %%", 100*x) }

// confusions are what became of the faults of each type.
func (r *report) confusions() []evals.Confusion {
	faults := r.engine.faults()
	var kinds []string
	for i := range faults {
		kinds = append(kinds, faults[i].fault.kind)
	}
	slices.Sort(kinds)
	kinds = slices.Compact(kinds)
	found := evals.Confusion{Title: "Faults by type: detected", Rows: kinds, Columns: []string{"detected", "missed"}}
	placed := evals.Confusion{Title: "Faults by type: place of the service at fault", Rows: kinds, Columns: []string{"1", "2 to 3", "4 to 5", "later", "not blamed"}}
	for range kinds {
		found.Counts = append(found.Counts, make([]int, len(found.Columns)))
		placed.Counts = append(placed.Counts, make([]int, len(placed.Columns)))
	}
	for i := range faults {
		row := slices.Index(kinds, faults[i].fault.kind)
		column := 0
		if faults[i].score == 0 {
			column = 1
		}
		found.Counts[row][column]++
		switch place := slices.Index(faults[i].ranked, faults[i].fault.service); {
		case place < 0:
			column = 4
		case place == 0:
			column = 0
		case place < 3:
			column = 1
		case place < 5:
			column = 2
		default:
			column = 3
		}
		placed.Counts[row][column]++
	}
	return []evals.Confusion{found, placed}
}
