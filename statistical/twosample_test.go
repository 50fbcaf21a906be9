package statistical

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTwoSampleKeepsItsLevelUnderPeeking(t *testing.T) {
	tests := map[string]func(r *rand.Rand) float64{
		"lognormal": func(r *rand.Rand) float64 { return lognormal(r, 2, 0.5) },
		"skewed":    func(r *rand.Rand) float64 { return r.ExpFloat64() },
		"power law": func(r *rand.Rand) float64 { return math.Exp(r.ExpFloat64()) },
		"two modes": func(r *rand.Rand) float64 { return lognormal(r, 1, 0.1) * math.Exp(3*float64(r.IntN(2))) },
	}
	const runs, observations, alpha = 300, 600, 0.05
	for name, draw := range tests {
		t.Run(name, func(t *testing.T) {
			r := seeded(24)
			var smallest []float64
			for range runs {
				test := NewTwoSample(DefaultTwoSampleConfig())
				for i := range observations {
					test.AddA(draw(r))
					if i%3 == 0 { // a canary sees less
						test.AddB(draw(r))
					}
				}
				smallest = append(smallest, test.Compare().P) // never rises, so it is the smallest on the way
			}
			requireConservative(t, smallest, alpha)
			requireConservative(t, smallest, alpha/5)
		})
	}
}

func TestTwoSampleFindsADifferenceSoon(t *testing.T) {
	r := seeded(25)
	test := NewTwoSample(TwoSampleConfig{})
	last := 1.0
	for range 300 {
		test.AddA(lognormal(r, 1, 0.5))
		test.AddB(lognormal(r, 1.5, 0.5))
		p := test.Compare().P
		require.LessOrEqual(t, p, last)
		last = p
	}
	got := test.Compare()
	require.Less(t, got.P, 1e-6)
	require.InDelta(t, 1.5, got.Effect, 0.2)
	require.Equal(t, 300, got.N1)
	require.Equal(t, 300, got.N2)
}

func TestTwoSampleIsNotDecidedBySingleValues(t *testing.T) {
	r := seeded(26)
	test := NewTwoSample(TwoSampleConfig{})
	for i := range 300 {
		test.AddA(lognormal(r, 1, 0.3))
		b := lognormal(r, 1, 0.3)
		if i%60 == 59 {
			b = 1e200
		}
		test.AddB(b)
	}
	require.Greater(t, test.Compare().P, 0.01)
	require.InDelta(t, 1, test.Compare().Effect, 0.15)
}

func TestTwoSampleAtTheEdges(t *testing.T) {
	test := NewTwoSample(TwoSampleConfig{Tau: math.NaN(), MinCount: -1})
	require.Equal(t, Comparison{P: 1, Effect: 1}, test.Compare())
	for _, x := range []float64{0, -1, math.NaN(), math.Inf(1)} {
		test.AddA(x)
		test.AddB(x)
	}
	require.Equal(t, Comparison{P: 1, Effect: 1}, test.Compare())
	for range 100 { // constants, near the smallest number there is
		test.AddA(5e-324)
		test.AddB(5e-324)
	}
	require.Equal(t, 1.0, test.Compare().P)

	constant := NewTwoSample(TwoSampleConfig{})
	for range 100 {
		constant.AddA(10)
		constant.AddB(20)
	}
	require.Less(t, constant.Compare().P, 1e-9)
	require.InDelta(t, 2, constant.Compare().Effect, 0.1)
}

func BenchmarkTwoSampleAdd(b *testing.B) {
	r := seeded(1)
	test := NewTwoSample(DefaultTwoSampleConfig())
	for range 1000 {
		test.AddA(lognormal(r, 1, 0.5))
		test.AddB(lognormal(r, 1, 0.5))
	}
	b.ReportAllocs()
	for b.Loop() {
		test.AddB(1.1)
	}
}
