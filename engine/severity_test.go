package engine

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSeverityTable(t *testing.T) {
	t.Parallel()
	table := SeverityConfig{Base: map[AnomalyType]int{Traffic: 0, LatencySpike: 1, ErrorRate: 2, SecurityPattern: 3}, ScoreAbove: 3, RatioAbove: 4, UsersAbove: 10}
	large := Effect{Baseline: 1, Current: 5}
	for _, c := range []struct {
		kind   AnomalyType
		score  float64
		effect Effect
		users  int
		want   Severity
	}{
		{Traffic, 1.5, Effect{}, 0, SeverityLow},
		{Traffic, 9, large, 0, SeverityMedium},
		{LatencySpike, 3, Effect{Baseline: 1, Current: 4}, 10, SeverityLow}, // at the limits is not above them
		{LatencySpike, 9, Effect{}, 0, SeverityMedium},
		{LatencySpike, 9, large, 0, SeverityHigh},
		{LatencySpike, 9, large, 11, SeverityCritical},
		{ErrorRate, 1.5, Effect{}, 0, SeverityMedium},
		{SecurityPattern, 1.5, Effect{}, 0, SeverityHigh},
		{SecurityPattern, 9, large, 11, SeverityCritical},
		{"a type of tomorrow", 1.5, Effect{}, 0, SeverityLow},
	} {
		require.Equal(t, c.want, table.Of(c.kind, c.score, c.effect, c.users), "%+v", c)
	}
}

func TestEveryAnomalyTypeHasASeverityAndAPlace(t *testing.T) {
	t.Parallel()
	for kind := range precedence {
		require.Contains(t, DefaultSeverity().Base, kind)
	}
	for kind := range DefaultSeverity().Base {
		require.Contains(t, precedence, kind)
	}
	require.Equal(t, len(precedence), rank("a type of tomorrow"))
}

func TestSeveritiesAreOrdered(t *testing.T) {
	t.Parallel()
	for i, s := range Severities {
		require.Equal(t, i, s.Rank())
	}
	require.Equal(t, -1, Severity("dire").Rank())
}
