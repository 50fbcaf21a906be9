package statistical

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestInflationLeavesUniformPValuesAlone(t *testing.T) {
	i, r := NewInflation(24*time.Hour), rand.New(rand.NewPCG(1, 2))
	for n := range 2000 {
		i.Add(time.Unix(int64(n), 0), 1-r.Float64())
	}
	require.InDelta(t, 1, i.Factor(), 0.1)
	require.InDelta(t, math.Log(1e-6), math.Log(i.Correct(1e-6)), 1.5)
}

func TestInflationCorrectsPValuesThatComeOutSmallTooOften(t *testing.T) {
	i, r := NewInflation(24*time.Hour), rand.New(rand.NewPCG(1, 2))
	for n := range 2000 {
		p := 1 - r.Float64()
		i.Add(time.Unix(int64(n), 0), p*p) // twice the -log p
	}
	require.InDelta(t, 2, i.Factor(), 0.2)
	require.InDelta(t, math.Log(1e-3), math.Log(i.Correct(1e-6)), 0.8)
}

func TestInflationIsSilentWithoutHistoryAndRestoresExactly(t *testing.T) {
	i := NewInflation(time.Hour)
	require.InDelta(t, 1e-6, i.Correct(1e-6), 1e-12)
	for n := range 500 {
		i.Add(time.Unix(int64(n), 0), 1e-3)
	}
	data, err := i.MarshalBinary()
	require.NoError(t, err)
	again := NewInflation(time.Hour)
	require.NoError(t, again.UnmarshalBinary(data))
	require.Equal(t, i.Correct(1e-9), again.Correct(1e-9))
	require.Error(t, again.UnmarshalBinary([]byte("not a snapshot")))
}
