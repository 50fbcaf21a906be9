package screen

import (
	"bytes"
	"cmp"
	"encoding/gob"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/statistical"
)

// measure is a number of a model call beside its duration and its tokens, of which more is worse.
type measure struct {
	detector string
	kind     engine.AnomalyType
	unit     string
	of       func(s *engine.Span) float64 // 0 where the call does not have it
	least    func(c Config) (ratio, excess float64)
	windows  bool // windows are compared too, not only single calls
	subject  func(s *engine.Span) engine.Subject
	reason   func(what string, e engine.Effect, base *statistical.Quantity) string
}

var measures = [...]measure{
	{
		detector: "first_token", kind: engine.LatencySpike, unit: "s", windows: true, subject: ofService,
		of:    func(s *engine.Span) float64 { return s.TimeToFirstChunk.Seconds() },
		least: func(c Config) (float64, float64) { return c.LatencyRatio, c.LatencyExcess.Seconds() },
		reason: func(what string, e engine.Effect, _ *statistical.Quantity) string {
			return fmt.Sprintf("%s sends its first token after %s, normally %s", what, seconds(e.Current), seconds(e.Baseline))
		},
	},
	{
		detector: "token_time", kind: engine.LatencySpike, unit: "s", windows: true, subject: ofService,
		of: tokenTime,
		// What is lost over a hundred tokens is felt like any other wait.
		least: func(c Config) (float64, float64) { return c.LatencyRatio, c.LatencyExcess.Seconds() / 100 },
		reason: func(what string, e engine.Effect, _ *statistical.Quantity) string {
			return fmt.Sprintf("%s generates %.3g tokens a second, normally %.3g", what, 1/e.Current, 1/e.Baseline)
		},
	},
	{
		detector: "call_cost", kind: engine.CostOverrun, unit: "cost", subject: ofService,
		of:    func(s *engine.Span) float64 { return s.Usage.Cost },
		least: func(c Config) (float64, float64) { return c.CostRatio, c.CallCostExcess },
		reason: func(what string, e engine.Effect, _ *statistical.Quantity) string {
			return fmt.Sprintf("%s cost %.3g in one call, normally %.3g", what, e.Current, e.Baseline)
		},
	},
	{
		detector: "context", kind: engine.TokenAbuse, unit: "tokens", subject: spender,
		of:    func(s *engine.Span) float64 { return float64(s.Usage.Input) },
		least: func(c Config) (float64, float64) { return c.TokenRatio, float64(c.TokenExcess) },
		reason: func(what string, e engine.Effect, base *statistical.Quantity) string {
			return fmt.Sprintf("%s was given a context of %.0f tokens, normally %.0f and at most %.0f", what, e.Current, e.Baseline, base.Quantile(1))
		},
	},
}

func ofService(s *engine.Span) engine.Subject {
	return engine.Subject{Kind: engine.SubjectService, Value: s.Service}
}

// minGenerated is how many tokens a call must have generated for their speed to be more than chance.
const minGenerated = 16

// tokenTime is the time an output token took once the first had come (TPOT); 0 where the first is not timed, since what came
// before it depends on other things.
func tokenTime(s *engine.Span) float64 {
	generating := s.Duration() - s.TimeToFirstChunk
	if s.TimeToFirstChunk <= 0 || generating <= 0 || s.Usage.Output < minGenerated {
		return 0
	}
	return generating.Seconds() / float64(s.Usage.Output-1)
}

// calls watches the measures of model calls, a series at a time. What is normal is learnt from calm windows.
type calls struct {
	cfg       Config
	series    *simplelru.LRU[engine.SeriesKey, *callSeries]
	inflation map[string]*statistical.Inflation // of the windows' own p-values, by detector
}

// callSeries is one series; a measure that its calls never had is nil.
type callSeries [len(measures)]*measured

type measured struct {
	base    *statistical.Quantity
	median  float64 // of base, which changes with windows alone
	values  samples[callValue]
	closed  []callTally // oldest first, at most the longest horizon
	strange time.Time   // since when its windows show something; zero when calm
}

type callValue struct {
	Value float64
	Trace engine.TraceID
}

