package traces

import (
	"math"
	"slices"
	"time"
)

// outcome is what one detector's alarms came to, over all days.
type outcome struct {
	stretches []judged
}

// judged is one stretch.
type judged struct {
	day     string
	stretch stretch
	scores  []float64 // by window: of the strongest alarm about it, 0 without one
	faults  []noticed
}

// noticed is what alarms made of one fault.
type noticed struct {
	fault  fault
	score  float64       // of the strongest alarm, 0 without one: the fault was missed
	delay  time.Duration // of the first alarm
	ranked []string      // services that the alarms blame, likeliest first
}

func (o *outcome) add(t timeline, alarms []alarm) {
	for _, s := range t.stretches {
		j := judged{day: t.day, stretch: s, scores: make([]float64, len(s.windows))}
		for i, w := range s.windows {
			for _, a := range alarms {
				if a.covers(w) {
					j.scores[i] = max(j.scores[i], a.score)
				}
			}
		}
		for _, f := range s.faults {
			j.faults = append(j.faults, notice(f, alarms))
		}
		o.stretches = append(o.stretches, j)
	}
}

func notice(f fault, alarms []alarm) noticed {
	n := noticed{fault: f}
	var hits []alarm
	for _, a := range alarms {
		if !a.hits(f) {
			continue
		}
		if delay := a.at.Sub(f.at); len(hits) == 0 || delay < n.delay {
			n.delay = delay
		}
		n.score = max(n.score, a.score)
		hits = append(hits, a)
	}
	n.ranked = rank(hits)
	return n
}

// faults are those of all stretches.
func (o *outcome) faults() []noticed {
	var out []noticed
	for _, s := range o.stretches {
		out = append(out, s.faults...)
	}
	return out
}

// counts are the sums over some stretches that the figures are made of.
type counts struct {
	windows, alarmed, right int // with spans; those with an alarm; those of the latter within a fault
	faults, detected        int
	falseRuns               int // alarmed windows outside faults, adjacent ones counted once
	wrongRuns               int // alarmed windows, adjacent ones together, none of them within a fault
	delays                  []float64
}

// count adds up the stretches named by cases, with alarms whose score is above the threshold.
func (o *outcome) count(cases []int, threshold float64) counts {
	var c counts
	for _, k := range cases {
		s := &o.stretches[k]
		c.windows += len(s.scores)
		var run, right, outside bool // an alarm goes on; within it a fault was met; the window before was a false alarm
		for i, score := range s.scores {
			alarmed, faulty := score > threshold, s.stretch.faulty[i]
			if alarmed {
				c.alarmed++
				if faulty {
					c.right++
				} else if !outside {
					c.falseRuns++
				}
				run, right = true, right || faulty
			}
			outside = alarmed && !faulty
			if run && (!alarmed || i == len(s.scores)-1) {
				if !right {
					c.wrongRuns++
				}
				run, right = false, false
			}
		}
		c.faults += len(s.faults)
		for i := range s.faults {
			if s.faults[i].score > threshold {
				c.detected++
				c.delays = append(c.delays, s.faults[i].delay.Seconds())
			}
		}
	}
	return c
}

// precision is the share of alarmed windows that lie within a fault, 0 without an alarm.
func (c counts) precision() float64 { return ratio(c.right, c.alarmed) }

// recall is the share of faults with an alarm.
func (c counts) recall() float64 { return ratio(c.detected, c.faults) }

// f1 is the harmonic mean of the precision by window and the recall by fault: the composite F-score of Garg et al. (2022).
func (c counts) f1() float64 { return harmonic(c.precision(), c.recall()) }

// runPrecision and runF1 count an alarm that goes on as one, and it is right when it meets a fault at all (Hundman et al., 2018).
func (c counts) runPrecision() float64 { return ratio(c.detected, c.detected+c.wrongRuns) }
func (c counts) runF1() float64        { return harmonic(c.runPrecision(), c.recall()) }

// falsePerHour is the number of false alarms in an hour of recorded time.
func (c counts) falsePerHour() float64 {
	return float64(c.falseRuns) / (float64(c.windows) * window.Hours())
}

// medianDelay is in seconds, NaN when no fault was detected.
func (c counts) medianDelay() float64 {
	if len(c.delays) == 0 {
		return math.NaN()
	}
	slices.Sort(c.delays)
	n := len(c.delays)
	return (c.delays[(n-1)/2] + c.delays[n/2]) / 2
}

func ratio(part, whole int) float64 { return float64(part) / float64(max(1, whole)) }

func harmonic(a, b float64) float64 {
	if a+b == 0 {
		return 0
	}
	return 2 * a * b / (a + b)
}
