package engine

import "time"

// quarantine holds judged traces back from the detectors until it is known whether they came in calm time: what is the
// beginning of a surge must not become normal before the surge is seen, and what is merely unusual must become normal, or
// the baselines would forget their own tails. It is bounded; above the bound the oldest is released early.
type quarantine struct {
	max  int
	held []heldTrace // in order of arrival
}

// heldTrace is what detectors learn from, without the texts that only scoring needs.
type heldTrace struct {
	workflow     Trace
	findings     []Finding
	observations []Observation
	at           time.Time // event time
}

func hold(j *job, observations []Observation) heldTrace {
	if len(observations) > 0 {
		redacted := withoutTexts(&j.trace)
		for i := range observations {
			observations[i].Trace = &redacted
		}
	}
	return heldTrace{withoutTexts(&j.workflow), j.findings, observations, j.trace.End()}
}

// withoutTexts is the trace with the arguments of its tool calls as its only texts.
func withoutTexts(t *Trace) Trace {
	out := *t
	out.Spans = make([]Span, len(t.Spans))
	copy(out.Spans, t.Spans)
	for i := range out.Spans {
		s := &out.Spans[i]
		s.System, s.Input, s.Output, s.Evaluations, s.Retrieval, s.Tool.Result = nil, nil, nil, nil, Retrieval{}, ""
	}
	return out
}

func (q *quarantine) add(h heldTrace) { q.held = append(q.held, h) }

// release removes and returns what has been held until the time, or longer than there is room for.
func (q *quarantine) release(until time.Time) []heldTrace {
	n := max(0, len(q.held)-q.max)
	for n < len(q.held) && !q.held[n].at.After(until) {
		n++
	}
	out := q.held[:n:n]
	q.held = q.held[n:]
	if len(q.held) == 0 {
		q.held = nil
	}
	return out
}
