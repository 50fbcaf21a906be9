package statistical

import (
	"math"
	"time"
)

// QuantityConfig says how a Quantity learns. A field that is not positive takes its default.
type QuantityConfig struct {
	HalfLife      time.Duration // event time after which an observation weighs half
	LevelHalfLife time.Duration // the same for Level; shorter, so that it follows what happens now
	MinCount      int           // decayed number of observations below which the quantity is still learning
	TailFrom      float64       // quantile, in [0.5, 0.999], beyond which the tail is extrapolated
	Buckets       int           // most buckets of the histogram, 8 to 192; fewer are coarser and smaller
}

// DefaultQuantityConfig returns half-lives of a day and an hour, 50 observations, tails beyond 95 %, and 192 buckets.
func DefaultQuantityConfig() QuantityConfig {
	return QuantityConfig{HalfLife: 24 * time.Hour, LevelHalfLife: time.Hour, MinCount: 50, TailFrom: 0.95, Buckets: maxBuckets}
}

func (c QuantityConfig) withDefaults() QuantityConfig {
	def := DefaultQuantityConfig()
	if c.HalfLife <= 0 {
		c.HalfLife = def.HalfLife
	}
	if c.LevelHalfLife <= 0 {
		c.LevelHalfLife = max(c.HalfLife/24, 1)
	}
	if c.MinCount <= 0 {
		c.MinCount = def.MinCount
	}
	if !(c.TailFrom > 0) {
		c.TailFrom = def.TailFrom
	}
	c.TailFrom = min(max(c.TailFrom, 0.5), 0.999)
	if c.Buckets <= 0 {
		c.Buckets = def.Buckets
	}
	return c
}

// Quantity learns the distribution of a quantity that is positive and varies by factors, such as seconds of latency,
// tokens or cost. Zero is legal and has a bucket of its own.
//
// It holds a histogram over logarithmic buckets under forward decay, in which quantiles are within 2 % while the values
// span a factor of about 2000, and coarser beyond: with 64 buckets that factor is 12, beyond it 4 % up to a factor of 150. It
// takes 144 bytes and 6 a bucket, 1.3 KiB at most.
type Quantity struct {
	cfg    *QuantityConfig // shared by those that are alike
	time   forward
	sketch sketch
	level  average
	seen   uint64
}

// average is an exponentially weighted moving average in event time.
type average struct {
	clock
	weight, sum float64
}

func (a *average) add(t time.Time, halfLife time.Duration, x, n float64) {
	age, late := a.observe(t, halfLife, math.Inf(1))
	shrink, weight := math.Exp2(-age), n*math.Exp2(-late)
	a.weight = a.weight*shrink + weight
	a.sum = a.sum*shrink + weight*x
}

// NewQuantity returns a Quantity that has seen nothing.
func NewQuantity(cfg QuantityConfig) *Quantity {
	cfg = cfg.withDefaults()
	return &Quantity{cfg: &cfg, sketch: sketch{limit: bucketLimit(cfg.Buckets)}}
}

// Fresh returns a Quantity like q that has seen nothing.
func (q *Quantity) Fresh() *Quantity {
	if q.cfg == nil {
		return NewQuantity(QuantityConfig{})
	}
	return &Quantity{cfg: q.cfg, sketch: sketch{limit: q.sketch.limit}}
}

// Add learns x, observed at t. NaN, infinities and negative values are ignored.
func (q *Quantity) Add(t time.Time, x float64) {
	if x >= 0 && !math.IsInf(x, 1) {
		q.add(t, x, 1)
		q.seen++
	}
}

// AddSample learns the values of a sample, observed at t, for which keep holds. More than most together weigh as much as most.
func (q *Quantity) AddSample(t time.Time, s *Sample, most int, keep func(x float64) bool) {
	scale := min(1, float64(most)/float64(s.total))
	s.each(func(x, n float64) {
		if keep(x) {
			q.add(t, x, n*scale)
			q.seen += uint64(n)
		}
	})
}

