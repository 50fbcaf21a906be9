package statistical

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFisher(t *testing.T) {
	require.Equal(t, 1.0, Fisher())
	require.InDelta(t, 0.03, Fisher(0.03), 1e-12, "one is what it is")
	// Of two the tail is in closed form: xy (1 - ln xy).
	require.InDelta(t, 0.017478, Fisher(0.05, 0.05), 1e-6)
	require.Less(t, Fisher(1e-3, 1e-3), 1e-4)
	require.Positive(t, Fisher(0, 0))

	rng := rand.New(rand.NewPCG(1, 2))
	below := 0
	for range 20_000 {
		if Fisher(rng.Float64(), rng.Float64(), rng.Float64()) < 0.01 {
			below++
		}
	}
	require.InDelta(t, 200, below, 60, "calm gives what it says")
}