// callTally is how many values of a closed window lie in the upper quarter and twentieth of what is normal.
type callTally struct {
	Start                    time.Time
	Values, Above25, Above05 int
}

func newCalls(cfg Config) *calls {
	c := &calls{cfg: cfg, inflation: make(map[string]*statistical.Inflation)}
	c.series, _ = simplelru.NewLRU[engine.SeriesKey, *callSeries](cfg.MaxCallSeries, nil) // its one error is a size that Validate refuses
	for _, m := range measures {
		if m.windows {
			c.inflation[m.detector] = statistical.NewInflation(cfg.HalfLife)
		}
	}
	return c
}

func (c *calls) name() string { return "calls" }

func (c *calls) newBase() *statistical.Quantity {
	return statistical.NewQuantity(statistical.QuantityConfig{HalfLife: c.cfg.HalfLife, MinCount: c.cfg.MinSamples})
}

func (c *calls) observe(span *engine.Span, closedUntil time.Time) {
	if !span.Operation.IsModelCall() || span.Failed {
		return
	}
	start := span.End.Truncate(c.cfg.Window)
	if !start.Add(c.cfg.Window).After(closedUntil) {
		return
	}
	key := span.Series()
	x, ok := c.series.Get(key)
	if !ok {
		x = &callSeries{}
		c.series.Add(key, x)
	}
	for i := range measures {
		value := measures[i].of(span)
		if !(value > 0) {
			continue
		}
		if x[i] == nil {
			x[i] = &measured{base: c.newBase()}
		}
		x[i].values.add(start, callValue{value, span.TraceID})
	}
}

