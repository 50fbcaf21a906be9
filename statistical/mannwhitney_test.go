package statistical

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMannWhitneyP(t *testing.T) {
	nan := math.NaN()
	tests := map[string]struct {
		a, b []float64
		want float64
	}{
		"empty":       {want: 1},
		"a empty":     {b: []float64{1, 2}, want: 1},
		"only NaN":    {a: []float64{nan}, b: []float64{1}, want: 1},
		"all equal":   {a: []float64{3, 3, 3}, b: []float64{3, 3}, want: 1},
		"larger":      {a: []float64{1, 2, 3, 4, 5}, b: []float64{6, 7, 8, 9, 10}, want: NormalUpperP(12 / math.Sqrt(25*11.0/12))},
		"smaller":     {a: []float64{6, 7, 8, 9, 10}, b: []float64{1, 2, 3, 4, 5}, want: NormalUpperP(-13 / math.Sqrt(25*11.0/12))},
		"with a NaN":  {a: []float64{1, 2, nan, 3, 4, 5}, b: []float64{6, 7, 8, 9, 10}, want: NormalUpperP(12 / math.Sqrt(25*11.0/12))},
		"ties":        {a: []float64{1, 2, 2, 3}, b: []float64{2, 3, 3, 4}, want: NormalUpperP(4.5 / math.Sqrt(16.0/12*(9-48.0/56)))},
		"to infinity": {a: []float64{1, 2, 3, 4, 5}, b: []float64{6, 7, 8, 9, math.Inf(1)}, want: NormalUpperP(12 / math.Sqrt(25*11.0/12))},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			require.InDelta(t, tt.want, MannWhitneyP(tt.a, tt.b), 5e-3)
		})
	}
}

func TestMannWhitneyPIsUniform(t *testing.T) {
	r := seeded(27)
	var ps []float64
	for range 2000 {
		a, b := make([]float64, 60), make([]float64, 80)
		for i := range a {
			a[i] = r.NormFloat64()
		}
		for i := range b {
			b[i] = r.NormFloat64()
		}
		ps = append(ps, MannWhitneyP(a, b))
	}
	requireUniform(t, ps)
}
