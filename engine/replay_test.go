package engine

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What was recorded is worked off to its end: every trace judged and learnt once calm time has passed, as live, without a queue that
// could be full.
func TestReplayWorksOffAllThatWasRecorded(t *testing.T) {
	x := newPlant(t, func(c *Config) { c.SemanticQueue = 64 })
	done := 0
	const traces = 20
	require.NoError(t, x.Replay(t.Context(), func(yield func(Batch, error) bool) {
		for range traces {
			if !yield(Batch{Spans: []Span{x.trace("hello")}, Done: func(err error) { require.NoError(t, err); done++ }}, nil) {
				return
			}
		}
	}))
	require.Equal(t, traces, done, "the effects of each batch are stored")
	require.NoError(t, x.Settle(t.Context()))
	require.Equal(t, traces, x.workflow.knows())

	require.NoError(t, x.Replay(t.Context(), func(yield func(Batch, error) bool) { yield(Batch{Spans: []Span{x.trace("more")}}, nil) }))
	require.NoError(t, x.Settle(t.Context()))
	require.Equal(t, traces+1, x.workflow.knows(), "it goes on with later batches")
}

func TestReplayEndsWithTheErrorOfItsSource(t *testing.T) {
	x := newPlant(t)
	broken := errors.New("line 3 is no trace")
	require.ErrorIs(t, x.Replay(t.Context(), func(yield func(Batch, error) bool) { yield(Batch{}, broken) }), broken)
}

func TestReplayIsNotForBesideRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.run()
		pass(time.Second)
		require.ErrorContains(t, x.Replay(t.Context(), func(func(Batch, error) bool) {}), "beside Run")
		require.NoError(t, x.stop())
	})
}
