package statistical

import "math"

// TwoSampleConfig says what a TwoSample looks for. A field that is not positive takes its default.
type TwoSampleConfig struct {
	// Tau is the standard deviation, in natural logarithms, of the differences that are expected under the alternative.
	// The test is valid with any value and quickest when differences are of this size.
	Tau float64
	// MinCount is how many observations each arm needs before the test says anything.
	MinCount int
	// Buckets is the most that an arm's histogram has, 8 to 192: what medians are read from.
	Buckets int
}

// DefaultTwoSampleConfig returns a Tau of 0.2, that is differences of about 20 %, 30 observations, and 192 buckets.
func DefaultTwoSampleConfig() TwoSampleConfig {
	return TwoSampleConfig{Tau: 0.2, MinCount: 30, Buckets: maxBuckets}
}

func (c TwoSampleConfig) withDefaults() TwoSampleConfig {
	def := DefaultTwoSampleConfig()
	if !(c.Tau > 0) || c.Tau > 100 {
		c.Tau = def.Tau
	}
	if c.MinCount <= 0 {
		c.MinCount = def.MinCount
	}
	if c.Buckets <= 0 {
		c.Buckets = def.Buckets
	}
	return c
}

// Comparison is what a TwoSample says at one moment.
type Comparison struct {
	P      float64 // two-sided; valid at every moment, however often one looks
	Effect float64 // ratio of medians, B over A; 1 is no change, also when one arm is empty
	N1, N2 int     // observations of A and of B
}

// TwoSample compares a positive quantity between two arms, such as two versions of a model, while observations come in.
// A is the reference.
//
// It is the mixture sequential probability ratio test on the difference of mean logarithms (Johari, Pekelis and Walsh,
// "Always Valid Inference", 2017, after Robbins 1970): the chance that P ever falls to α without a difference is about
// α at most, no matter when one stops. Variances are estimated, so this holds once each arm has MinCount observations.
// Logarithms are clipped to four robust standard deviations around A's median, so that single values do not decide.
// Observations of an arm are taken to be independent.
type TwoSample struct {
	cfg  *TwoSampleConfig
	a, b arm
	p    float64
}

// arm accumulates the clipped logarithms of one arm (Welford's algorithm) and a sketch of its values.
type arm struct {
	sketch            sketch
	n, mean, variance float64 // variance is the sum of squared deviations
}

func (m *arm) add(x, low, high float64) {
	m.sketch.add(x, 1, 1)
	log := min(max(math.Log(x), low), high)
	m.n++
	delta := log - m.mean
	m.mean += delta / m.n
	m.variance += delta * (log - m.mean)
}

// NewTwoSample returns a TwoSample that has seen nothing.
func NewTwoSample(cfg TwoSampleConfig) *TwoSample {
	cfg = cfg.withDefaults()
	return newTwoSample(&cfg)
}

func newTwoSample(cfg *TwoSampleConfig) *TwoSample {
	empty := arm{sketch: sketch{limit: bucketLimit(cfg.Buckets)}}
	return &TwoSample{cfg: cfg, a: empty, b: empty, p: 1}
}

// Fresh returns a TwoSample like t that has seen nothing.
func (t *TwoSample) Fresh() *TwoSample {
	if t.cfg == nil {
		return NewTwoSample(TwoSampleConfig{})
	}
	return newTwoSample(t.cfg)
}

// Again starts the comparison of the same reference with another arm.
func (t *TwoSample) Again() { t.b, t.p = t.Fresh().b, 1 }

// AddA adds an observation of the reference. Values that are not positive and finite are ignored.
func (t *TwoSample) AddA(x float64) { t.add(&t.a, x) }

// AddB adds an observation of the arm under test, in the same way.
func (t *TwoSample) AddB(x float64) { t.add(&t.b, x) }

func (t *TwoSample) add(m *arm, x float64) {
	if !(x > 0) || math.IsInf(x, 1) {
		return
	}
	low, high := math.Inf(-1), math.Inf(1)
	if t.a.n >= float64(t.cfg.MinCount) {
		median := max(t.a.sketch.logQuantile(0.5), math.Log(minPositive))
		reach := clipAt * max(t.a.sketch.logScale(), minLogScale)
		low, high = median-reach, median+reach
	}
	m.add(x, low, high)
	t.p = clampP(min(t.p, t.inverseLikelihoodRatio()))
}

// inverseLikelihoodRatio is one over the mixture likelihood ratio of "different" to "equal".
func (t *TwoSample) inverseLikelihoodRatio() float64 {
	if min(t.a.n, t.b.n) < float64(t.cfg.MinCount) {
		return 1
	}
	variance := t.a.meanVariance() + t.b.meanVariance()
	tau := t.cfg.Tau * t.cfg.Tau
	delta := t.b.mean - t.a.mean
	return math.Sqrt((variance+tau)/variance) * math.Exp(-tau*delta*delta/(2*variance*(variance+tau)))
}

// meanVariance is the variance of the arm's mean. No standard deviation below 1 % is believed.
func (m *arm) meanVariance() float64 { return max(m.variance/(m.n-1), 1e-4) / m.n }

// Compare returns the comparison as of now. P never rises from one call to the next.
func (t *TwoSample) Compare() Comparison {
	return Comparison{
		P:      t.p,
		Effect: ratio(math.Exp(t.b.sketch.logQuantile(0.5)), math.Exp(t.a.sketch.logQuantile(0.5))),
		N1:     int(t.a.n),
		N2:     int(t.b.n),
	}
}

// MarshalBinary returns a snapshot of what was added.
func (t *TwoSample) MarshalBinary() ([]byte, error) {
	e := newEncoder(kindTwoSample, 96+6*(len(t.a.sketch.index)+len(t.b.sketch.index)))
	for _, m := range []*arm{&t.a, &t.b} {
		m.sketch.encode(e)
		e.float(m.n)
		e.float(m.mean)
		e.float(m.variance)
	}
	e.float(t.p)
	return e.buf, nil
}

// UnmarshalBinary replaces what was added by a snapshot. On an error nothing changes.
func (t *TwoSample) UnmarshalBinary(data []byte) error {
	restored := t.Fresh()
	d := newDecoder(kindTwoSample, data)
	for _, m := range []*arm{&restored.a, &restored.b} {
		m.sketch.decode(d)
		m.n = d.floatIn(0, 1<<53)
		m.mean = d.floatIn(-1000, 1000)
		m.variance = d.sum()
		if m.n != math.Trunc(m.n) || (m.n > 0) != (len(m.sketch.index) > 0) {
			d.fail("%v observations in %d buckets", m.n, len(m.sketch.index))
		}
	}
	restored.p = d.floatIn(minP, 1)
	if err := d.finish("two-sample test"); err != nil {
		return err
	}
	*t = *restored
	return nil
}
