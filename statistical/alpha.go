package statistical

import (
	"fmt"
	"math"
	"time"
)

// AlphaConfig says how an Alpha moves.
type AlphaConfig struct {
	PerDay            float64 // alerts that are wanted in a day of event time
	Initial, Min, Max float64 // level of significance at the start, and its bounds; within (0, 1)
	Gain              float64 // by how much one alert lowers the natural logarithm of the level
}

// Validate returns an error that names the field that cannot be.
func (c AlphaConfig) Validate() error {
	switch {
	case !(c.PerDay > 0) || c.PerDay > 1e6:
		return fmt.Errorf("statistical: alpha: per day is %v, want a number in (0, 1e6]", c.PerDay)
	case !(c.Min >= minP):
		return fmt.Errorf("statistical: alpha: min is %v, want at least %v", c.Min, minP)
	case !(c.Max >= c.Min && c.Max < 1):
		return fmt.Errorf("statistical: alpha: max is %v, want a number in [min, 1)", c.Max)
	case !(c.Initial >= c.Min && c.Initial <= c.Max):
		return fmt.Errorf("statistical: alpha: initial is %v, want a number in [%v, %v]", c.Initial, c.Min, c.Max)
	case !(c.Gain > 0) || c.Gain > 10:
		return fmt.Errorf("statistical: alpha: gain is %v, want a number in (0, 10]", c.Gain)
	}
	return nil
}

// day is also the longest gap in time that counts.
const day = 24 * time.Hour

// Alpha moves the level of significance of a service so that its alerts meet a budget per day of event time. It is
// stochastic approximation with a constant gain (Robbins and Monro, Annals of Mathematical Statistics 1951) on the
// logarithm: time raises the level, an alert lowers it, and the two balance when alerts come at the wanted rate.
type Alpha struct {
	cfg   AlphaConfig
	clock clock
	log   float64
}

// NewAlpha returns an Alpha at its initial level.
func NewAlpha(cfg AlphaConfig) (*Alpha, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Alpha{cfg: cfg, log: math.Log(cfg.Initial)}, nil
}

// Value is the level of significance now.
func (a *Alpha) Value() float64 { return min(max(math.Exp(a.log), a.cfg.Min), a.cfg.Max) }

// Tick says that event time has come to now. A gap counts as one day at most; a time in the past is ignored.
func (a *Alpha) Tick(now time.Time) {
	days, _ := a.clock.observe(now, day, 1)
	a.move(a.cfg.Gain * a.cfg.PerDay * days)
}

// Alert says that an alert was raised at t, which may lie in the past.
func (a *Alpha) Alert(t time.Time) {
	a.Tick(t)
	a.move(-a.cfg.Gain)
}

func (a *Alpha) move(by float64) {
	a.log = min(max(a.log+by, math.Log(a.cfg.Min)), math.Log(a.cfg.Max))
}

// MarshalBinary returns a snapshot of the level.
func (a *Alpha) MarshalBinary() ([]byte, error) {
	e := newEncoder(kindAlpha, 32)
	a.clock.encode(e)
	e.float(a.log)
	return e.buf, nil
}

// UnmarshalBinary replaces the level by that of a snapshot, brought within the bounds of the receiver, which must come
// from NewAlpha. On an error nothing changes.
func (a *Alpha) UnmarshalBinary(data []byte) error {
	if err := a.cfg.Validate(); err != nil {
		return fmt.Errorf("statistical: restore alpha: %w", err)
	}
	restored := Alpha{cfg: a.cfg}
	d := newDecoder(kindAlpha, data)
	restored.clock.decode(d)
	restored.log = d.floatIn(math.Log(minP), 0)
	if err := d.finish("alpha"); err != nil {
		return err
	}
	restored.move(0)
	*a = restored
	return nil
}
