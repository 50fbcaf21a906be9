package engine

import (
	"testing"
	"time"

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
		require.Equal(t, c.want, table.Of(c.kind, c.score, c.effect, Circumstances{Users: c.users}), "%+v", c)
	}
}

func TestSeverityFollowsCircumstances(t *testing.T) {
	t.Parallel()
	table := DefaultSeverity()
	table.BusinessHours = BusinessHours{From: 8, To: 18, TimeZone: "Europe/Berlin"}
	require.NoError(t, table.validate())
	monday := time.Date(2026, time.March, 2, 9, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		kind AnomalyType
		in   Circumstances
		want Severity
	}{
		"as it is":                         {ErrorRate, Circumstances{At: monday}, SeverityMedium},
		"it lasts":                         {ErrorRate, Circumstances{At: monday, Lasted: 5 * time.Hour}, SeverityHigh},
		"it comes back":                    {ErrorRate, Circumstances{At: monday, Raised: 3}, SeverityHigh},
		"both":                             {ErrorRate, Circumstances{At: monday, Lasted: 5 * time.Hour, Raised: 3}, SeverityCritical},
		"at night":                         {ErrorRate, Circumstances{At: monday.Add(-4 * time.Hour)}, SeverityLow},
		"18:00 there":                      {ErrorRate, Circumstances{At: monday.Add(8 * time.Hour)}, SeverityLow},
		"on a Sunday":                      {ErrorRate, Circumstances{At: monday.Add(-24 * time.Hour)}, SeverityLow},
		"attacks do not wait for business": {Jailbreak, Circumstances{At: monday.Add(-4 * time.Hour)}, SeverityMedium},
		"a trace on request has no time":   {ErrorRate, Circumstances{}, SeverityMedium},
	} {
		require.Equal(t, c.want, table.Of(c.kind, 1.5, Effect{}, c.in), name)
	}
	table.BusinessHours.TimeZone = "Middle/Earth"
	require.ErrorContains(t, table.validate(), "business_hours.time_zone")
	table.BusinessHours = BusinessHours{From: 18, To: 8}
	require.ErrorContains(t, table.validate(), "business_hours")
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
