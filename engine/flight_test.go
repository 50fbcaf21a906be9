package engine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestIncidentsWaitForTheSemanticTier(t *testing.T) {
	t.Parallel()
	var f flight
	mark := func(n int) time.Time { return began.Add(time.Duration(n) * time.Minute) }
	require.Equal(t, mark(5), f.settled(mark(5), began), "nothing is under way")
	f.leave(mark(1), began)
	f.leave(mark(2), began)
	f.leave(mark(3), began)
	f.cancel() // it found no place
	require.Equal(t, mark(1), f.settled(mark(5), began))
	f.land()
	require.Equal(t, mark(2), f.settled(mark(5), began))
	require.Equal(t, mark(5), f.settled(mark(5), began.Add(patience+1)), "a slow tier is not waited for")
	f.land()
	require.Equal(t, mark(5), f.settled(mark(5), began))
}
