package kafka

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// take admits messages that are new.
func take(t *testing.T, w *window, offsets ...int64) (entries []*entry) {
	t.Helper()
	for _, o := range offsets {
		e, expired := w.admit(o, time.Now())
		require.NotNil(t, e)
		require.Zero(t, expired)
		entries = append(entries, e)
	}
	return entries
}

func requirePosition(t *testing.T, w *window, want int64) {
	t.Helper()
	got, _ := w.position()
	require.Equal(t, want, got)
}

// Compacted topics and transactions leave holes between offsets; the commit passes over them.
func TestWindowWithHoles(t *testing.T) {
	w := newWindow(5)
	e := take(t, w, 7, 8, 12)
	w.finish(e[1], nil, false, time.Now())
	requirePosition(t, w, 7)
	w.finish(e[0], nil, false, time.Now())
	requirePosition(t, w, 12)
	w.finish(e[2], nil, false, time.Now())
	requirePosition(t, w, 13)
	w.commit(13)
	_, ahead := w.position()
	require.False(t, ahead)
}

// A message that comes once more, after a rewind, is under way or done already unless it failed.
func TestWindowRewinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWindow(0)
		defer w.close()
		woken := 0
		w.wakeWith(func() { woken++ }, time.Now())
		e := take(t, w, 0, 1, 2, 3)
		w.finish(e[0], nil, false, time.Now())
		w.finish(e[1], errStoreDown, false, time.Now())
		w.finish(e[3], nil, false, time.Now())
		require.Equal(t, int64(4), w.rewind(time.Now()), "not due yet")
		time.Sleep(firstRetry)
		synctest.Wait()
		require.Equal(t, 1, woken)
		require.Equal(t, int64(1), w.rewind(time.Now()))
		again := take(t, w, 1)
		require.Same(t, e[1], again[0])
		for _, o := range []int64{1, 2, 3} {
			x, _ := w.admit(o, time.Now())
			require.Nil(t, x)
		}
		take(t, w, 4)

		// The second failure waits longer; a refusal does not wait.
		w.finish(e[1], errStoreDown, false, time.Now())
		time.Sleep(firstRetry)
		require.Equal(t, int64(5), w.rewind(time.Now()))
		w.finish(e[2], errHopeless, true, time.Now())
		synctest.Wait()
		require.Equal(t, 2, woken)
		require.Equal(t, int64(2), w.rewind(time.Now()))
		require.ErrorIs(t, take(t, w, 2)[0].refused, errHopeless)
		time.Sleep(firstRetry)
		synctest.Wait()
		require.Equal(t, 3, woken)
	})
}

// What the broker has deleted cannot be done any more, and must not hold back the commit.
func TestWindowExpires(t *testing.T) {
	w := newWindow(0)
	e := take(t, w, 0, 1, 2)
	w.finish(e[2], nil, false, time.Now())
	for _, x := range e[:2] {
		w.abandon(x, time.Now())
	}
	require.Equal(t, int64(0), w.rewind(time.Now()))
	w.extent(extent{first: 10, end: 20})
	x, expired := w.admit(12, time.Now())
	require.Equal(t, int64(12), x.offset)
	require.Equal(t, int64(2+7), expired, "two that were read and seven that never were; 10 and 11 are a hole")
	requirePosition(t, w, 12)
}

func TestWindowResumes(t *testing.T) {
	w := newWindow(10)
	e := take(t, w, 10, 11, 12)
	w.finish(e[0], nil, false, time.Now())
	w.commit(11)
	require.False(t, w.resume(10), "somebody has put the group back")
	require.False(t, w.resume(14), "somebody else is further than we have read")
	require.True(t, w.resume(11))
	require.True(t, w.resume(12), "somebody else has done 11")
	requirePosition(t, w, 12)
	w.finish(e[1], nil, false, time.Now()) // late, and of no interest
	requirePosition(t, w, 12)
	w.finish(e[2], nil, false, time.Now())
	requirePosition(t, w, 13)
}

func TestWindowLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWindow(3)
		w.extent(extent{first: 0, end: 10})
		lag, age := w.lag(time.Now())
		require.Equal(t, int64(7), lag)
		require.Zero(t, age)
		e := take(t, w, 3)
		time.Sleep(time.Minute)
		lag, age = w.lag(time.Now())
		require.Equal(t, int64(7), lag)
		require.Equal(t, time.Minute, age)
		w.finish(e[0], nil, false, time.Now())
		lag, age = w.lag(time.Now())
		require.Equal(t, int64(6), lag)
		require.Zero(t, age)
	})
}

// Whatever the order of reading, failing and finishing: the position never passes a message that is not done, no message is under
// way twice, and in the end all are done.
func TestWindowAgainstModel(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			const n = 60
			w := newWindow(0)
			defer w.close()
			stored := map[int64]bool{}
			var underway []*entry
			reader := w.rewind(time.Now())
			for step := 0; len(stored) < n; step++ {
				require.Less(t, step, 100_000)
				switch rng.IntN(5) {
				case 0, 1:
					if reader >= n {
						break
					}
					if e, expired := w.admit(reader, time.Now()); e != nil {
						require.Zero(t, expired)
						require.False(t, stored[e.offset])
						for _, other := range underway {
							require.NotSame(t, other, e)
						}
						underway = append(underway, e)
					}
					reader++
				case 2, 3:
					if len(underway) == 0 {
						break
					}
					i := rng.IntN(len(underway))
					e := underway[i]
					underway = append(underway[:i], underway[i+1:]...)
					if rng.IntN(4) == 0 {
						w.finish(e, errStoreDown, false, time.Now())
						break
					}
					w.finish(e, nil, false, time.Now())
					stored[e.offset] = true
				case 4:
					time.Sleep(time.Duration(rng.IntN(3000)) * time.Millisecond)
					if rng.IntN(3) == 0 {
						reader = w.rewind(time.Now())
					}
				}
				position, _ := w.position()
				for o := range position {
					require.True(t, stored[o], "offset %d is below the position %d", o, position)
				}
			}
			requirePosition(t, w, n)
		})
	}
}
