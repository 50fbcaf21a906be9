package screen

import (
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Bounds of what a window holds.
const (
	maxPoints = 256 // latency values of a series' window, a uniform sample above
	maxTraces = 64  // trace ids that a finding names
)

// window is what a series saw in one window of event time. Fields are exported for the snapshot.
type window struct {
	Start   time.Time
	Spans   int
	Failed  int // spans that failed by themselves, not because a child did
	Latency []point
	Tokens  []float64
	Errors  []engine.TraceID // of failed spans
}

// point is one span's latency.
type point struct {
	Seconds float64
	Trace   engine.TraceID
}

// horizons are the numbers of windows over which evidence is added up: a quiet series needs longer to show the same.
var horizons = [...]int{1, 3, 6}

// tally is what is kept of a closed window, to be added up over a horizon.
type tally struct {
	Start         time.Time
	Points        int
	Above25       int // latencies in the upper quarter and twentieth of the baseline
	Above05       int
	Spans, Failed int
}

// timeline is the open windows and the latest closed ones of a series.
type timeline struct {
	Open   map[int64]*window
	Closed []tally // oldest first, at most the longest horizon
}

// at returns the open window in which t lies, or nil when it closed already.
func (l *timeline) at(t time.Time, length time.Duration, closedUntil time.Time) *window {
	n := t.UnixNano() / int64(length)
	if w, ok := l.Open[n]; ok {
		return w
	}
	start := time.Unix(0, n*int64(length)).UTC()
	if start.Add(length).Before(closedUntil) || start.Add(length).Equal(closedUntil) {
		return nil
	}
	if l.Open == nil {
		l.Open = make(map[int64]*window, 2)
	}
	w := &window{Start: start}
	l.Open[n] = w
	return w
}

// due removes and returns the windows that ended at or before the watermark, oldest first.
func (l *timeline) due(watermark time.Time, length time.Duration) []*window {
	var out []*window
	for n, w := range l.Open {
		if w.Start.Add(length).After(watermark) {
			continue
		}
		delete(l.Open, n)
		i := len(out)
		for i > 0 && out[i-1].Start.After(w.Start) {
			i--
		}
		out = append(out[:i], append([]*window{w}, out[i:]...)...)
	}
	return out
}

// close keeps the window's tally. Tallies too old for the longest horizon go.
func (l *timeline) close(t tally, length time.Duration) {
	l.Closed = append(l.Closed, t)
	longest := time.Duration(horizons[len(horizons)-1]) * length
	for len(l.Closed) > 0 && t.Start.Sub(l.Closed[0].Start) >= longest {
		l.Closed = l.Closed[1:]
	}
}

// over adds the tallies of the last n windows up. Its start is where what is going on began: the first of the windows without a
// gap before the last that are at least half as intense as it.
func (l *timeline) over(n int, length time.Duration, intensity func(tally) float64) tally {
	var sum tally
	if len(l.Closed) == 0 {
		return sum
	}
	last := l.Closed[len(l.Closed)-1]
	least, going := intensity(last)/2, true
	for i := len(l.Closed) - 1; i >= 0; i-- {
		t := l.Closed[i]
		if last.Start.Sub(t.Start) >= time.Duration(n)*length {
			break
		}
		if going = going && intensity(t) >= least; going {
			sum.Start = t.Start
		}
		sum.Points += t.Points
		sum.Above25 += t.Above25
		sum.Above05 += t.Above05
		sum.Spans += t.Spans
		sum.Failed += t.Failed
	}
	return sum
}

// slow and failing are the intensities of the two kinds of window detector.
func slow(t tally) float64    { return float64(t.Above05) / float64(max(1, t.Points)) }
func failing(t tally) float64 { return float64(t.Failed) / float64(max(1, t.Spans)) }

func appendTrace(list []engine.TraceID, id engine.TraceID) []engine.TraceID {
	if len(list) >= maxTraces || len(list) > 0 && list[len(list)-1] == id {
		return list
	}
	return append(list, id)
}
