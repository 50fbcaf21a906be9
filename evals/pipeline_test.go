package evals_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
)

func TestOpinionsAreOrderedByPValueAndThenByRawScore(t *testing.T) {
	order := []engine.Finding{
		{P: 1, Raw: -3}, {P: 1, Raw: 2}, {P: 1e-9, Raw: 3, Learning: true}, {P: 0.5, Raw: 9}, {P: 0.49}, {P: 0, Raw: 1}, {P: 0, Raw: 2},
	}
	last := -1.0
	for i, f := range order {
		f.Type = engine.Jailbreak
		o := evals.OpinionOf([]engine.Finding{{Type: engine.LatencySpike, P: 1e-9}, f}, engine.Jailbreak)
		require.True(t, o.Found)
		require.Equal(t, f, o.Finding)
		require.Greater(t, o.Score, last, i)
		last = o.Score
	}
	require.Equal(t, evals.Opinion{}, evals.OpinionOf(order, engine.Jailbreak), "nothing of the type")
	two := []engine.Finding{{Type: engine.Jailbreak, P: 1e-3, Learning: true}, {Type: engine.Jailbreak, P: 0.1}}
	require.False(t, evals.OpinionOf(two, engine.Jailbreak).Learning, "one that learns does not outweigh one that does not")
}

func TestHistoryCameBefore(t *testing.T) {
	trace := func(n int, at time.Time) engine.Trace {
		return engine.Trace{Spans: []engine.Span{{Name: string(rune('a' + n)), End: at}}}
	}
	spans := evals.History([]int{0, 1}, trace)
	require.Equal(t, []string{"a", "b"}, []string{spans[0].Name, spans[1].Name})
	require.Equal(t, evals.JudgedAt.Add(-time.Minute), spans[1].End)
	require.Equal(t, time.Minute, spans[1].End.Sub(spans[0].End))
}
