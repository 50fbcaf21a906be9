package engine

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReceiptWithoutDoneIsNothing(t *testing.T) {
	t.Parallel()
	r := newReceipt(nil)
	require.Nil(t, r)
	r.hold()
	r.release(nil)
}

func TestReceiptTellsTheErrorsOfAll(t *testing.T) {
	t.Parallel()
	full, gone := errors.New("disk full"), errors.New("gone")
	var told error
	calls := 0
	r := newReceipt(func(err error) { told, calls = err, calls+1 })
	r.hold()
	r.hold()
	r.release(full)
	r.release(nil)
	require.Zero(t, calls)
	r.release(gone)
	require.Equal(t, 1, calls)
	require.ErrorIs(t, told, full)
	require.ErrorIs(t, told, gone)
}

// Batches share traces, traces are stored by other goroutines in any order: each batch is done exactly once, and not before the
// last of its traces is stored.
func TestReceiptIsDoneOnceAfterAllIsStored(t *testing.T) {
	t.Parallel()
	failed := errors.New("not stored")
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 0))
		type trace struct {
			assembly
			stored atomic.Bool
			err    error
		}
		traces := make([]*trace, 1+rng.IntN(6))
		for i := range traces {
			traces[i] = &trace{}
			if rng.IntN(4) == 0 {
				traces[i].err = failed
			}
		}
		var wg sync.WaitGroup
		calls := make([]atomic.Int32, 1+rng.IntN(8))
		for i := range calls {
			var mine []*trace
			for _, x := range traces {
				if rng.IntN(2) == 0 {
					mine = append(mine, x)
				}
			}
			r := newReceipt(func(err error) {
				calls[i].Add(1)
				var want error
				for _, x := range mine {
					if !x.stored.Load() {
						t.Errorf("done before trace was stored")
					}
					if x.err != nil {
						want = x.err
					}
				}
				if !errors.Is(err, want) {
					t.Errorf("told %v, want %v", err, want)
				}
			})
			for _, x := range mine {
				x.hold(r)
				x.hold(r) // by another span of the batch
			}
			wg.Go(func() { r.release(nil) })
		}
		rng.Shuffle(len(traces), func(i, j int) { traces[i], traces[j] = traces[j], traces[i] })
		for _, x := range traces {
			wg.Go(func() {
				x.stored.Store(true)
				x.release(x.err)
			})
		}
		wg.Wait()
		for i := range calls {
			require.EqualValues(t, 1, calls[i].Load())
		}
	}
}
