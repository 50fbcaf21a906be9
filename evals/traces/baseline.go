package traces

import (
	"math"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// always alarms in every window, and blames nobody.
func always(t timeline) []alarm {
	var out []alarm
	for _, s := range t.stretches {
		for _, w := range s.windows {
			out = append(out, alarm{from: w, at: w.Add(window), score: 1})
		}
	}
	return out
}

// sigmas is how many standard deviations the mean of a window may lie above the history's, and leastSpans how many spans of the
// history an operation needs.
const (
	sigmas     = 3
	leastSpans = 10
)

// sigma alarms when the mean duration of an operation in a window lies more than three standard deviations of the history above
// its mean there, and blames the operation's service.
func sigma(d day, t timeline) []alarm {
	normal := make(map[engine.SeriesKey]*moments)
	for i := range d.history {
		s := &d.history[i]
		momentsOf(normal, s.Series()).add(s.Duration().Seconds())
	}
	type cell struct {
		series engine.SeriesKey
		window time.Time
	}
	seen := make(map[cell]*moments)
	for i := range d.stream {
		s := &d.stream[i]
		momentsOf(seen, cell{s.Series(), s.End.Truncate(window)}).add(s.Duration().Seconds())
	}
	blamed := make(map[time.Time]map[string]float64)
	for c, now := range seen {
		usual, known := normal[c.series]
		if !known || usual.n < leastSpans || usual.deviation() == 0 {
			continue
		}
		if z := (now.mean() - usual.mean()) / usual.deviation() / sigmas; z > 1 {
			if blamed[c.window] == nil {
				blamed[c.window] = make(map[string]float64)
			}
			blamed[c.window][c.series.Service] = max(blamed[c.window][c.series.Service], z)
		}
	}
	var out []alarm
	for _, s := range t.stretches {
		for _, w := range s.windows {
			if len(blamed[w]) == 0 {
				continue
			}
			a := alarm{from: w, at: w.Add(window), blamed: blamed[w]}
			for _, z := range a.blamed {
				a.score = max(a.score, z)
			}
			out = append(out, a)
		}
	}
	return out
}

// moments are the first two of a sample.
type moments struct{ n, sum, squares float64 }

func momentsOf[K comparable](all map[K]*moments, key K) *moments {
	m, ok := all[key]
	if !ok {
		m = &moments{}
		all[key] = m
	}
	return m
}

func (m *moments) add(x float64) { m.n, m.sum, m.squares = m.n+1, m.sum+x, m.squares+x*x }

func (m *moments) mean() float64 { return m.sum / m.n }

func (m *moments) deviation() float64 {
	return math.Sqrt(max(0, m.squares/m.n-m.mean()*m.mean()))
}

// mostFrequent ranks services by how many of the other faults they had.
func mostFrequent(faults []noticed, i int) []string {
	counts := make(map[string]int)
	for j := range faults {
		if j != i {
			counts[faults[j].fault.service]++
		}
	}
	return order(counts)
}

// busiest ranks services by their spans while the fault lasted.
func busiest(days []day, f fault) []string {
	counts := make(map[string]int)
	for _, d := range days {
		for i := range d.stream {
			if end := d.stream[i].End; !end.Before(f.at) && end.Before(f.at.Add(faultLength)) {
				counts[d.stream[i].Service]++
			}
		}
	}
	return order(counts)
}
