package screen

import (
	"slices"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/statistical"
)

// Bounds of what a series' window holds. Every span counts in it; it is the memory that is bounded.
const (
	maxPoints      = 256 // spans of one window that weigh in full: those of a busy window depend on each other
	latencyBuckets = 24
	tokenBuckets   = 16
	maxOpen        = 64 // windows, those of clocks that are far ahead
	maxSlow        = 8  // slowest spans, and failed ones, whose traces are known
	maxTraces      = 64 // trace ids that a finding names
)

// window is what a series saw in one window of event time.
type window struct {
	Start   time.Time
	Spans   int
	Failed  int                // spans that failed by themselves, not because a child did
	Latency statistical.Sample // seconds, of those that did not fail
	Tokens  statistical.Sample
	Slow    []slowSpan       // the slowest first
	Errors  []engine.TraceID // of failed spans
}

func newWindow(start time.Time) *window {
	return &window{Start: start, Latency: statistical.NewSample(latencyBuckets), Tokens: statistical.NewSample(tokenBuckets)}
}

// slowSpan is one span's latency.
type slowSpan struct {
	Seconds float32
	Trace   engine.TraceID
}

// addLatency takes in the latency of a span. Of two that are equally slow the first is the slower one.
func (w *window) addLatency(seconds float64, trace engine.TraceID) {
	w.Latency.Add(seconds)
	slow := slowSpan{float32(seconds), trace}
	if len(w.Slow) == maxSlow {
		if w.Slow[maxSlow-1].Seconds >= slow.Seconds {
			return
		}
		w.Slow = w.Slow[:maxSlow-1]
	}
	at := len(w.Slow)
	for at > 0 && w.Slow[at-1].Seconds < slow.Seconds {
		at--
	}
	w.Slow = slices.Insert(w.Slow, at, slow)
}

// slowTraces lists the traces of the slowest spans that took longer than what holds for abnormal.
func (w *window) slowTraces(abnormal func(seconds float64) bool) []engine.TraceID {
	var out []engine.TraceID
	for _, x := range w.Slow {
		if !abnormal(float64(x.Seconds)) {
			break
		}
		if !slices.Contains(out, x.Trace) {
			out = append(out, x.Trace)
		}
	}
	return out
}

// longest is the number of windows of the longest horizon.
const longest = 6

// horizons are the numbers of windows over which evidence is added up: a quiet series needs longer to show the same.
var horizons = [...]int{1, 3, longest}

// tally is what is kept of a closed window, to be added up over a horizon.
type tally struct {
	Start         time.Time
	Points        int
	Above25       int // latencies in the upper quarter and twentieth of the baseline
	Above05       int
	Spans, Failed int
}

// closed is a tally as it is kept: its numbers are those of one window.
type closed struct {
	start                    int64 // Unix seconds
	spans, failed            uint32
	points, above25, above05 uint16
}

func (c closed) tally() tally {
	return tally{time.Unix(c.start, 0).UTC(), int(c.points), int(c.above25), int(c.above05), int(c.spans), int(c.failed)}
}

// timeline is the open windows and the latest closed ones of a series.
type timeline struct {
	open   []*window       // hardly ever more than two
	closed [longest]closed // oldest first
	kept   int             // of closed
}

// at returns the open window in which t lies, or nil when too many are open. Whether it closed already is for the caller to know.
func (l *timeline) at(t time.Time, length time.Duration) *window {
	start := windowStart(t, length)
	for _, w := range l.open {
		if w.Start.Equal(start) {
			return w
		}
	}
	if len(l.open) == maxOpen {
		return nil
	}
	w := newWindow(start)
	l.open = append(l.open, w)
	return w
}

// windowStart is the start of the window in which t lies.
func windowStart(t time.Time, length time.Duration) time.Time {
	return time.Unix(0, t.UnixNano()/int64(length)*int64(length)).UTC()
}

// ends reports whether a window ended at or before the watermark.
func (l *timeline) ends(watermark time.Time, length time.Duration) bool {
	return slices.ContainsFunc(l.open, func(w *window) bool { return !w.Start.Add(length).After(watermark) })
}

// due removes and returns the windows that ended at or before the watermark, oldest first.
func (l *timeline) due(watermark time.Time, length time.Duration) []*window {
	var out []*window
	l.open = slices.DeleteFunc(l.open, func(w *window) bool {
		ended := !w.Start.Add(length).After(watermark)
		if ended {
			out = append(out, w)
		}
		return ended
	})
	slices.SortFunc(out, func(a, b *window) int { return a.Start.Compare(b.Start) })
	return out
}

// close keeps the window's tally. Tallies too old for the longest horizon go.
func (l *timeline) close(t tally, length time.Duration) {
	gone := 0
	for gone < l.kept && (gone == 0 && l.kept == longest || t.Start.Unix()-l.closed[gone].start >= int64(longest*length/time.Second)) {
		gone++
	}
	l.kept = copy(l.closed[:], l.closed[gone:l.kept])
	l.closed[l.kept] = closed{
		t.Start.Unix(), uint32(min(t.Spans, 1<<32-1)), uint32(min(t.Failed, 1<<32-1)), uint16(t.Points), uint16(t.Above25), uint16(t.Above05),
	}
	l.kept++
}

// over adds the tallies of the last n windows up. Its start is where what is going on began: the first of the windows without a
// gap before the last that are at least half as intense as it.
func (l *timeline) over(n int, length time.Duration, intensity func(tally) float64) tally {
	var sum tally
	if l.kept == 0 {
		return sum
	}
	last := l.closed[l.kept-1].tally()
	least, going := intensity(last)/2, true
	for i := l.kept - 1; i >= 0; i-- {
		t := l.closed[i].tally()
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

func appendTrace(list []engine.TraceID, id engine.TraceID, most int) []engine.TraceID {
	if len(list) >= most || len(list) > 0 && list[len(list)-1] == id {
		return list
	}
	return append(list, id)
}
