package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func loggedEvent(number int64) engine.LoggedEvent {
	return engine.LoggedEvent{Number: number, Event: engine.SecurityEvent{
		ID: fmt.Sprint("e-", number), At: noon.Add(time.Duration(number) * time.Second), Type: "jailbreak", Severity: engine.SeverityHigh, Service: "checkout",
		User: "u-17", APIKey: "k-1", TraceID: engine.TraceID{1, 2}, Details: map[string]string{"pattern": "it's \"fine\" \x00"},
	}}
}

func eventsAreLogged(t *testing.T, s Store) {
	logged, err := s.LoggedEvents(t.Context())
	require.NoError(t, err)
	require.Empty(t, logged)

	// In the order of their numbers, not in that of their commits.
	first, second, third := loggedEvent(1), loggedEvent(2), loggedEvent(30)
	require.NoError(t, s.Record(t.Context(), engine.Entry{Events: []engine.LoggedEvent{third, first}}))
	require.NoError(t, s.Record(t.Context(), engine.Entry{Anomalies: []engine.Anomaly{anomalyAt("a-1", noon)}, Events: []engine.LoggedEvent{second}}))
	logged, err = s.LoggedEvents(t.Context())
	require.NoError(t, err)
	require.Equal(t, []engine.LoggedEvent{first, second, third}, logged, "as they were")

	other := second
	other.Event.ID = "another"
	require.NoError(t, s.Record(t.Context(), engine.Entry{Events: []engine.LoggedEvent{other}}), "a number that is known is left out")
	logged, err = s.LoggedEvents(t.Context())
	require.NoError(t, err)
	require.Equal(t, "e-2", logged[1].Event.ID)

	bad := anomalyAt("", noon)
	requireCode(t, engine.CodeInvalid, s.Record(t.Context(), engine.Entry{Anomalies: []engine.Anomaly{bad}, Events: []engine.LoggedEvent{loggedEvent(40)}}))
	requireCode(t, engine.CodeInvalid, s.Record(t.Context(), engine.Entry{Events: []engine.LoggedEvent{loggedEvent(0)}}))

	require.NoError(t, s.ForgetEvents(t.Context(), 2))
	require.NoError(t, s.ForgetEvents(t.Context(), 2))
	logged, err = s.LoggedEvents(t.Context())
	require.NoError(t, err)
	require.Equal(t, []engine.LoggedEvent{third}, logged)
	require.NoError(t, s.ForgetEvents(t.Context(), 1000))
	logged, err = s.LoggedEvents(t.Context())
	require.NoError(t, err)
	require.Empty(t, logged)
}
