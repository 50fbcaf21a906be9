package statistical

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/stat/distuv"
)

// learned returns a Quantity that has seen n values, one a second.
func learned(n int, draw func() float64) *Quantity {
	q := NewQuantity(DefaultQuantityConfig())
	for i := range n {
		q.Add(start.Add(time.Duration(i)*time.Second), draw())
	}
	return q
}

func TestQuantityQuantilesAreWithinTwoPercent(t *testing.T) {
	q := NewQuantity(QuantityConfig{HalfLife: 1e6 * time.Hour})
	for i := 1; i <= 1000; i++ {
		q.Add(start, float64(i))
	}
	for _, p := range []float64{0.01, 0.25, 0.5, 0.9, 0.99, 1} {
		require.InEpsilon(t, 1000*p, q.Quantile(p), 0.0201, "quantile %v", p)
	}
	require.InEpsilon(t, 1000, q.Count(), 1e-9)
	require.EqualValues(t, 1000, q.Seen())
}

func TestQuantityWithNothingLearned(t *testing.T) {
	q := NewQuantity(QuantityConfig{})
	require.True(t, q.Learning())
	require.True(t, math.IsNaN(q.Median()))
	require.True(t, math.IsNaN(q.Level()))
	require.Equal(t, 1.0, q.UpperP(5))
	require.Zero(t, q.Count())
}

func TestQuantityIgnoresWhatCannotBe(t *testing.T) {
	r := seeded(1)
	q := learned(1000, func() float64 { return lognormal(r, 1, 0.5) })
	before, _ := q.MarshalBinary()
	for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1} {
		q.Add(start, x)
	}
	after, _ := q.MarshalBinary()
	require.Equal(t, before, after)
	require.Equal(t, 1.0, q.UpperP(math.NaN()))
	require.Equal(t, 1.0, q.UpperP(-1))
	require.LessOrEqual(t, q.UpperP(math.Inf(1)), q.UpperP(1e300))
}

func TestQuantityOneWildValueDoesNotBlindIt(t *testing.T) {
	r := seeded(2)
	q := learned(5000, func() float64 { return lognormal(r, 1, 0.5) })
	clean := q.UpperP(20)
	q.Add(start.Add(5000*time.Second), 1e300)
	require.InEpsilon(t, 1, q.Median(), 0.05)
	require.Less(t, q.UpperP(20), 1e-4)
	require.Less(t, q.UpperP(20), clean*3)
}

func TestQuantityPValuesAreUniformInTheBody(t *testing.T) {
	r := seeded(3)
	draw := func() float64 { return lognormal(r, 2, 2) }
	q := learned(40_000, draw)
	var ps []float64
	for range 2000 {
		ps = append(ps, q.UpperP(draw()))
	}
	requireUniform(t, ps)
}

func TestQuantityPValuesAreExactInAPowerLawTail(t *testing.T) {
	r := seeded(4)
	draw := func() float64 { return math.Exp(r.ExpFloat64() / 1.5) }
	hits, n := map[float64]float64{0.02: 0, 0.005: 0, 0.001: 0}, 0.0
	for range 10 {
		q := learned(10_000, draw)
		for range 10_000 {
			n++
			p := q.UpperP(draw())
			for alpha := range hits {
				if p <= alpha {
					hits[alpha]++
				}
			}
		}
	}
	for alpha, count := range hits {
		require.InEpsilon(t, alpha, count/n, 0.25, "%v", alpha)
	}
}

