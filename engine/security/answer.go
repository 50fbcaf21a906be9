package security

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/engine/response"
	"github.com/llm-sentinel/llm-sentinel/statistical"
)

// guarded is what guards said of one trace. Fields are exported for the snapshot.
type guarded struct {
	Blocked bool
	Let     bool // at least one event says that the request went through
	Rank    int  // of the severest such event
	Type    string
	Service string
	Subject engine.Subject
	Tick    int64
	Counted bool
}

// answered is what became of one trace. Fields are exported for the snapshot.
type answered struct {
	Complied bool
	Tools    int // calls of tools after the model's first answer
	Span     engine.SpanID
	Service  string
	Tick     int64
}

// passage is how often attacks are answered in one service. Fields are exported for the snapshot.
type passage struct {
	Traces  float64    // decayed
	Through [2]float64 // of these, with an attack that was answered: of any severity, of high and above
	Window  int64
	All     ring    // traces
	Passed  [2]ring // those with an attack that was answered
	Told    [2]telling
	Latest  []passed
}

type passed struct {
	Tick    int64
	Trace   engine.TraceID
	Subject engine.Subject
}

// longAnswer is how many tokens an answer without text needs to be taken for one: refusals are short.
const longAnswer = 100

// outcome judges a trace by its last model call and by the tools that ran after its first. It complied when the answer is no refusal; where
// no text was recorded, when the answer is long or a tool ran.
func outcome(t *engine.Trace) answered {
	out := answered{Service: t.Lead().Service}
	var last *engine.Span
	var first *engine.Span
	for i := range t.Spans {
		span := &t.Spans[i]
		if !span.Operation.IsModelCall() {
			continue
		}
		if last == nil || span.End.After(last.End) {
			last = span
		}
		if first == nil || span.End.Before(first.End) {
			first = span
		}
	}
	if last == nil {
		return out
	}
	out.Span = last.SpanID
	for i := range t.Spans {
		if span := &t.Spans[i]; span.Operation == engine.OpExecuteTool && !span.Failed && !span.Start.Before(first.End) {
			out.Tools++
		}
	}
	if last.Failed {
		return out
	}
	if response.Refuses(last) {
		return out
	}
	if slices.ContainsFunc(last.Output, func(m engine.Message) bool { return strings.TrimSpace(m.Text()) != "" }) {
		out.Complied = true
		return out
	}
	out.Complied = last.Usage.Output >= longAnswer || out.Tools > 0
	return out
}

// guard notes what a guard said of a trace.
func (s *Screener) guard(e *event) {
	through, known := letThrough(e.SecurityEvent)
	if e.TraceID.IsZero() || !known {
		return
	}
	g, _ := s.guarded.Get(e.TraceID)
	if !through {
		g.Blocked = true
	} else if rank := e.Severity.Rank(); !g.Let || rank > g.Rank {
		g.Let, g.Rank, g.Type, g.Service, g.Tick = true, rank, e.Type, e.service(), e.tick
		g.Subject = engine.Subject{Kind: engine.SubjectService, Value: e.service()}
		if len(e.subjects) > 0 {
			g.Subject = e.subjects[0]
		}
	}
	a, done := s.answered.Get(e.TraceID)
	if done {
		s.join(e.TraceID, &g, a)
	}
	s.guarded.Add(e.TraceID, g)
}

// answer notes what became of a trace.
func (s *Screener) answer(t *engine.Trace) {
	tick := s.tick(t.End())
	if tick <= 0 {
		return
	}
	a := outcome(t)
	a.Tick = tick
	_, again := s.answered.Get(t.ID)
	s.answered.Add(t.ID, a)
	p := s.passageOf(a.Service, tick)
	if !again {
		p.Traces++
		p.All.add(tick)
	}
	if g, ok := s.guarded.Get(t.ID); ok {
		s.join(t.ID, &g, a)
		s.guarded.Add(t.ID, g)
	}
}

