package scenarios

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/evals/scenario"
)

// A longer run must contain the shorter one, and every day must be one that the generator can make.
func TestDays(t *testing.T) {
	require.Equal(t, Days(7, 5), Days(7, 25)[:5])
	names := make(map[string]bool)
	seeds := make(map[uint64]bool)
	for seed := range uint64(4) {
		for _, d := range Days(seed, 3*len(conditions)) {
			s, err := scenario.New(d.Config)
			require.NoError(t, err, d.Name())
			require.Equal(t, d.Config.Control, len(s.Truth()) == 0, d.Name())
			require.Greater(t, d.Config.Seed, uint64(100_000), "the demo's seeds are small")
			require.False(t, names[d.Name()] || seeds[d.Config.Seed], d.Name())
			names[d.Name()], seeds[d.Config.Seed] = true, true
		}
	}
	require.Len(t, Days(1, DefaultDays), len(conditions), "each condition is in a usual run")
	require.Equal(t, "usual", Days(1, 1)[0].Condition)
}
