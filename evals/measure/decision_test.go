package measure

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDecisions(t *testing.T) {
	positive := []bool{true, true, true, true, false, false}
	said := []bool{true, true, true, false, true, false}
	all := []int{0, 1, 2, 3, 4, 5}
	require.InDelta(t, 2*0.75*0.75/(0.75+0.75), F1(said, positive, all), 1e-12, "precision and recall are 3/4")
	require.InDelta(t, (0.75+0.5)/2, BalancedAccuracy(said, positive, all), 1e-12)

	require.True(t, math.IsNaN(BalancedAccuracy(said, positive, []int{0, 1})), "no negative")
	require.True(t, math.IsNaN(F1(said, positive, []int{5})), "nothing positive, nothing said")
	require.Zero(t, F1(said, positive, []int{3}))
	require.InDelta(t, 0.75, BalancedAccuracy(said, positive, []int{0, 3, 5, 5}), 1e-12, "a case drawn twice counts twice")
}