func (c *calls) advance(until time.Time) []engine.Finding {
	type ended struct {
		key     engine.SeriesKey
		measure int
		m       *measured
		w       sample[callValue]
	}
	var all []ended
	for _, key := range c.series.Keys() {
		x, _ := c.series.Peek(key)
		for i, m := range x {
			if m == nil {
				continue
			}
			for _, w := range m.values.due(until, c.cfg.Window) {
				all = append(all, ended{key, i, m, w})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b ended) int { return a.w.Start.Compare(b.w.Start) })
	var out []engine.Finding
	for _, e := range all {
		slices.SortFunc(e.w.Values, func(a, b callValue) int { return cmp.Compare(a.Value, b.Value) })
		showed := false
		if measures[e.measure].windows {
			f := c.judge(e.key, &measures[e.measure], e.m, e.w)
			showed = strange(f)
			out = append(out, f)
		}
		if learns(&e.m.strange, showed, e.w.Start.Add(c.cfg.Window), c.cfg.AdoptAfter) {
			e.m.learn(e.w)
		}
	}
	return out
}

// judge tests whether more of a window's values than chance allows lie in the upper quarter or twentieth of what is normal, as
// latencyOfWindow does.
func (c *calls) judge(key engine.SeriesKey, of *measure, m *measured, w sample[callValue]) engine.Finding {
	f := engine.Finding{
		Type: of.kind, Detector: of.detector, At: w.Start.Add(c.cfg.Window), Window: c.cfg.Window, Series: key, P: 1,
		Subject: engine.Subject{Kind: engine.SubjectService, Value: key.Service}, Learning: m.base.Learning(),
	}
	if f.Learning {
		return f
	}
	unusual := m.above(w, 0.05)
	t := callTally{Start: w.Start, Values: len(w.Values), Above25: len(m.above(w, 0.25)), Above05: len(unusual)}
	for _, v := range unusual {
		f.Traces = appendTrace(f.Traces, v.Trace, maxTraces)
	}
	stretch := longest * c.cfg.Window
	m.closed = slices.DeleteFunc(append(m.closed, t), func(old callTally) bool { return t.Start.Sub(old.Start) >= stretch })
	for _, n := range horizons {
		sum := m.over(time.Duration(n) * c.cfg.Window)
		if sum.Values < 3 {
			continue
		}
		p := min(exceedP(sum.Above25, sum.Values, 0.25, m.base.Count()), exceedP(sum.Above05, sum.Values, 0.05, m.base.Count()))
		if p < f.P {
			f.P, f.Window = p, f.At.Sub(sum.Start)
		}
	}
	raw := min(1, f.P*float64(2*len(horizons))) // as many looks
	f.P = c.inflation[of.detector].Correct(raw)
	if raw >= notLearnt {
		c.inflation[of.detector].Add(f.At, raw)
	}
	f.Effect = largerEffect(func(q float64) float64 { return w.Values[int(q*float64(len(w.Values)-1)+0.5)].Value }, m.base)
	f.Effect.Unit = of.unit
	f.Material = of.matters(c.cfg, f.Effect)
	f.Reason = of.reason(key.String(), f.Effect, m.base)
	return f
}

// over adds the tallies of a stretch up to the last up. Its start is where what is going on began, as for timeline.over: the first of the
// windows without a gap before the last that are at least half as intense as it.
func (m *measured) over(stretch time.Duration) callTally {
	last := m.closed[len(m.closed)-1]
	var sum callTally
	going := true
	for _, t := range slices.Backward(m.closed) {
		if last.Start.Sub(t.Start) >= stretch {
			break
		}
		if going = going && 2*t.Above05*last.Values >= last.Above05*t.Values; going {
			sum.Start = t.Start
		}
		sum.Values += t.Values
		sum.Above25 += t.Above25
		sum.Above05 += t.Above05
	}
	return sum
}

func (m *measure) matters(cfg Config, e engine.Effect) bool {
	ratio, excess := m.least(cfg)
	return e.Ratio() >= ratio && e.Current-e.Baseline >= excess
}

// wild is the p-value below which a call is not learnt from. It is so low that what is left out of calm traffic does not make its tail
// look lighter than it is where verdicts are made.
const wild = 1e-4

// learn takes in a closed window but for wild values, unless most are: one call that ran wild must not become normal, but a change of
// every call must.
func (m *measured) learn(w sample[callValue]) {
	kept := w.Values
	if extreme := len(m.above(w, wild)); !m.base.Learning() && 2*extreme <= len(kept) {
		kept = kept[:len(kept)-extreme]
	}
	for _, v := range kept {
		m.base.Add(w.Start, v.Value)
	}
	m.median = m.base.Median()
}

// above returns the values of a sorted window that are less probable than p. Looking them up costs much more than searching for
// where they begin, and probability never rises with the value.
func (m *measured) above(w sample[callValue], p float64) []callValue {
	first, _ := slices.BinarySearchFunc(w.Values, p, func(v callValue, p float64) int {
		if m.base.UpperP(v.Value) < p {
			return 1
		}
		return -1
	})
	return w.Values[first:]
}

// score says of each measure how improbable the calls of a trace are whose effect matters. Of a measure that is within what is normal
// nothing is said: it must not dilute what others say.
func (c *calls) score(t *engine.Trace) []engine.Finding {
	var said [len(measures)]saying
	for n := range t.Spans {
		span := &t.Spans[n]
		if !span.Operation.IsModelCall() || span.Failed {
			continue
		}
		x, ok := c.series.Peek(span.Series())
		if !ok {
			continue
		}
		for i, m := range x {
			if value := measures[i].of(span); m != nil && value > 0 {
				said[i].hear(c.cfg, &measures[i], m, span, value)
			}
		}
	}
	var out []engine.Finding
	for i := range said {
		x := &said[i]
		switch {
		case x.finding.Material:
			x.finding.P = statistical.Cauchy(append(x.ps, slices.Repeat([]float64{1}, x.ordinary)...), nil)
		case x.learning && x.ordinary == 0:
			x.finding = engine.Finding{Subject: ofService(t.Lead()), P: 1, Learning: true}
		default:
			continue
		}
		x.finding.Type, x.finding.Detector, x.finding.At, x.finding.TraceID = measures[i].kind, measures[i].detector, t.End(), t.ID
		out = append(out, x.finding)
	}
	return out
}

// saying is what a measure comes to over the calls of a trace.
type saying struct {
	learning bool
	ordinary int       // calls whose effect does not matter
	ps       []float64 // of the others
	least    float64
	finding  engine.Finding // about the least probable of them
}

func (x *saying) hear(cfg Config, of *measure, m *measured, span *engine.Span, value float64) {
	if m.base.Learning() {
		x.learning = true
		return
	}
	e := engine.Effect{Baseline: m.median, Current: value, Unit: of.unit}
	if !of.matters(cfg, e) {
		x.ordinary++
		return
	}
	p := m.base.UpperP(value)
	x.ps = append(x.ps, p)
	f := &x.finding
	if p < conspicuous && len(f.Spans) < maxTraces {
		f.Spans = append(f.Spans, span.SpanID)
	}
	if len(x.ps) == 1 || p < x.least {
		x.least = p
		f.Effect, f.SpanID, f.Series, f.Subject, f.Material = e, span.SpanID, span.Series(), of.subject(span), true
		f.Reason = of.reason(span.Name, e, m.base)
	}
}

// callsState is what a snapshot holds, least recently used first.
type callsState struct {
	Series    []callSeriesState
	Inflation map[string][]byte
}

type callSeriesState struct {
	Key      engine.SeriesKey
	Measured []measuredState
}

type measuredState struct {
	Detector string
	Base     []byte
	Values   samples[callValue]
	Closed   []callTally
	Strange  time.Time
}

// MarshalBinary returns what was learnt and the open windows.
func (c *calls) MarshalBinary() ([]byte, error) {
	out := callsState{Inflation: make(map[string][]byte, len(c.inflation))}
	for _, key := range c.series.Keys() {
		x, _ := c.series.Peek(key)
		state := callSeriesState{Key: key}
		for i, m := range x {
			if m == nil {
				continue
			}
			base, err := m.base.MarshalBinary()
			if err != nil {
				return nil, fmt.Errorf("%s of %s: %w", measures[i].detector, key, err)
			}
			state.Measured = append(state.Measured, measuredState{measures[i].detector, base, m.values, m.closed, m.strange})
		}
		out.Series = append(out.Series, state)
	}
	for detector, i := range c.inflation {
		data, err := i.MarshalBinary()
		if err != nil {
			return nil, fmt.Errorf("inflation of %s: %w", detector, err)
		}
		out.Inflation[detector] = data
	}
	var buf bytes.Buffer
	err := gob.NewEncoder(&buf).Encode(out)
	return buf.Bytes(), err
}

// UnmarshalBinary replaces what was learnt; what today's configuration has no room for is left out. On an error nothing changes.
func (c *calls) UnmarshalBinary(data []byte) error {
	var in callsState
	if err := gob.NewDecoder(bytes.NewReader(data)).Decode(&in); err != nil {
		return err
	}
	restored := newCalls(c.cfg)
	for _, state := range in.Series {
		x := &callSeries{}
		for _, s := range state.Measured {
			i := slices.IndexFunc(measures[:], func(m measure) bool { return m.detector == s.Detector })
			if i < 0 {
				continue // of a version that had another
			}
			m := &measured{base: c.newBase(), values: s.Values, closed: s.Closed, strange: s.Strange}
			if err := m.base.UnmarshalBinary(s.Base); err != nil {
				return fmt.Errorf("%s of %s: %w", s.Detector, state.Key, err)
			}
			m.median = m.base.Median()
			if err := m.check(); err != nil {
				return fmt.Errorf("%s of %s: %w", s.Detector, state.Key, err)
			}
			x[i] = m
		}
		restored.series.Add(state.Key, x)
	}
	for detector, i := range restored.inflation {
		if data, ok := in.Inflation[detector]; ok {
			if err := i.UnmarshalBinary(data); err != nil {
				return fmt.Errorf("inflation of %s: %w", detector, err)
			}
		}
	}
	*c = *restored
	return nil
}

// check refuses what cannot have been seen.
func (m *measured) check() error {
	if err := m.values.check(func(v callValue) bool { return v.Value > 0 && !math.IsInf(v.Value, 1) }); err != nil {
		return err
	}
	for _, t := range m.closed {
		if t.Above05 < 0 || t.Above25 < t.Above05 || t.Values < t.Above25 || t.Values > maxSample {
			return fmt.Errorf("impossible tally: %d and %d of %d values", t.Above25, t.Above05, t.Values)
		}
	}
	return nil
}
