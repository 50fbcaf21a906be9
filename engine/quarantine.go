package engine

import "time"

// quarantine holds judged traces back from the detectors until it is known whether they came in calm time: what is the
// beginning of a surge must not become normal before the surge is seen, and what is merely unusual must become normal, or
// the baselines would forget their own tails. It is bounded; above the bound the oldest is released early.
type quarantine struct {
	max  int
	held []heldTrace // in order of arrival
}

type heldTrace struct {
	job          *job
	observations []Observation
	at           time.Time // event time
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
