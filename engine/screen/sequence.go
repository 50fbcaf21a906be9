package screen

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/statistical"
)

const (
	// leastRequests is how many requests a window needs for its proportion of failures and its median latency to say something.
	leastRequests = 20
	// mostSilentSequence is how many windows without a request are followed before no more is told of the silence.
	mostSilentSequence = 12
)

// sequences follows four numbers of each service from window to window and finds values, levels, spreads, drifts and patterns of them that never
// were before: how many requests came, which share of them failed, how long the median took and what they cost. A window that shows
// something is not learnt, until that has lasted for AdoptAfter.
//
// A number takes at most 30 KiB, so Config.MaxServices bounds the memory to that many times 120 KiB. The least recently used service is
// forgotten together with its traffic, and counted there.
type sequences struct {
	cfg       Config
	services  *simplelru.LRU[string, *sequence]
	inflation [len(followed)]*statistical.Inflation // of the p-values of calm windows, over all services
}

// followed are the numbers of a window.
var followed = [...]struct {
	kind engine.AnomalyType
	// value is what is compared; not every window has one.
	value func(*sequenceWindow) (x float64, ok bool)
	// effect says how far the window is from what is usual, in terms of a reader, and whether that matters.
	effect func(Config, *sequenceWindow, *statistical.Quantity) (e engine.Effect, material bool)
	reason string // with the service, the current and the usual value
	traces func(*sequenceWindow, engine.Effect) []engine.TraceID
}{
	{
		kind:   engine.Traffic,
		value:  func(w *sequenceWindow) (float64, bool) { return float64(w.Requests), true },
		effect: trafficEffect,
		reason: "%s had %s requests in a window, unlike any before, normally %s",
		traces: func(w *sequenceWindow, _ engine.Effect) []engine.TraceID { return w.Traces },
	},
	{
		kind: engine.ErrorRate,
		value: func(w *sequenceWindow) (float64, bool) {
			return float64(w.Failed) / float64(max(1, w.Requests)), w.Requests >= leastRequests
		},
		effect: func(cfg Config, w *sequenceWindow, usual *statistical.Quantity) (engine.Effect, bool) {
			e := engine.Effect{Baseline: usual.Median(), Current: float64(w.Failed) / float64(max(1, w.Requests)), Unit: "ratio"}
			return e, w.Failed >= leastFailures && e.Current-usual.Quantile(0.99) >= cfg.ErrorExcess
		},
		reason: "requests to %s fail at a rate of %s, unlike any window before, normally %s",
		traces: func(w *sequenceWindow, _ engine.Effect) []engine.TraceID { return w.Errors },
	},
	{
		kind: engine.LatencySpike,
		value: func(w *sequenceWindow) (float64, bool) {
			return math.Log(max(w.median(), time.Microsecond.Seconds())), len(w.Latency) >= leastRequests
		},
		effect: func(cfg Config, w *sequenceWindow, usual *statistical.Quantity) (engine.Effect, bool) {
			e := engine.Effect{Baseline: usual.Median(), Current: w.median(), Unit: "s"}
			return e, e.Ratio() >= cfg.LatencyRatio && e.Current-e.Baseline >= cfg.LatencyExcess.Seconds()
		},
		reason: "the median request to %s takes %s, unlike any window before, normally %s",
		traces: (*sequenceWindow).slower,
	},
	{
		kind:  engine.CostOverrun,
		value: func(w *sequenceWindow) (float64, bool) { return w.Cost, w.Cost > 0 },
		effect: func(cfg Config, w *sequenceWindow, usual *statistical.Quantity) (engine.Effect, bool) {
			e := engine.Effect{Baseline: usual.Median(), Current: w.Cost, Unit: "cost"}
			return e, e.Ratio() >= cfg.CostRatio
		},
		reason: "%s cost %s in a window, unlike any before, normally %s",
		traces: func(w *sequenceWindow, _ engine.Effect) []engine.TraceID { return w.Costs.bulk() },
	},
}

// trafficEffect lets a rise matter when it is far above the busiest windows, and a fall when it is far below the usual and the quietest:
// an hour whose rhythm is not known yet is no anomaly.
func trafficEffect(cfg Config, w *sequenceWindow, usual *statistical.Quantity) (engine.Effect, bool) {
	e := engine.Effect{Baseline: usual.Median(), Current: float64(w.Requests), Unit: "requests"}
	rise := e.Current >= cfg.TrafficRatio*e.Baseline && e.Current >= busiest*usual.Quantile(0.99)
	fall := e.Current*cfg.TrafficRatio <= e.Baseline && e.Current*busiest <= usual.Quantile(0.01)
	return e, rise || fall
}