// add learns x as if it had been observed n times.
func (q *Quantity) add(t time.Time, x, n float64) {
	weight, factor := q.time.observe(t, q.cfg.HalfLife, 1)
	if factor != 1 {
		q.sketch.scale(factor)
	}
	q.sketch.add(x, n*weight, q.time.unit())
	if x > 0 {
		q.level.add(t, q.cfg.LevelHalfLife, math.Log(x), n)
	}
}

// Limit is the least value of a sample whose UpperP is below p, +Inf when there is none.
func (q *Quantity) Limit(s *Sample, p float64) float64 {
	limit := math.Inf(1)
	s.each(func(x, _ float64) {
		if limit > x && q.UpperP(x) < p {
			limit = x
		}
	})
	return limit
}

// Exceeding counts the values of a sample whose UpperP is below p.
func (q *Quantity) Exceeding(s *Sample, p float64) int {
	limit, count := q.Limit(s, p), 0.0
	s.each(func(x, n float64) {
		if x >= limit {
			count += n
		}
	})
	return int(count)
}

// Count is the decayed number of observations.
func (q *Quantity) Count() float64 { return q.sketch.total / q.time.unit() }

// Seen is the number of observations of all time.
func (q *Quantity) Seen() uint64 { return q.seen }

// Learning reports whether too little was seen for the p-values to be acted on.
func (q *Quantity) Learning() bool { return q.Count() < float64(q.cfg.MinCount) }

// Quantile returns the p-quantile, p in [0, 1], or NaN when nothing was learned.
func (q *Quantity) Quantile(p float64) float64 { return math.Exp(q.sketch.logQuantile(p)) }

// Median returns the 0.5-quantile, or NaN when nothing was learned.
func (q *Quantity) Median() float64 { return q.Quantile(0.5) }

// Level returns the geometric moving average of the positive values: the exponential of an exponentially weighted
// average of logarithms. It is NaN before the first.
func (q *Quantity) Level() float64 { return math.Exp(q.level.sum / q.level.weight) }

// UpperP returns P(X >= x), which never rises with x.
//
// It is empirical where at least 5 observations were as large. Beyond, the logarithm's excess over a high quantile is
// taken to be exponential, which is a Pareto tail with Hill's estimate of its index (Hill, Annals of Statistics 1975):
// exact for power laws, conservative for lighter tails such as the lognormal.
func (q *Quantity) UpperP(x float64) float64 {
	if !(x > 0) {
		return 1
	}
	return q.sketch.upperP(min(x, math.MaxFloat64), q.time.unit(), q.cfg.TailFrom)
}

// ratio is a/b, and 1 when that says nothing.
func ratio(a, b float64) float64 {
	if r := a / b; !math.IsNaN(r) {
		return r
	}
	return 1
}

// MarshalBinary returns a snapshot of what was learned.
func (q *Quantity) MarshalBinary() ([]byte, error) {
	e := newEncoder(kindQuantity, 64+6*len(q.sketch.index))
	q.time.encode(e)
	q.sketch.encode(e)
	q.level.encode(e)
	e.float(q.level.weight)
	e.float(q.level.sum)
	e.uint64(q.seen)
	return e.buf, nil
}

// UnmarshalBinary replaces what was learned by a snapshot. On an error nothing changes.
func (q *Quantity) UnmarshalBinary(data []byte) error {
	restored := q.Fresh()
	d := newDecoder(kindQuantity, data)
	restored.time.decode(d)
	restored.sketch.decode(d)
	restored.level.decode(d)
	restored.level.weight = d.sum()
	restored.level.sum = d.floatIn(-maxWeight, maxWeight)
	restored.seen = d.uint64()
	if err := d.finish("quantity"); err != nil {
		return err
	}
	*q = *restored
	return nil
}
