package statistical

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAlphaMeetsItsBudget(t *testing.T) {
	// Scores are noisier than their p-values say: they are raised to the power 0.6, so that at level α the share of
	// alarms is α^(1/0.6). The controller must find the level that gives three a day all the same.
	r := seeded(30)
	a, err := NewAlpha(AlphaConfig{PerDay: 3, Initial: 1e-4, Min: 1e-8, Max: 0.1, Gain: 0.2})
	require.NoError(t, err)
	const days = 200
	alerts := 0
	for i := range days * 1440 {
		now := start.Add(time.Duration(i) * time.Minute)
		a.Tick(now)
		if math.Pow(r.Float64(), 0.6) < a.Value() {
			a.Alert(now)
			if i >= 20*1440 {
				alerts++
			}
		}
	}
	require.InDelta(t, 3, float64(alerts)/(days-20), 0.1)
}

func TestAlphaMoves(t *testing.T) {
	a, err := NewAlpha(AlphaConfig{PerDay: 2, Initial: 1e-4, Min: 1e-5, Max: 1e-3, Gain: 0.5})
	require.NoError(t, err)
	a.Tick(start)
	require.InEpsilon(t, 1e-4, a.Value(), 1e-12, "the first tick only starts the clock")
	a.Tick(start.Add(12 * time.Hour))
	require.InEpsilon(t, 1e-4*math.Exp(0.5), a.Value(), 1e-9)
	a.Alert(start.Add(6 * time.Hour)) // late
	require.InEpsilon(t, 1e-4, a.Value(), 1e-9)
	a.Tick(start.AddDate(0, 0, 30))
	require.InEpsilon(t, 1e-4*math.E, a.Value(), 1e-9, "a gap counts one day")
	for range 100 {
		a.Alert(start.AddDate(0, 0, 30))
	}
	require.Equal(t, 1e-5, a.Value())
	for day := range 100 {
		a.Tick(start.AddDate(0, 1, day))
	}
	require.Equal(t, 1e-3, a.Value())
}

func TestAlphaConfigSaysWhatIsWrong(t *testing.T) {
	good := AlphaConfig{PerDay: 2, Initial: 1e-4, Min: 1e-8, Max: 1e-2, Gain: 0.2}
	require.NoError(t, good.Validate())
	for want, change := range map[string]func(*AlphaConfig){
		"per day": func(c *AlphaConfig) { c.PerDay = 0 },
		"initial": func(c *AlphaConfig) { c.Initial = 0.5 },
		"min":     func(c *AlphaConfig) { c.Min = 0 },
		"max":     func(c *AlphaConfig) { c.Max = 1 },
		"gain":    func(c *AlphaConfig) { c.Gain = math.NaN() },
	} {
		cfg := good
		change(&cfg)
		_, err := NewAlpha(cfg)
		require.ErrorContains(t, err, want)
	}
}
