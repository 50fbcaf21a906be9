package engine

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// A memory that is away costs its own pair, and nothing else: the next pair judges, and keeps learning.
func TestStandInAnswersForAFailingMemory(t *testing.T) {
	for name, breakIt := range map[string]func(*recall){
		"an error":  func(m *recall) { m.set(errors.New("connection refused"), false) },
		"no answer": func(m *recall) { m.set(nil, true) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				x := newPlant(t)
				x.semantic.recalls = true
				breakIt(x.memory)
				x.run()
				x.consume(x.trace("hello"))
				pass(settled)
				require.Equal(t, []string{"builtin"}, x.semantic.models())
				degraded := x.Health().Degraded
				require.Len(t, degraded, 1)
				require.Equal(t, "memory remote", degraded[0].Part)
				require.NotEmpty(t, degraded[0].Reason)
				require.Zero(t, x.Health().Dropped[dropUncompared])
				s := x.trace("hello")
				_, err := x.Score(t.Context(), NewTrace(s.TraceID, []Span{s}))
				require.NoError(t, err, "who asks beside the stream has the stand-in too")

				x.memory.set(nil, false)
				pass(lensPause)
				x.consume(x.trace("hello"))
				pass(settled)
				require.Equal(t, "preferred", x.semantic.models()[2])
				require.Empty(t, x.Health().Degraded)
			})
		})
	}
}

func TestFailingMemoryIsLeftAloneForAWhile(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.semantic.recalls = true
		x.memory.set(errors.New("connection refused"), false)
		x.run()
		for range 100 {
			x.consume(x.trace("hello"))
		}
		pass(settled)
		require.Equal(t, 1, x.memory.calls)
		require.Len(t, x.semantic.models(), 100)
		require.NoError(t, x.stop())
		require.NoError(t, x.Settle(t.Context()))
		require.Len(t, x.standIn.memos, 100, "the stand-in learns")
		require.EqualValues(t, 100, x.Health().Dropped[dropUnlearnt], "what the other misses is counted")
	})
}

func TestNoMemoryAtAllIsCounted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.semantic.recalls = true
		x.memory.set(errors.New("down"), false)
		x.standIn.set(errors.New("down"), false)
		x.run()
		x.consume(x.trace("hello"))
		pass(settled)
		require.EqualValues(t, 1, x.Health().Dropped[dropUncompared])
		require.Len(t, x.Health().Degraded, 3, "both memories, and the detectors that have none")
	})
}

// One embedder in front of two memories is asked once a trace.
func TestTextsAreEmbeddedOnceAModel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.builtin.model = x.preferred.model
		x.run()
		x.consume(x.trace("hello"))
		pass(settled)
		require.Equal(t, []string{"hello"}, x.preferred.texts)
		require.Empty(t, x.builtin.texts)
		require.NoError(t, x.stop())
		require.NoError(t, x.Settle(t.Context()))
		require.Len(t, x.semantic.learnt, 2, "and both memories learn")
	})
}