// sequence is one service.
type sequence struct {
	numbers [len(followed)]number
	open    map[int64]*sequenceWindow
	last    time.Time // end of the latest closed window
	silent  int       // windows without a request since the last one with
}

// number is one of the followed numbers of a service.
type number struct {
	points  *statistical.Novelty
	usual   *statistical.Quantity // current values of the effect, for its baseline
	strange time.Time             // since when it shows something; zero when calm
}

// sequenceWindow is one open window. Requests are root spans.
type sequenceWindow struct {
	Start    time.Time
	Requests int
	Failed   int
	Latency  []rootSpan // of those that did not fail, at most maxPoints
	Cost     float64
	Traces   []engine.TraceID
	Errors   []engine.TraceID
	Costs    amounts
}

// rootSpan is the latency of one root span.
type rootSpan struct {
	Seconds float64
	Trace   engine.TraceID
}

// median is that of the latencies, in seconds; 0 without any.
func (w *sequenceWindow) median() float64 {
	if len(w.Latency) == 0 {
		return 0
	}
	values := make([]float64, len(w.Latency))
	for i, p := range w.Latency {
		values[i] = p.Seconds
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// slower lists the requests that took longer than the geometric middle of what is usual and what is now.
func (w *sequenceWindow) slower(e engine.Effect) []engine.TraceID {
	var out []engine.TraceID
	for _, p := range w.Latency {
		if p.Seconds*p.Seconds > e.Baseline*e.Current {
			out = appendTrace(out, p.Trace, maxTraces)
		}
	}
	return out
}

func newSequences(cfg Config) *sequences {
	s := &sequences{cfg: cfg}
	s.services, _ = simplelru.NewLRU[string, *sequence](cfg.MaxServices, nil) // its error is a size below 1, which Validate refuses
	for i := range s.inflation {
		s.inflation[i] = statistical.NewInflation(cfg.HalfLife)
	}
	return s
}

func (s *sequences) newSequence() *sequence {
	q := &sequence{open: make(map[int64]*sequenceWindow, 2)}
	for i := range q.numbers {
		q.numbers[i] = number{
			points: statistical.NewNovelty(),
			usual:  statistical.NewQuantity(statistical.QuantityConfig{HalfLife: s.cfg.HalfLife, MinCount: s.cfg.MinWindows}),
		}
	}
	return q
}

func (*sequences) name() string { return "sequence" }

func (s *sequences) observe(span *engine.Span, closedUntil time.Time) {
	cost := span.Usage.Cost
	if !span.Parent.IsZero() && cost <= 0 {
		return
	}
	n := span.End.UnixNano() / int64(s.cfg.Window)
	start := time.Unix(0, n*int64(s.cfg.Window)).UTC()
	if !start.Add(s.cfg.Window).After(closedUntil) {
		return
	}
	q, ok := s.services.Get(span.Service)
	if !ok {
		q = s.newSequence()
		s.services.Add(span.Service, q)
	}
	w, ok := q.open[n]
	if !ok {
		w = &sequenceWindow{Start: start, Costs: make(amounts)}
		q.open[n] = w
	}
	if cost > 0 {
		w.Cost += cost
		w.Costs.add(span.TraceID, cost)
	}
	if !span.Parent.IsZero() {
		return
	}
	w.Requests++
	w.Traces = appendTrace(w.Traces, span.TraceID, maxTraces)
	switch {
	case span.Failed:
		w.Failed++
		w.Errors = appendTrace(w.Errors, span.TraceID, maxTraces)
	case len(w.Latency) < maxPoints:
		w.Latency = append(w.Latency, rootSpan{span.Duration().Seconds(), span.TraceID})
	}
}

func (s *sequences) advance(until time.Time) []engine.Finding {
	var out []engine.Finding
	for _, service := range s.services.Keys() {
		q, _ := s.services.Peek(service)
		for _, w := range q.due(until, s.cfg.Window) {
			out = append(out, s.close(service, q, w)...)
		}
	}
	return out
}

// due removes and returns the windows that ended by until, oldest first, those without a request among them: a window without any span
// is one of no requests, but only while the silence is short.
func (q *sequence) due(until time.Time, length time.Duration) []*sequenceWindow {
	var out []*sequenceWindow
	for n, w := range q.open {
		if !w.Start.Add(length).After(until) {
			out = append(out, w)
			delete(q.open, n)
		}
	}
	if len(out) > 0 {
		q.silent = 0
	}
	if !q.last.IsZero() {
		for start := q.last; q.silent < mostSilentSequence && start.Before(until); start = start.Add(length) {
			if !slices.ContainsFunc(out, func(w *sequenceWindow) bool { return w.Start.Equal(start) }) {
				out = append(out, &sequenceWindow{Start: start})
				q.silent++
			}
		}
	}
	if !q.last.IsZero() || len(out) > 0 {
		q.last = until
	}
	slices.SortFunc(out, func(a, b *sequenceWindow) int { return a.Start.Compare(b.Start) })
	return out
}

// close judges the window's numbers and learns those that are calm.
func (s *sequences) close(service string, q *sequence, w *sequenceWindow) []engine.Finding {
	var out []engine.Finding
	end := w.Start.Add(s.cfg.Window)
	for i, what := range followed {
		x, ok := what.value(w)
		if !ok {
			continue
		}
		n := &q.numbers[i]
		f := engine.Finding{
			Type: what.kind, Detector: s.name(), At: end, Window: s.cfg.Window, P: 1, Learning: n.points.Seen() < uint64(s.cfg.SequenceWindows),
			Series: engine.SeriesKey{Service: service}, Subject: engine.Subject{Kind: engine.SubjectService, Value: service},
		}
		effect, material := what.effect(s.cfg, w, n.usual)
		if !f.Learning {
			raw := statistical.NoveltyP(n.points.Judge(x))
			f.P, f.Effect, f.Material = s.inflation[i].Correct(raw), effect, material
			if raw >= notLearnt {
				s.inflation[i].Add(end, raw)
			}
			f.Reason = fmt.Sprintf(what.reason, service, shown(effect.Current, effect.Unit), shown(effect.Baseline, effect.Unit))
			f.Traces = what.traces(w, effect)
		}
		if learns(&n.strange, strange(f), end, s.cfg.AdoptAfter) {
			n.points.Next(x)
			n.usual.Add(w.Start, effect.Current)
		}
		out = append(out, f)
	}
	return out
}

// shown is a value as a reader wants it.
func shown(x float64, unit string) string {
	switch unit {
	case "s":
		return seconds(x)
	case "ratio":
		return fmt.Sprintf("%.1f %%", 100*x)
	case "requests":
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

// score says nothing: a single trace is no point of a sequence.
func (*sequences) score(*engine.Trace) []engine.Finding { return nil }

// sequencesState is what is written, least recently used first.
type sequencesState struct {
	Services  []sequenceState
	Inflation [][]byte
}

type sequenceState struct {
	Service string
	Learnt  [][]byte
	Strange []time.Time
	Open    map[int64]*sequenceWindow
	Last    time.Time
	Silent  int
}

func (q *sequence) learners() []learner {
	var out []learner
	for _, n := range q.numbers {
		out = append(out, n.points, n.usual)
	}
	return out
}

// MarshalBinary returns a snapshot of what was learned and of open windows.
func (s *sequences) MarshalBinary() ([]byte, error) {
	var state sequencesState
	for _, service := range s.services.Keys() {
		q, _ := s.services.Peek(service)
		learnt, err := write(q.learners())
		if err != nil {
			return nil, fmt.Errorf("service %s: %w", service, err)
		}
		one := sequenceState{Service: service, Learnt: learnt, Open: q.open, Last: q.last, Silent: q.silent}
		for _, n := range q.numbers {
			one.Strange = append(one.Strange, n.strange)
		}
		state.Services = append(state.Services, one)
	}
	for _, i := range s.inflation {
		data, err := i.MarshalBinary()
		if err != nil {
			return nil, fmt.Errorf("inflation: %w", err)
		}
		state.Inflation = append(state.Inflation, data)
	}
	var buf bytes.Buffer
	err := gob.NewEncoder(&buf).Encode(state)
	return buf.Bytes(), err
}

// UnmarshalBinary replaces the state by a snapshot. On an error nothing changes.
func (s *sequences) UnmarshalBinary(data []byte) error {
	var state sequencesState
	if err := gob.NewDecoder(bytes.NewReader(data)).Decode(&state); err != nil {
		return err
	}
	restored := newSequences(s.cfg)
	var inflation []learner
	for _, i := range restored.inflation {
		inflation = append(inflation, i)
	}
	if err := read(state.Inflation, inflation); err != nil {
		return fmt.Errorf("inflation: %w", err)
	}
	for _, one := range state.Services {
		q := restored.newSequence()
		if len(one.Strange) != len(q.numbers) {
			return fmt.Errorf("service %s: %d numbers, want %d", one.Service, len(one.Strange), len(q.numbers))
		}
		if err := read(one.Learnt, q.learners()); err != nil {
			return fmt.Errorf("service %s: %w", one.Service, err)
		}
		for i, t := range one.Strange {
			q.numbers[i].strange = t
		}
		for n, w := range one.Open {
			if w.Costs == nil {
				w.Costs = make(amounts)
			}
			q.open[n] = w
		}
		q.last, q.silent = one.Last, one.Silent
		restored.services.Add(one.Service, q)
	}
	*s = *restored
	return nil
}
