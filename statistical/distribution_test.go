package statistical

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTailsOfKnownDistributions(t *testing.T) {
	require.InEpsilon(t, 1-math.Pow(0.9, 5), BinomialUpperP(1, 5, 0.1), 1e-12)
	require.InEpsilon(t, 1e-5, BinomialUpperP(5, 5, 0.1), 1e-9)
	require.InEpsilon(t, 1-math.Exp(-2), PoissonUpperP(1, 2), 1e-12)
	require.InEpsilon(t, 2.866515719235352e-07, NormalUpperP(5), 1e-9)
	require.InEpsilon(t, 0.5, NormalUpperP(0), 1e-12)

	// With hardly any dispersion the negative binomial is Poisson; with dispersion 1 it is geometric.
	require.InEpsilon(t, PoissonUpperP(20, 8), negativeBinomialUpperP(20, 8, 1e-9), 1e-5)
	require.InEpsilon(t, math.Pow(0.8, 7), negativeBinomialUpperP(7, 4, 1), 1e-12)
	require.InEpsilon(t, 1-math.Pow(0.8, 8), negativeBinomialLowerP(7, 4, 1), 1e-12)
}

func TestTailsAtTheEdges(t *testing.T) {
	nan := math.NaN()
	for name, p := range map[string]float64{
		"no successes": BinomialUpperP(0, 5, 0.1),
		"certain":      BinomialUpperP(3, 5, 1),
		"no n":         BinomialUpperP(3, -1, 0.5),
		"p too large":  BinomialUpperP(3, 5, 1.5),
		"p NaN":        BinomialUpperP(3, 5, nan),
		"no events":    PoissonUpperP(0, 2),
		"lambda < 0":   PoissonUpperP(2, -1),
		"lambda NaN":   PoissonUpperP(2, nan),
		"lambda inf":   PoissonUpperP(2, math.Inf(1)),
		"z NaN":        NormalUpperP(nan),
		"z -inf":       NormalUpperP(math.Inf(-1)),
	} {
		require.Equal(t, 1.0, p, name)
	}
	for name, p := range map[string]float64{
		"k > n":       BinomialUpperP(6, 5, 0.5),
		"p 0":         BinomialUpperP(1, 5, 0),
		"lambda 0":    PoissonUpperP(1, 0),
		"z inf":       NormalUpperP(math.Inf(1)),
		"far out":     PoissonUpperP(100_000, 1),
		"below count": negativeBinomialLowerP(-1, 3, 1),
	} {
		require.Equal(t, minP, p, name)
	}
}
