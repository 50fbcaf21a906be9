package statistical

import (
	"math"
	"time"
)

const (
	minOverdispersion = 5e-4
	maxOverdispersion = 0.5

	// priorWindows is how many windows of the smallest overdispersion are believed to have been seen at the start.
	priorWindows = 5
)

// ProportionConfig says how a Proportion learns. A field that is not positive takes its default.
type ProportionConfig struct {
	HalfLife            time.Duration // event time after which an observation weighs half
	MinCount            int           // decayed total below which the proportion is still learning
	PriorBad, PriorGood float64       // observations that are believed to have been made at the start
}

// DefaultProportionConfig returns a half-life of a day, 100 observations, and a prior of 1 % bad that weighs 50.
func DefaultProportionConfig() ProportionConfig {
	return ProportionConfig{HalfLife: 24 * time.Hour, MinCount: 100, PriorBad: 0.5, PriorGood: 49.5}
}

func (c ProportionConfig) withDefaults() ProportionConfig {
	def := DefaultProportionConfig()
	if c.HalfLife <= 0 {
		c.HalfLife = def.HalfLife
	}
	if c.MinCount <= 0 {
		c.MinCount = def.MinCount
	}
	if !(c.PriorBad > 0) || math.IsInf(c.PriorBad, 1) {
		c.PriorBad = def.PriorBad
	}
	if !(c.PriorGood > 0) || math.IsInf(c.PriorGood, 1) {
		c.PriorGood = def.PriorGood
	}
	return c
}

// Proportion learns how many of n observations are bad, for instance errors or timeouts.
//
// A window's number of bad ones is beta-binomial: it varies as the binomial does, and beyond that because the baseline
// is known from finitely many observations and because the proportion itself varies from window to window. The latter
// is estimated by moments (Williams, Applied Statistics 1982) as the intra-class correlation.
type Proportion struct {
	cfg        *ProportionConfig // shared by those that are alike
	clock      clock
	bad, total float64

	// Sums over windows: squared standardised residuals beyond the binomial's, the pairs in a window, and windows.
	excess, pairs, windows float64
}

// NewProportion returns a Proportion that has seen nothing but its prior.
func NewProportion(cfg ProportionConfig) *Proportion {
	cfg = cfg.withDefaults()
	return &Proportion{cfg: &cfg}
}

// Fresh returns a Proportion like p that has seen nothing but its prior.
func (p *Proportion) Fresh() *Proportion {
	if p.cfg == nil {
		return NewProportion(ProportionConfig{})
	}
	return &Proportion{cfg: p.cfg}
}

// Add learns that bad of total were bad in the window, or the batch, at t. Impossible counts are ignored.
func (p *Proportion) Add(t time.Time, bad, total int) {
	if bad < 0 || total <= 0 || bad > total {
		return
	}
	age, late := p.clock.observe(t, p.cfg.HalfLife, 1)
	shrink, weight := math.Exp2(-age), math.Exp2(-late)
	k, n := float64(bad), float64(total)

	p.excess, p.pairs, p.windows = p.excess*shrink, p.pairs*shrink, p.windows*shrink
	if !p.Learning() && total > 1 {
		// A window far out, such as an incident, must not make the next one look normal.
		mean := p.Rate()
		variance := n * mean * (1 - mean)
		inflation := 1 + (n-1)*p.overdispersion()
		square := clamp((k-n*mean)*(k-n*mean)/variance, 0, clipAt*clipAt*inflation)
		p.excess += weight * n * (square - 1)
		p.pairs += weight * n * (n - 1)
		p.windows += weight
	}
	p.bad = p.bad*shrink + weight*k
	p.total = p.total*shrink + weight*n
}

// Rate is the posterior mean of the proportion; before the first observation that of the prior.
func (p *Proportion) Rate() float64 {
	return (p.bad + p.cfg.PriorBad) / (p.total + p.cfg.PriorBad + p.cfg.PriorGood)
}

// Count is the decayed number of observations, without the prior.
func (p *Proportion) Count() float64 { return p.total }

// Learning reports whether too little was seen for the p-values to be acted on.
func (p *Proportion) Learning() bool { return p.total < float64(p.cfg.MinCount) }

// overdispersion is the intra-class correlation, shrunk towards its smallest value while windows are few.
func (p *Proportion) overdispersion() float64 {
	estimate := 0.0
	if p.pairs > 0 {
		estimate = p.excess / p.pairs
	}
	shrunk := (p.windows*estimate + priorWindows*minOverdispersion) / (p.windows + priorWindows)
	return clamp(shrunk, minOverdispersion, maxOverdispersion)
}

// predictive returns the parameters of the beta distribution of a new window's proportion. Uncertainty about the
// baseline and variation between windows add up.
func (p *Proportion) predictive() (a, b float64) {
	rho := min(p.overdispersion()*(1+2/math.Sqrt(p.windows+priorWindows)), maxOverdispersion) // an upper estimate
	precision := 1 / (1/(p.total+p.cfg.PriorBad+p.cfg.PriorGood) + rho/(1-rho))
	mean := clamp(p.Rate(), 1e-12, 1-1e-12)
	return mean * precision, (1 - mean) * precision
}

// UpperP returns P(K >= bad) for the number K of bad ones among total in a new window. It is 1 for impossible counts.
func (p *Proportion) UpperP(bad, total int) float64 {
	if bad < 0 || total <= 0 || bad > total {
		return 1
	}
	a, b := p.predictive()
	return betaBinomialUpperP(float64(bad), float64(total), a, b)
}

// MarshalBinary returns a snapshot of what was learned.
func (p *Proportion) MarshalBinary() ([]byte, error) {
	e := newEncoder(kindProportion, 64)
	p.clock.encode(e)
	for _, v := range []float64{p.bad, p.total, p.excess, p.pairs, p.windows} {
		e.float(v)
	}
	return e.buf, nil
}

// UnmarshalBinary replaces what was learned by a snapshot. On an error nothing changes.
func (p *Proportion) UnmarshalBinary(data []byte) error {
	restored := p.Fresh()
	d := newDecoder(kindProportion, data)
	restored.clock.decode(d)
	restored.bad, restored.total = d.sum(), d.sum()
	restored.excess = d.floatIn(-maxWeight, maxWeight)
	restored.pairs, restored.windows = d.sum(), d.sum()
	if restored.bad > restored.total {
		d.fail("%v bad of %v", restored.bad, restored.total)
	}
	if err := d.finish("proportion"); err != nil {
		return err
	}
	*p = *restored
	return nil
}
