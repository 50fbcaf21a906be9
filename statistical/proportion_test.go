package statistical

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/stat/distuv"
)

// betaBinomial draws how many of n are bad when the proportion is drawn with the given mean and intra-class correlation.
func betaBinomial(r *rand.Rand, n int, mean, rho float64) int {
	p := mean
	if rho > 0 {
		precision := 1/rho - 1
		p = distuv.Beta{Alpha: mean * precision, Beta: (1 - mean) * precision, Src: r}.Rand()
	}
	bad := 0
	for range n {
		if r.Float64() < p {
			bad++
		}
	}
	return bad
}

func TestProportionLearnsTheRate(t *testing.T) {
	p := NewProportion(ProportionConfig{})
	require.InDelta(t, 0.01, p.Rate(), 1e-9, "the prior")
	require.True(t, p.Learning())
	for i := range 200 {
		p.Add(start.Add(time.Duration(i)*time.Minute), 5, 100)
	}
	require.False(t, p.Learning())
	require.InDelta(t, 0.05, p.Rate(), 0.001)
	require.Less(t, p.UpperP(30, 100), 1e-12)
	require.Greater(t, p.UpperP(6, 100), 0.1)
	require.Equal(t, 1.0, p.UpperP(0, 100))
}

func TestProportionIgnoresWhatCannotBe(t *testing.T) {
	p := NewProportion(ProportionConfig{PriorBad: math.NaN(), PriorGood: math.Inf(1)})
	for _, c := range [][2]int{{-1, 10}, {1, 0}, {1, -1}, {11, 10}} {
		p.Add(start, c[0], c[1])
		require.Equal(t, 1.0, p.UpperP(c[0], c[1]))
	}
	require.Zero(t, p.Count())
	require.InDelta(t, 0.01, p.Rate(), 1e-9)
}

func TestProportionPValuesAreCalibrated(t *testing.T) {
	for name, rho := range map[string]float64{"binomial": 0, "mild": 0.01, "strong": 0.05} {
		t.Run(name, func(t *testing.T) {
			r := seeded(11)
			var upper, middle []float64
			for range 40 {
				p := NewProportion(ProportionConfig{})
				for i := range 300 {
					n := 20 + r.IntN(200)
					bad := betaBinomial(r, n, 0.04, rho)
					if i >= 50 {
						upper = append(upper, p.UpperP(bad, n))
						// Counts are discrete: a place drawn between P(K > bad) and P(K >= bad) is uniform.
						above := 0.0
						if bad < n {
							above = p.UpperP(bad+1, n)
						}
						middle = append(middle, upper[len(upper)-1]-r.Float64()*(upper[len(upper)-1]-above))
					}
					p.Add(start.Add(time.Duration(i)*time.Minute), bad, n)
				}
			}
			for _, alpha := range []float64{0.05, 0.01, 1e-3} {
				requireConservative(t, upper, alpha)
			}
			if rho == 0.05 {
				var some []float64 // neighbours share what was learnt
				for i := 0; i < len(middle); i += 5 {
					some = append(some, middle[i])
				}
				requireUniform(t, some)
			}
		})
	}
}

func TestProportionAnIncidentDoesNotBecomeNormalAtOnce(t *testing.T) {
	r := seeded(12)
	p := NewProportion(ProportionConfig{})
	for i := range 500 {
		p.Add(start.Add(time.Duration(i)*time.Minute), betaBinomial(r, 100, 0.02, 0), 100)
	}
	for i := range 5 {
		p.Add(start.Add(time.Duration(500+i)*time.Minute), 40, 100)
	}
	require.Less(t, p.UpperP(40, 100), 1e-6)
}

func TestProportionMonotone(t *testing.T) {
	p := NewProportion(ProportionConfig{})
	for i := range 50 {
		p.Add(start.Add(time.Duration(i)*time.Minute), i%4, 30)
	}
	for _, n := range []int{1, 2, 50, 5000, 100_000} {
		upper := 1.0
		for k := 0; k <= n; k += max(1, n/500) {
			u := p.UpperP(k, n)
			require.LessOrEqual(t, u, upper*(1+1e-9), "%d of %d", k, n)
			upper = u
		}
	}
}

func TestProportionForgets(t *testing.T) {
	p := NewProportion(ProportionConfig{HalfLife: time.Hour})
	p.Add(start, 100, 1000)
	p.Add(start.Add(time.Hour), 0, 1)
	require.InEpsilon(t, 501, p.Count(), 1e-9)
	p.Add(start, 0, 100)
	require.InEpsilon(t, 551, p.Count(), 1e-9, "late observations weigh less")
}

func TestBetaBinomial(t *testing.T) {
	// With Beta(1, 1) every count is as likely.
	for k := range 12 {
		require.InEpsilon(t, float64(11-k+1)/12, betaBinomialUpperP(float64(k), 11, 1, 1), 1e-12)
	}
	// With a precise beta it is the binomial.
	require.InEpsilon(t, BinomialUpperP(15, 100, 0.05), betaBinomialUpperP(15, 100, 5e7, 95e7), 1e-4)
	// The approximation for large windows agrees with the sum.
	for _, k := range []float64{1200, 1500, 2000} {
		exact := betaBinomialSum(k, 20_000, 50, 950)
		require.InEpsilon(t, exact, betaBinomialUpperP(k, 20_000, 50, 950), 0.2, "%v", k)
	}
}

func BenchmarkProportionUpperP(b *testing.B) {
	p := NewProportion(ProportionConfig{})
	for i := range 500 {
		p.Add(start.Add(time.Duration(i)*time.Minute), i%4, 100)
	}
	b.ReportAllocs()
	for b.Loop() {
		p.UpperP(12, 200)
	}
}

func BenchmarkProportionAdd(b *testing.B) {
	p := NewProportion(ProportionConfig{})
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		p.Add(start.Add(time.Duration(i)*time.Second), i%4, 100)
		i++
	}
}
