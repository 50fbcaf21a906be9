package statistical

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/stat/distuv"
)

func TestTailsOfKnownDistributions(t *testing.T) {
	require.InEpsilon(t, 1-math.Pow(0.9, 5), BinomialUpperP(1, 5, 0.1), 1e-12)
	require.InEpsilon(t, 1e-5, BinomialUpperP(5, 5, 0.1), 1e-9)

	// With hardly any dispersion the negative binomial is Poisson; with dispersion 1 it is geometric.
	require.InEpsilon(t, distuv.Poisson{Lambda: 8}.Survival(19), negativeBinomialUpperP(20, 8, 1e-9), 1e-5)
	require.InEpsilon(t, math.Pow(0.8, 7), negativeBinomialUpperP(7, 4, 1), 1e-12)
	require.InEpsilon(t, 1-math.Pow(0.8, 8), negativeBinomialLowerP(7, 4, 1), 1e-12)
}

func TestTailsAtTheEdges(t *testing.T) {
	for name, p := range map[string]float64{
		"no successes": BinomialUpperP(0, 5, 0.1),
		"certain":      BinomialUpperP(3, 5, 1),
		"no n":         BinomialUpperP(3, -1, 0.5),
		"p too large":  BinomialUpperP(3, 5, 1.5),
		"p NaN":        BinomialUpperP(3, 5, math.NaN()),
	} {
		require.Equal(t, 1.0, p, name)
	}
	for name, p := range map[string]float64{
		"k > n":       BinomialUpperP(6, 5, 0.5),
		"p 0":         BinomialUpperP(1, 5, 0),
		"below count": negativeBinomialLowerP(-1, 3, 1),
	} {
		require.Equal(t, minP, p, name)
	}
}