func TestQuantityTailsAreCalibratedAndConservative(t *testing.T) {
	// A second mode that was never seen is beyond what 50 observations can tell.
	const rareMode = "two modes"
	tests := map[string]func(r *rand.Rand) float64{
		"lognormal, narrow": func(r *rand.Rand) float64 { return lognormal(r, 3, 0.2) },
		"lognormal, wide":   func(r *rand.Rand) float64 { return lognormal(r, 3, 1.2) },
		"exponential":       func(r *rand.Rand) float64 { return r.ExpFloat64() },
		"Pareto, heavy":     func(r *rand.Rand) float64 { return math.Exp(r.ExpFloat64()) },
		"Pareto, light":     func(r *rand.Rand) float64 { return math.Exp(r.ExpFloat64() / 4) },
		rareMode: func(r *rand.Rand) float64 {
			if r.Float64() < 0.03 {
				return lognormal(r, 60, 0.1)
			}
			return lognormal(r, 1, 0.3)
		},
		"whole numbers": func(r *rand.Rand) float64 { return math.Floor(lognormal(r, 20, 0.6)) },
	}
	for name, draw := range tests {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{50, 300, 3000} {
				if name == rareMode && n < 300 {
					continue
				}
				r := seeded(uint64(n))
				var upper []float64
				for range 60_000 / n {
					q := learned(n, func() float64 { return draw(r) })
					for range n / 10 {
						upper = append(upper, q.UpperP(draw(r)))
					}
				}
				for _, alpha := range []float64{0.1, 0.01, 1e-3, 1e-4} {
					requireConservative(t, upper, alpha)
				}
			}
		})
	}
}

func TestQuantityHasPower(t *testing.T) {
	r := seeded(5)
	draw := func() float64 { return lognormal(r, 1, 0.4) }
	require.Less(t, learned(100, draw).UpperP(10), 1e-3)
	require.Less(t, learned(1000, draw).UpperP(10), 1e-4)
	require.Less(t, learned(10_000, draw).UpperP(10), 1e-5)
}

func TestQuantityConstantIsNotExtreme(t *testing.T) {
	q := learned(1000, func() float64 { return 100 })
	require.Equal(t, 1.0, q.UpperP(100))
	require.Less(t, q.UpperP(200), 1e-3)
}

func TestQuantityMostlyZero(t *testing.T) {
	i := 0
	q := learned(1000, func() float64 {
		if i++; i%50 == 0 {
			return 1 + float64(i%7)/10
		}
		return 0
	})
	require.Equal(t, 0.0, q.Median())
	require.Equal(t, 1.0, q.UpperP(0))
	require.InDelta(t, 0.02, q.UpperP(1), 0.003)
	require.Less(t, q.UpperP(10), 1e-4)
	require.InEpsilon(t, 1.3, q.Level(), 0.3)
}

func TestQuantityPValuesAreMonotone(t *testing.T) {
	r := seeded(6)
	for name, q := range map[string]*Quantity{
		"one":       learned(1, func() float64 { return 3 }),
		"few":       learned(20, func() float64 { return lognormal(r, 1, 1) }),
		"many":      learned(3000, func() float64 { return lognormal(r, 1, 1) }),
		"collapsed": learned(3000, func() float64 { return lognormal(r, 1, 20) }),
		"zeros":     learned(100, func() float64 { return math.Floor(lognormal(r, 1, 1)) }),
	} {
		upper := 1.0
		for e := -40.0; e < 40; e += 0.03 {
			x := math.Exp(e)
			u := q.UpperP(x)
			require.LessOrEqual(t, u, upper*(1+1e-12), "%s at %v", name, x)
			require.GreaterOrEqual(t, u, minP)
			upper = u
		}
	}
}

func TestQuantityForgetsWithItsHalfLife(t *testing.T) {
	q := NewQuantity(QuantityConfig{HalfLife: time.Hour, LevelHalfLife: time.Minute})
	for range 1024 {
		q.Add(start, 1)
	}
	for minute := 1; minute <= 180; minute++ {
		q.Add(start.Add(time.Duration(minute)*time.Minute), 100)
	}
	weight := 0.0
	for minute := range 180 {
		weight += math.Exp2(-float64(minute) / 60)
	}
	require.InEpsilon(t, 128+weight, q.Count(), 1e-6)
	require.InEpsilon(t, 100, q.Level(), 0.01)
	require.False(t, q.Learning())
}

