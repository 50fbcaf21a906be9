package engine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestQuarantineReleasesByTimeAndByRoom(t *testing.T) {
	t.Parallel()
	q := quarantine{max: 3}
	hold := func(n int) { q.add(heldTrace{at: began.Add(time.Duration(n) * time.Minute)}) }
	ages := func(list []heldTrace) (out []int) {
		for _, h := range list {
			out = append(out, int(h.at.Sub(began).Minutes()))
		}
		return out
	}
	for n := range 3 {
		hold(n)
	}
	require.Empty(t, q.release(began.Add(-time.Second)))
	require.Equal(t, []int{0, 1}, ages(q.release(began.Add(time.Minute))))
	for n := 3; n < 8; n++ {
		hold(n)
	}
	require.Equal(t, []int{2, 3, 4}, ages(q.release(began)), "what there is no room for goes early, oldest first")
	require.Equal(t, []int{5, 6, 7}, ages(q.release(began.Add(time.Hour))))
	require.Empty(t, q.release(began.Add(time.Hour)))
}
