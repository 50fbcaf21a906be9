package statistical

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestConformalIsUniform(t *testing.T) {
	r := seeded(31)
	c := NewConformal(20_000, 1)
	for range 20_000 {
		c.Add(r.ExpFloat64())
	}
	var ps, tail []float64
	for range 100_000 {
		p := c.UpperP(r.ExpFloat64())
		ps = append(ps, p)
		if p < 0.05 {
			tail = append(tail, p/0.05)
		}
	}
	requireUniform(t, ps[:3000])
	requireUniform(t, tail[:600]) // more would show the noise of the calibration itself
}

func TestConformalIsConservative(t *testing.T) {
	r := seeded(32)
	for name, draw := range map[string]func() float64{
		"normal":      r.NormFloat64,
		"exponential": r.ExpFloat64,
		"bounded":     r.Float64,
		"steps":       func() float64 { return float64(r.IntN(3)) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{5, 50, 500} {
				var ps []float64
				for range 30_000 / n {
					c := NewConformal(0, 1)
					for range n {
						c.Add(draw())
					}
					for range max(1, n/10) {
						ps = append(ps, c.UpperP(draw()))
					}
				}
				for _, alpha := range []float64{0.1, 0.01, 1e-3} {
					requireConservative(t, ps, alpha)
				}
			}
		})
	}
}

func TestConformalKeepsAUniformSample(t *testing.T) {
	var kept []float64
	for seed := range uint64(100) {
		c := NewConformal(50, seed)
		for i := range 1000 {
			c.Add(float64(i) / 1000)
		}
		require.Equal(t, 50, c.Len())
		kept = append(kept, c.sorted...)
	}
	requireUniform(t, kept)
}

func TestConformalAtTheEdges(t *testing.T) {
	c := NewConformal(100, 1)
	require.Equal(t, 1.0, c.UpperP(3))
	for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		c.Add(x)
	}
	require.Zero(t, c.Len())
	for range 60 {
		c.Add(5)
	}
	require.Equal(t, 1.0, c.UpperP(5))
	require.Equal(t, 1.0, c.UpperP(math.NaN()))
	require.InEpsilon(t, 1.0/61, c.UpperP(6), 1e-12, "without spread there is no tail to extrapolate")
	c.Add(math.MaxFloat64)
	c.Add(-math.MaxFloat64)
	last := 1.0
	for x := -10.0; x < 100; x += 0.01 {
		p := c.UpperP(x)
		require.LessOrEqual(t, p, last)
		last = p
	}
	require.GreaterOrEqual(t, c.UpperP(math.Inf(1)), minP)
}

func TestConformalDoesNotAllocateOnceFull(t *testing.T) {
	r := seeded(33)
	c := NewConformal(100, 1)
	for range 200 {
		c.Add(r.Float64())
	}
	require.Zero(t, testing.AllocsPerRun(500, func() {
		c.Add(0.5)
		c.UpperP(0.99)
	}))
}

func BenchmarkConformalUpperP(b *testing.B) {
	r := seeded(1)
	c := NewConformal(1024, 1)
	for range 5000 {
		c.Add(r.ExpFloat64())
	}
	b.ReportAllocs()
	for b.Loop() {
		c.UpperP(6)
	}
}