func (s *Screener) passageOf(service string, tick int64) *passage {
	p, ok := s.passages.Get(service)
	if !ok {
		p = &passage{Window: tick / ticks}
		s.passages.Add(service, p)
	}
	if gap := tick/ticks - p.Window; gap > 0 {
		by := math.Pow(s.fade, float64(min(gap, s.halfLife)))
		p.Traces *= by
		for i := range p.Through {
			p.Through[i] *= by
		}
		p.Window += gap
	}
	return p
}

// join holds what guards said against what the model did: an attack that nobody blocked and the model answered is told where that is
// rarer than chance explains, for a single trace or for those of a window.
func (s *Screener) join(id engine.TraceID, g *guarded, a answered) {
	if g.Blocked || !g.Let || !a.Complied || g.Counted {
		return
	}
	g.Counted = true
	p := s.passageOf(a.Service, max(a.Tick, g.Tick))
	p.Latest = append(p.Latest, passed{g.Tick, id, g.Subject})
	if len(p.Latest) > maxTraces {
		p.Latest = slices.Delete(p.Latest, 0, 1)
	}
	levels := 1
	if g.Rank >= engine.SeverityHigh.Rank() {
		levels = 2
	}
	for level := range levels {
		p.Passed[level].add(g.Tick)
	}
	level := levels - 1
	chance, n, end := s.passes(p, level, g.Tick)
	strange := p.Traces >= float64(s.cfg.MinTraces) && chance < worth
	for l := range levels {
		if !strange || p.Told[level].Until-p.Told[level].Since >= s.adopt {
			p.Through[l]++
		}
	}
	if !strange || level == 0 && n < fewAnswered || !p.Told[level].news(end, n) {
		return
	}
	s.tellPassed(id, g, a, p, level, chance, n)
}

// fewAnswered is how many answered attacks of less than high severity in a window are too few to be told.
const fewAnswered = 3

// passes is the chance of an attack that is answered, as far as it is known, and how many there are around a tick.
func (s *Screener) passes(p *passage, level int, tick int64) (chance float64, n int, end int64) {
	n, end = p.Passed[level].busiest(tick)
	if n == 0 {
		return 1, 0, tick
	}
	const priorTraces = 200
	bad, good := p.Through[level]+0.5, max(0, p.Traces-p.Through[level])+priorTraces
	of := max(n, p.All.sum(end-ticks+1, end))
	window := statistical.BetaBinomialUpperP(n, of, bad, good)
	return min(1, 2*min(bad/(bad+good), window)), n, end
}

func (s *Screener) tellPassed(id engine.TraceID, g *guarded, a answered, p *passage, level int, chance float64, n int) {
	same := 0
	var traces []engine.TraceID
	for _, x := range p.Latest {
		if g.Tick-x.Tick < ticks {
			traces = append(traces, x.Trace)
			if x.Subject == g.Subject {
				same++
			}
		}
	}
	e := event{SecurityEvent: &engine.SecurityEvent{At: s.timeOf(max(g.Tick, a.Tick) + 1), Service: a.Service}, tick: g.Tick}
	who := g.Subject
	if 2*same < len(traces) {
		who = engine.Subject{Kind: engine.SubjectService, Value: a.Service}
	}
	f := s.finding("attack_answered", &e, who, min(g.Tick, p.Passed[level].first(g.Tick)))
	f.P, f.TraceID, f.SpanID, f.Traces = chance, id, a.Span, traces
	f.Effect = engine.Effect{Baseline: p.Through[level] / max(1, p.Traces) * float64(max(1, p.All.sum(g.Tick-ticks+1, g.Tick))), Current: float64(n), Unit: "events"}
	tools := ""
	if a.Tools > 0 {
		tools = fmt.Sprintf(" and %d tools ran", a.Tools)
	}
	f.Reason = fmt.Sprintf("%s %s: the guard saw %s, nobody blocked it and the model answered%s; %d such traces within %s, %.0f of %.0f before", who.Kind, who.Value, g.Type, tools, n, s.cfg.Window, p.Through[level], p.Traces)
	s.tell(f)
}
