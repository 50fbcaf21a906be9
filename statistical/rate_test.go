package statistical

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/stat/distuv"
)

// negativeBinomial draws a count with the given mean and dispersion; dispersion 0 is Poisson.
func negativeBinomial(r *rand.Rand, mean, dispersion float64) int {
	if dispersion > 0 {
		mean = distuv.Gamma{Alpha: 1 / dispersion, Beta: 1 / (dispersion * mean), Src: r}.Rand()
	}
	if mean <= 0 {
		return 0
	}
	return int(distuv.Poisson{Lambda: mean, Src: r}.Rand())
}

// rhythm is busy at noon and nearly silent at midnight.
func rhythm(t time.Time) float64 {
	hour := float64(t.Hour()) + float64(t.Minute())/60
	return 1 - 0.9*math.Cos(2*math.Pi*hour/24)
}

func TestRateLearnsTheDailyRhythm(t *testing.T) {
	r := seeded(13)
	rate := NewRate(RateConfig{Window: 5 * time.Minute})
	at := start
	for ; at.Before(start.AddDate(0, 0, 10)); at = at.Add(5 * time.Minute) {
		rate.Add(at, negativeBinomial(r, 60*rhythm(at), 0.01))
	}
	for hour := range 24 {
		window := at.Add(time.Duration(hour) * time.Hour)
		want := 60 * rhythm(window.Add(150*time.Second))
		require.InDelta(t, want, rate.Expected(window), 8, "hour %d", hour)
	}
	night, noon := at, at.Add(12*time.Hour)
	require.Less(t, rate.UpperP(night, 60), 1e-3, "as much as on average, at night")
	require.Greater(t, rate.UpperP(noon, 120), 0.1)
	require.Less(t, rate.LowerP(noon, 20), 1e-3, "traffic breaks away at noon")
	require.Less(t, rate.LowerP(noon, 0), 1e-6)
	require.Greater(t, rate.LowerP(night, 2), 0.01)
}

func TestRatePValuesAreCalibrated(t *testing.T) {
	tests := map[string]struct {
		mean, dispersion float64
		rhythm           func(time.Time) float64
		strict           bool
	}{
		"steady":           {mean: 40, dispersion: 0.02, strict: true},
		"bursty":           {mean: 40, dispersion: 0.5},
		"rare":             {mean: 0.3},
		"rhythm":           {mean: 50, dispersion: 0.02, rhythm: rhythm},
		"rhythm, and rare": {mean: 1, rhythm: rhythm},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := seeded(14)
			var upper, lower, middle []float64
			for range 4 {
				rate := NewRate(RateConfig{Window: 10 * time.Minute})
				for at := start; at.Before(start.AddDate(0, 0, 15)); at = at.Add(10 * time.Minute) {
					mean := tt.mean
					if tt.rhythm != nil {
						mean *= tt.rhythm(at.Add(5 * time.Minute))
					}
					n := negativeBinomial(r, mean, tt.dispersion)
					if at.After(start.AddDate(0, 0, 5)) {
						u, l := rate.UpperP(at, n), rate.LowerP(at, n)
						upper, lower = append(upper, u), append(lower, l)
						middle = append(middle, u-r.Float64()*max(0, u+l-1))
					}
					rate.Add(at, n)
				}
			}
			for _, alpha := range []float64{0.01, 1e-3, 1e-4} {
				requireConservative(t, upper, alpha)
				requireConservative(t, lower, alpha)
			}
			if tt.strict {
				requireUniform(t, middle[:2000])
			}
		})
	}
}

func TestRateWithNothingAndWithZeros(t *testing.T) {
	rate := NewRate(RateConfig{})
	require.True(t, rate.Learning())
	require.Zero(t, rate.Expected(start))
	require.Equal(t, 1.0, rate.UpperP(start, 1000))
	require.Equal(t, 1.0, rate.LowerP(start, 0))
	rate.Add(start, -5)
	require.Equal(t, 1.0, rate.UpperP(start, 1000), "a negative count teaches nothing")

	for i := range 1000 {
		rate.Add(start.Add(time.Duration(i)*time.Minute), 0)
	}
	next := start.Add(1000 * time.Minute)
	require.False(t, rate.Learning())
	require.Zero(t, rate.Expected(next))
	require.Equal(t, 1.0, rate.UpperP(next, 0))
	require.Greater(t, rate.LowerP(next, 0), 0.99)
	require.Less(t, rate.UpperP(next, 50), 1e-3)
	require.Greater(t, rate.UpperP(next, 1), 1e-5)
}

func TestRateAnIncidentMovesTheBaselineSlowly(t *testing.T) {
	r := seeded(15)
	rate := NewRate(RateConfig{})
	at := start
	for range 2000 {
		rate.Add(at, negativeBinomial(r, 30, 0))
		at = at.Add(time.Minute)
	}
	for range 10 {
		rate.Add(at, 3000)
		at = at.Add(time.Minute)
	}
	require.InDelta(t, 30, rate.Expected(at), 3)
	require.Less(t, rate.UpperP(at, 300), 1e-6)
}

func TestRateFollowsANewLevel(t *testing.T) {
	r := seeded(16)
	rate := NewRate(RateConfig{})
	at := start
	for day := range 6 {
		mean := 30.0
		if day >= 2 {
			mean = 90
		}
		for range 1440 {
			rate.Add(at, negativeBinomial(r, mean, 0.01))
			at = at.Add(time.Minute)
		}
	}
	require.InDelta(t, 90, rate.Expected(at), 20)
}

func TestRateMonotoneForAnyCount(t *testing.T) {
	r := seeded(17)
	rate := NewRate(RateConfig{})
	for i := range 500 {
		rate.Add(start.Add(time.Duration(i)*time.Minute), negativeBinomial(r, 5, 0.3))
	}
	rate.Add(start.Add(500*time.Minute), math.MaxInt)
	upper, lower := 1.0, minP
	for k := 0; k < 2000; k++ {
		u, l := rate.UpperP(start, k), rate.LowerP(start, k)
		require.LessOrEqual(t, u, upper*(1+1e-9))
		require.GreaterOrEqual(t, l, lower*(1-1e-9))
		upper, lower = u, l
	}
	require.InDelta(t, 5, rate.Expected(start), 1)
	require.GreaterOrEqual(t, rate.UpperP(start, math.MaxInt), minP)
}

func BenchmarkRateAdd(b *testing.B) {
	rate := NewRate(RateConfig{})
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		rate.Add(start.Add(time.Duration(i)*time.Minute), i%50)
		i++
	}
}

func BenchmarkRateUpperP(b *testing.B) {
	rate := NewRate(RateConfig{})
	for i := range 5000 {
		rate.Add(start.Add(time.Duration(i)*time.Minute), i%50)
	}
	b.ReportAllocs()
	for b.Loop() {
		rate.UpperP(start, 60)
	}
}
