package scenarios

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals/scenario"
)

// enough calls of a window for a quantile or a share to mean something.
const enough = 5

// rawMetric is what a dashboard would alert on: one metric, by what it is a metric of, above a fixed multiple of its median in the first
// third of the day. The subject of an alarm is its cause as well: a threshold knows no other.
type rawMetric struct {
	name  string
	kind  engine.AnomalyType // of its alarm
	of    string             // kind of subject
	times float64            // the multiple: what keeps all finds with fewest false alarms on the demo's days 1 to 8
	pools bool               // one median for all subjects, where each has too few windows of its own
	// read sums the values of a window up, and reports whether that says anything.
	read func(values []float64) (float64, bool)
}

// The metrics, as indexes of dashboard.
const (
	latency = iota
	failures
	tokens
	requests
)

var dashboard = [...]rawMetric{
	latency:  {"latency p95", engine.LatencySpike, engine.SubjectService, 3, false, p95},
	failures: {"error share", engine.ErrorRate, engine.SubjectProvider, 30, false, mean},
	tokens:   {"tokens a user", engine.TokenAbuse, engine.SubjectUser, 50, true, total},
	requests: {"requests", engine.Traffic, engine.SubjectService, 10, false, total},
}

func p95(values []float64) (float64, bool) {
	slices.Sort(values)
	return values[(len(values)-1)*95/100], len(values) >= enough
}

func mean(values []float64) (float64, bool) {
	return sum(values) / float64(len(values)), len(values) >= enough
}

func total(values []float64) (float64, bool) { return sum(values), true }

// alarm is a run of windows above a threshold.
type alarm struct {
	Metric string         `json:"metric"`
	Found  scenario.Found `json:"found"`
	At     time.Time      `json:"at"` // end of its first window: when it could be known
}

// rawMetrics gathers the windows of all metrics.
type rawMetrics struct {
	window time.Duration
	seen   []map[string]map[time.Time][]float64 // by metric, subject and start of the window
}

func newRawMetrics(window time.Duration) *rawMetrics {
	r := &rawMetrics{window: window, seen: make([]map[string]map[time.Time][]float64, len(dashboard))}
	for i := range r.seen {
		r.seen[i] = make(map[string]map[time.Time][]float64)
	}
	return r
}

func (r *rawMetrics) add(spans []engine.Span) {
	for i := range spans {
		s := &spans[i]
		if s.Operation.IsModelCall() {
			failed := 0.0
			if s.Failed {
				failed = 1
			} else {
				r.put(latency, s.Service, s.End, s.Duration().Seconds())
			}
			r.put(failures, s.Provider, s.End, failed)
			r.put(tokens, s.User, s.End, float64(s.Usage.Total()))
		}
		if s.Parent.IsZero() {
			r.put(requests, s.Service, s.End, 1)
		}
	}
}

func (r *rawMetrics) put(metric int, subject string, at time.Time, value float64) {
	if subject == "" {
		return
	}
	windows, ok := r.seen[metric][subject]
	if !ok {
		windows = make(map[time.Time][]float64)
		r.seen[metric][subject] = windows
	}
	start := at.Truncate(r.window)
	windows[start] = append(windows[start], value)
}

// reading is the metric of one window.
type reading struct {
	start time.Time
	value float64
}

// alarms are the runs of windows above the threshold; what ends before calm sets the threshold and raises none.
func (r *rawMetrics) alarms(calm time.Time) []alarm {
	var out []alarm
	for i, m := range dashboard {
		bySubject := make(map[string][]reading)
		var pooled []float64
		for subject, windows := range r.seen[i] {
			for start, values := range windows {
				if v, ok := m.read(values); ok {
					bySubject[subject] = append(bySubject[subject], reading{start, v})
				}
			}
			slices.SortFunc(bySubject[subject], func(a, b reading) int { return a.start.Compare(b.start) })
			pooled = append(pooled, before(bySubject[subject], calm)...)
		}
		for _, subject := range slices.Sorted(maps.Keys(bySubject)) {
			past := before(bySubject[subject], calm)
			if m.pools {
				past = pooled
			}
			out = append(out, r.runs(m, subject, after(bySubject[subject], calm), m.times*usual(past))...)
		}
	}
	slices.SortStableFunc(out, func(a, b alarm) int {
		return cmp.Or(a.Found.Start.Compare(b.Found.Start), cmp.Compare(a.Metric, b.Metric), cmp.Compare(a.Found.Subject, b.Found.Subject))
	})
	return out
}

func before(readings []reading, t time.Time) []float64 {
	var out []float64
	for _, x := range readings {
		if x.start.Before(t) {
			out = append(out, x.value)
		}
	}
	return out
}

func after(readings []reading, t time.Time) []reading {
	return slices.DeleteFunc(slices.Clone(readings), func(x reading) bool { return x.start.Before(t) })
}

// usual is the median, or the mean where most windows have nothing.
func usual(past []float64) float64 {
	if len(past) == 0 {
		return 0
	}
	if m := median(past); m > 0 {
		return m
	}
	return sum(past) / float64(len(past))
}

// runs joins windows above the threshold that follow on each other. Without a threshold there is none.
func (r *rawMetrics) runs(m rawMetric, subject string, readings []reading, threshold float64) []alarm {
	if threshold <= 0 {
		return nil
	}
	var out []alarm
	for _, x := range readings {
		if x.value <= threshold {
			continue
		}
		end := x.start.Add(r.window)
		if n := len(out); n > 0 && !x.start.After(out[n-1].Found.End.Add(joined)) {
			out[n-1].Found.End = end
			continue
		}
		out = append(out, alarm{Metric: m.name, At: end, Found: scenario.Found{
			Type: string(m.kind), Subject: subject, CauseKind: m.of, CauseSubject: subject, Start: x.start, End: end,
		}})
	}
	return out
}

// joined is how long a metric may be below its threshold within one alarm.
const joined = 30 * time.Minute

func sum(values []float64) float64 {
	var out float64
	for _, v := range values {
		out += v
	}
	return out
}

// median of at least one value.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
