package statistical

import (
	"math"
	"time"
)

const (
	// setRightAfter is how far, in half-lives, an observation may lie behind the latest one before the latest is taken
	// to have come from a wrong clock. Such an observation would weigh 2^-16, which is nothing.
	setRightAfter = 16

	// rescaleAfter is the exponent at which forward-decayed weights are scaled back. It keeps them far from overflow.
	rescaleAfter = 32
)

// clock follows event time for one learner.
type clock struct {
	latest  float64 // seconds since the Unix epoch
	started bool
}

// observe moves the clock to t and returns by how many half-lives the learned state ages, at most maxAge, and how many
// half-lives late the observation itself is. One of the two is always 0. A zero time means "now".
func (c *clock) observe(t time.Time, halfLife time.Duration, maxAge float64) (age, late float64) {
	if t.IsZero() || halfLife <= 0 {
		return 0, 0
	}
	at := float64(t.Unix()) + float64(t.Nanosecond())*1e-9
	if !c.started {
		c.latest, c.started = at, true
		return 0, 0
	}
	delta := (at - c.latest) / halfLife.Seconds()
	switch {
	case delta >= 0:
		c.latest = at
		return min(delta, maxAge), 0
	case delta < -setRightAfter:
		c.latest = at
		return 0, 0
	default:
		return 0, -delta
	}
}

// forward is forward decay (Cormode et al., "Forward Decay: A Practical Time Decay Model for Streaming Systems", ICDE
// 2009): instead of shrinking all that was learned with each observation, newer observations weigh more, and weights
// are divided by unit when they are read.
type forward struct {
	clock
	age float64 // half-lives since the landmark
}

// observe returns the weight of an observation at t. When factor is not 1, all stored weights must be multiplied by it
// first; it is a power of two, so nothing is rounded.
func (f *forward) observe(t time.Time, halfLife time.Duration, maxAge float64) (weight, factor float64) {
	aged, late := f.clock.observe(t, halfLife, maxAge)
	f.age += aged
	factor = 1
	if f.age > rescaleAfter {
		whole := math.Floor(f.age)
		f.age -= whole
		factor = math.Exp2(-whole)
	}
	return math.Exp2(f.age - late), factor
}

// unit is the weight of an observation made at the latest time.
func (f *forward) unit() float64 { return math.Exp2(f.age) }

func (c *clock) encode(e *encoder) {
	e.bool(c.started)
	e.float(c.latest)
}

func (c *clock) decode(d *decoder) {
	c.started = d.bool()
	c.latest = d.floatIn(-1e18, 1e18)
}

func (f *forward) encode(e *encoder) {
	f.clock.encode(e)
	e.float(f.age)
}

func (f *forward) decode(d *decoder) {
	f.clock.decode(d)
	f.age = d.floatIn(0, rescaleAfter)
}