func TestQuantityForgettingSurvivesHundredsOfHalfLives(t *testing.T) {
	r := seeded(7)
	q := NewQuantity(QuantityConfig{HalfLife: time.Minute})
	for i := range 200_000 {
		q.Add(start.Add(time.Duration(i)*time.Second), lognormal(r, 1, 0.5))
	}
	require.InEpsilon(t, 60/math.Ln2, q.Count(), 0.02)
	require.InDelta(t, 1, q.Median(), 0.3)
}

func TestQuantityAGapCostsOneHalfLife(t *testing.T) {
	q := learned(1000, func() float64 { return 1 })
	n := q.Count()
	q.Add(start.AddDate(50, 0, 0), 1) // a wrong clock
	require.InEpsilon(t, n/2+1, q.Count(), 1e-6)
	for i := range 1000 {
		q.Add(start.Add(time.Duration(1000+i)*time.Second), 1)
	}
	require.Greater(t, q.Count(), n, "what comes after counts in full")
}

func TestQuantityLateObservationsWeighLess(t *testing.T) {
	q := NewQuantity(QuantityConfig{HalfLife: time.Hour})
	q.Add(start, 1)
	q.Add(start.Add(-time.Hour), 1)
	require.InEpsilon(t, 1.5, q.Count(), 1e-12)
	q.Add(start, 1)
	require.InEpsilon(t, 2.5, q.Count(), 1e-12)
	q.Add(time.Time{}, 1)
	require.InEpsilon(t, 3.5, q.Count(), 1e-12)
}

func TestQuantityStaysSmall(t *testing.T) {
	r := seeded(8)
	size := func(q *Quantity) int {
		return int(unsafe.Sizeof(*q)) + 2*cap(q.sketch.index) + 4*cap(q.sketch.weight)
	}
	typical := learned(20_000, func() float64 { return lognormal(r, 1, 0.7) })
	require.Less(t, size(typical), 1340)
	require.Zero(t, typical.sketch.collapses)

	hostile := learned(20_000, func() float64 { return math.Exp(1400*r.Float64() - 700) })
	require.Less(t, size(hostile), 1340)
	require.LessOrEqual(t, len(hostile.sketch.index), maxBuckets)
	require.InEpsilon(t, 20_000, float64(hostile.Seen()), 1e-9)
	data, err := hostile.MarshalBinary()
	require.NoError(t, err)
	require.NoError(t, NewQuantity(QuantityConfig{}).UnmarshalBinary(data))
}

func TestQuantityDoesNotAllocateOnceWarm(t *testing.T) {
	r := seeded(9)
	q := learned(20_000, func() float64 { return lognormal(r, 1, 0.5) })
	i := 20_000
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		i++
		q.Add(start.Add(time.Duration(i)*time.Second), 1.3)
		q.UpperP(3)
	}))
}

func TestHeavyTailIsNotUnderestimated(t *testing.T) {
	r := seeded(10)
	q := learned(50_000, func() float64 { return math.Exp(r.ExpFloat64() / 2) })
	for _, x := range []float64{10, 30, 1000} {
		require.InEpsilon(t, math.Pow(x, -2), q.UpperP(x), 0.5, "Pareto survival at %v", x)
	}
	lighter := learned(50_000, func() float64 { return lognormal(r, 1, 1) })
	exact := distuv.LogNormal{Mu: 0, Sigma: 1}.Survival(math.Exp(4.5))
	require.Greater(t, lighter.UpperP(math.Exp(4.5)), exact)
	require.Less(t, lighter.UpperP(math.Exp(4.5)), 30*exact)
}

func BenchmarkQuantityAdd(b *testing.B) {
	r := seeded(1)
	values := make([]float64, 1024)
	for i := range values {
		values[i] = lognormal(r, 1, 0.7)
	}
	q := NewQuantity(DefaultQuantityConfig())
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		q.Add(start.Add(time.Duration(i)*time.Millisecond), values[i%len(values)])
		i++
	}
}

func BenchmarkQuantityUpperP(b *testing.B) {
	r := seeded(1)
	q := learned(100_000, func() float64 { return lognormal(r, 1, 0.7) })
	b.ReportAllocs()
	for b.Loop() {
		q.UpperP(5)
	}
}
