package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Run checks a backend. open returns an empty store, closed by the test's cleanup; reopen closes s and opens the same data
// again.
func Run(t *testing.T, open func(t *testing.T) Store, reopen func(t *testing.T, s Store) Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Store)
	}{
		{"record is all or nothing", recordIsAllOrNothing},
		{"record replaces", recordReplaces},
		{"record refuses what cannot be stored", recordRefuses},
		{"records keep every field", recordsKeepEveryField},
		{"anomaly filters", anomalyFilters},
		{"incident filters", incidentFilters},
		{"active incidents", activeIncidents},
		{"missing records are not found", missingRecords},
		{"pages are stable under inserts", pagesAreStable},
		{"pages with equal times", pagesWithEqualTimes},
		{"bad paging is refused", badPaging},
		{"hostile strings", hostileStrings},
		{"bytes that are no text", bytesThatAreNoText},
		{"concurrent entries that overlap", overlappingEntries},
		{"markers", markers},
		{"feedback", feedback},
		{"feedback is taken back once", feedbackIsUndone},
		{"snapshots", snapshots},
		{"series come back from the shelf", seriesComeBack},
		{"the shelf is bounded", shelfIsBounded},
		{"events are logged with their entry", eventsAreLogged},
		{"backlog keeps its order", backlogOrder},
		{"backlog restores the trace", backlogRestoresTrace},
		{"keys", keys},
		{"prune", prune},
		{"alerts are committed with their incident", alertsAreCommittedWithTheirIncident},
		{"alerts keep their order", alertsKeepTheirOrder},
		{"alerts are seen in order", alertsAreSeenInOrder},
		{"routes", routes},
		{"due deliveries", dueDeliveries},
		{"due in the order of alerts", dueInTheOrderOfAlerts},
		{"delivered is delivered", deliveredIsDelivered},
		{"dead letters", deadLetters},
		{"concurrent dispatch", concurrentDispatch},
		{"prune the outbox", pruneOutbox},
		{"memos of receivers", receiverMemos},
		{"hostile strings in the outbox", hostileOutbox},
		{"concurrent use", concurrentUse},
		{"cancelled calls change nothing", cancelledCalls},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
	t.Run("reopen", func(t *testing.T) { survivesReopen(t, open(t), reopen) })
	t.Run("reopen the outbox", func(t *testing.T) { outboxSurvivesReopen(t, open(t), reopen) })
}

// noon is the time around which the records of the suite lie, with nanoseconds that a store must not lose.
var noon = time.Date(2025, time.March, 3, 12, 0, 0, 123456789, time.UTC)

func anomalyAt(id string, at time.Time) engine.Anomaly {
	return engine.Anomaly{
		ID: id, At: at, Type: engine.LatencySpike, Severity: engine.SeverityHigh, Service: "checkout",
		Series: engine.SeriesKey{Service: "checkout", Operation: engine.OpChat, Model: "m-1"},
		Score:  1.5, P: 1e-6, Alpha: 1e-4, Reason: "p50 3.1 s instead of 1.0 s",
	}
}

func incidentAt(id string, onset time.Time) engine.Incident {
	return engine.Incident{
		ID: id, Fingerprint: "fp-" + id, Type: engine.LatencySpike, Severity: engine.SeverityHigh, Status: engine.StatusOpen,
		Title: "checkout is slow", Subject: engine.Subject{Kind: engine.SubjectService, Value: "checkout"},
		Services: []string{"checkout"}, Onset: onset, LastSeen: onset.Add(time.Minute), DetectedAt: onset.Add(time.Second),
		Raised: 1, Traces: []engine.TraceID{{1}}, Timeline: []engine.TimelineEntry{{At: onset, Event: "raised"}},
	}
}

func resolved(in engine.Incident, at time.Time) engine.Incident {
	in.Status, in.ResolvedAt = engine.StatusResolved, &at
	return in
}

func feedbackAt(id string, at time.Time) engine.Feedback {
	return engine.Feedback{
		ID: id, At: at, Incident: "i-1", Verdict: engine.TruePositive, By: "ada", KeyID: "key-1", Expires: at.Add(time.Hour),
		Case: engine.Case{
			Type: engine.LatencySpike, Service: "checkout", Operation: engine.OpChat, Title: "checkout is slow", Text: "why?",
			Series: []engine.SeriesKey{{Service: "checkout", Model: "m-1"}},
		},
	}
}

func requireCode(t *testing.T, want engine.Code, err error) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, want, engine.ErrorCode(err), "%v", err)
}

func record(t *testing.T, s Store, anomalies []engine.Anomaly, incidents []engine.Incident) {
	t.Helper()
	require.NoError(t, s.Record(t.Context(), engine.Entry{Anomalies: anomalies, Incidents: incidents}))
}

func anomalyIDs(t *testing.T, s Store, q engine.AnomalyQuery) []string {
	t.Helper()
	page, err := s.Anomalies(t.Context(), q)
	require.NoError(t, err)
	ids := []string{}
	for _, a := range page.Items {
		ids = append(ids, a.ID)
	}
	return ids
}

func incidentIDs(t *testing.T, s Store, q engine.IncidentQuery) []string {
	t.Helper()
	page, err := s.Incidents(t.Context(), q)
	require.NoError(t, err)
	ids := []string{}
	for _, in := range page.Items {
		ids = append(ids, in.ID)
	}
	return ids
}
