package traces

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// alarm says that something was abnormal from one time to another, when it became known.
type alarm struct {
	from, at time.Time
	score    float64            // more is stranger
	blamed   map[string]float64 // services, by how strange each was
}

// alarmOf blames the services of the series that an anomaly lists as abnormal. That of a trace is about its spans, whichever
// service the trace began at.
func alarmOf(a *engine.Anomaly) alarm {
	x := alarm{from: a.At.Add(-a.Window), at: a.At, score: a.Score, blamed: map[string]float64{a.Series.Service: a.Score}}
	for _, c := range a.Shares {
		if c.Score > 1 {
			x.blamed[c.Series.Service] = max(x.blamed[c.Series.Service], c.Score)
		}
	}
	return x
}

// hits reports whether the alarm came after the injection, about a time at which the fault lasted.
func (a alarm) hits(f fault) bool { return !a.at.Before(f.at) && a.from.Before(f.at.Add(faultLength)) }

// covers reports whether the alarm is about a time in the window.
func (a alarm) covers(w time.Time) bool {
	if a.from.Equal(a.at) {
		return !a.at.Before(w) && a.at.Before(w.Add(window))
	}
	return a.at.After(w) && a.from.Before(w.Add(window))
}

// rank lists the services that alarms blame, the one that was strangest first.
func rank(alarms []alarm) []string {
	blamed := make(map[string]float64)
	for _, a := range alarms {
		for service, score := range a.blamed {
			blamed[service] = max(blamed[service], score)
		}
	}
	return order(blamed)
}

// order lists the keys by their values, highest first, and by name where those are equal.
func order[N cmp.Ordered](values map[string]N) []string {
	return slices.SortedFunc(maps.Keys(values), func(a, b string) int {
		return cmp.Or(cmp.Compare(values[b], values[a]), cmp.Compare(a, b))
	})
}
