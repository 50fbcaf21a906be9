package storetest

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func recordIsAllOrNothing(t *testing.T, s Store) {
	bad := anomalyAt("a-2", noon)
	bad.Score = math.NaN()
	err := s.Record(t.Context(), engine.Entry{
		Anomalies: []engine.Anomaly{anomalyAt("a-1", noon), bad},
		Incidents: []engine.Incident{incidentAt("i-1", noon)},
	})
	requireCode(t, engine.CodeInvalid, err)
	require.ErrorContains(t, err, "a-2", "the error names the record at fault")
	require.Empty(t, anomalyIDs(t, s, engine.AnomalyQuery{}))
	require.Empty(t, incidentIDs(t, s, engine.IncidentQuery{}))

	require.NoError(t, s.Record(t.Context(), engine.Entry{}), "an empty entry is no error")
}

func recordReplaces(t *testing.T, s Store) {
	a, in := anomalyAt("a-1", noon), incidentAt("i-1", noon)
	record(t, s, []engine.Anomaly{a}, []engine.Incident{in})

	a.IncidentID, a.Severity, a.Service = "i-1", engine.SeverityLow, "search"
	in.Services, in.Title = []string{"search", "cart"}, "search is slow"
	in = resolved(in, noon.Add(time.Hour))
	record(t, s, []engine.Anomaly{a}, []engine.Incident{in})

	page, err := s.Anomalies(t.Context(), engine.AnomalyQuery{IncidentID: "i-1"})
	require.NoError(t, err)
	require.Equal(t, []engine.Anomaly{a}, page.Items)
	require.Empty(t, anomalyIDs(t, s, engine.AnomalyQuery{Service: "checkout"}), "filters see the new values")

	got, err := s.Incident(t.Context(), "i-1")
	require.NoError(t, err)
	require.Equal(t, in, got)
	require.Empty(t, incidentIDs(t, s, engine.IncidentQuery{Service: "checkout"}))
	require.Empty(t, incidentIDs(t, s, engine.IncidentQuery{Status: engine.StatusOpen}))
	require.Equal(t, []string{"i-1"}, incidentIDs(t, s, engine.IncidentQuery{Service: "cart"}))
}

func recordRefuses(t *testing.T, s Store) {
	for name, change := range map[string]func(*engine.Anomaly, *engine.Incident){
		"anomaly without id":       func(a *engine.Anomaly, _ *engine.Incident) { a.ID = "" },
		"anomaly severity":         func(a *engine.Anomaly, _ *engine.Incident) { a.Severity = "dire" },
		"anomaly infinite":         func(a *engine.Anomaly, _ *engine.Incident) { a.P = math.Inf(1) },
		"incident without id":      func(_ *engine.Anomaly, in *engine.Incident) { in.ID = "" },
		"incident severity":        func(_ *engine.Anomaly, in *engine.Incident) { in.Severity = "" },
		"incident status":          func(_ *engine.Anomaly, in *engine.Incident) { in.Status = "lost" },
		"resolved without a time":  func(_ *engine.Anomaly, in *engine.Incident) { in.Status = engine.StatusResolved },
		"year that JSON cannot do": func(_ *engine.Anomaly, in *engine.Incident) { in.Onset = time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		a, in := anomalyAt("a-1", noon), incidentAt("i-1", noon)
		change(&a, &in)
		err := s.Record(t.Context(), engine.Entry{Anomalies: []engine.Anomaly{a}, Incidents: []engine.Incident{in}})
		require.Equal(t, engine.CodeInvalid, engine.ErrorCode(err), "%s: %v", name, err)
	}
	require.Empty(t, anomalyIDs(t, s, engine.AnomalyQuery{}))
}

func recordsKeepEveryField(t *testing.T, s Store) {
	at := noon.Add(time.Hour)
	finding := engine.Finding{
		Type: engine.Jailbreak, Detector: "attack", At: noon, Window: time.Minute, Series: engine.SeriesKey{Service: "checkout"},
		TraceID: engine.TraceID{9}, SpanID: engine.SpanID{8}, P: 0.01, Effect: engine.Effect{Baseline: 1, Current: 2, Unit: "s"}, Material: true, Reason: "r",
	}
	a := anomalyAt("a-1", noon)
	a.IncidentID, a.Window, a.TraceID, a.SpanID = "i-1", 5*time.Minute, engine.TraceID{1, 2}, engine.SpanID{3, 4}
	a.Subject = engine.Subject{Kind: engine.SubjectUser, Value: "u-17"}
	a.Traces, a.Excerpt = []engine.TraceID{{5}, {6}}, "mail [EMAIL] now"
	a.Effect = engine.Effect{Baseline: 0.1, Current: math.MaxFloat64, Unit: "tokens"}
	a.Nearest = &engine.Neighbor{Memo: engine.Memo{ID: "m", Text: "t", At: noon}, Similarity: 0.7}
	a.Shares = []engine.Contribution{{Finding: finding, Score: 2, Share: 1}}

	in := resolved(incidentAt("i-1", noon), at)
	in.Also = []engine.AnomalyType{engine.ErrorRate}
	in.Evidence = &engine.Evidence{
		Digest: "d", From: noon, To: at, Before: noon.Add(-time.Hour),
		Changes: []engine.Change{{What: "latency p50", Series: "s", Effect: a.Effect}},
		Slices:  []engine.Slice{{Subject: a.Subject, Abnormal: 3, AbnormalShare: 0.5, FirstSeen: noon}},
		Markers: []engine.ChangeMarker{{ID: "c-1", At: noon, Kind: engine.MarkerDeployment, Service: "checkout"}},
		Normal:  &engine.Example{TraceID: engine.TraceID{7}, Text: "calm"},
		Similar: []engine.PastIncident{{ID: "i-0", Title: "earlier", At: noon, Similarity: 0.9}},
	}
	in.Explanation = &engine.Explanation{
		Summary: "s", Note: "# n", Author: "deterministic", Took: time.Second, At: at,
		Hypotheses:      []engine.Hypothesis{{Cause: a.Subject, Statement: "st", Confidence: 0.8, Citations: []string{"E1"}}},
		Recommendations: []engine.Recommendation{{Text: "roll back", Citations: []string{"E1"}}},
		Citations:       []engine.Citation{{ID: "E1", Text: "c"}},
	}
	record(t, s, []engine.Anomaly{a}, []engine.Incident{in})

	gotAnomaly, err := s.Anomaly(t.Context(), "a-1")
	require.NoError(t, err)
	require.Equal(t, a, gotAnomaly)
	gotIncident, err := s.Incident(t.Context(), "i-1")
	require.NoError(t, err)
	require.Equal(t, in, gotIncident)

	// A time of another zone is the same instant, stated in UTC.
	b := anomalyAt("a-2", noon.In(time.FixedZone("east", 3600)))
	record(t, s, []engine.Anomaly{b}, nil)
	gotAnomaly, err = s.Anomaly(t.Context(), "a-2")
	require.NoError(t, err)
	require.Equal(t, noon, gotAnomaly.At)
}

func anomalyFilters(t *testing.T, s Store) {
	vary := func(id string, minutes int, service string, kind engine.AnomalyType, severity engine.Severity, incident string) engine.Anomaly {
		a := anomalyAt(id, noon.Add(time.Duration(minutes)*time.Minute))
		a.Service, a.Type, a.Severity, a.IncidentID = service, kind, severity, incident
		return a
	}
	record(t, s, []engine.Anomaly{
		vary("a-1", 0, "checkout", engine.LatencySpike, engine.SeverityLow, ""),
		vary("a-2", 1, "checkout", engine.ErrorRate, engine.SeverityMedium, "i-1"),
		vary("a-3", 2, "search", engine.LatencySpike, engine.SeverityHigh, "i-1"),
		vary("a-4", 3, "search", engine.ErrorRate, engine.SeverityCritical, "i-2"),
	}, nil)
	for name, test := range map[string]struct {
		query engine.AnomalyQuery
		want  []string
	}{
		"none":              {engine.AnomalyQuery{}, []string{"a-4", "a-3", "a-2", "a-1"}},
		"from is included":  {engine.AnomalyQuery{From: noon.Add(2 * time.Minute)}, []string{"a-4", "a-3"}},
		"to is excluded":    {engine.AnomalyQuery{To: noon.Add(2 * time.Minute)}, []string{"a-2", "a-1"}},
		"nanosecond":        {engine.AnomalyQuery{From: noon.Add(time.Nanosecond), To: noon.Add(time.Minute + 1)}, []string{"a-2"}},
		"time out of range": {engine.AnomalyQuery{From: time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC), To: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}, []string{"a-4", "a-3", "a-2", "a-1"}},
		"service":           {engine.AnomalyQuery{Service: "search"}, []string{"a-4", "a-3"}},
		"type":              {engine.AnomalyQuery{Type: engine.ErrorRate}, []string{"a-4", "a-2"}},
		"severity":          {engine.AnomalyQuery{MinSeverity: engine.SeverityHigh}, []string{"a-4", "a-3"}},
		"incident":          {engine.AnomalyQuery{IncidentID: "i-1"}, []string{"a-3", "a-2"}},
		"combined":          {engine.AnomalyQuery{Service: "search", Type: engine.ErrorRate, MinSeverity: engine.SeverityMedium}, []string{"a-4"}},
		"nothing matches":   {engine.AnomalyQuery{Service: "cart"}, []string{}},
		"case matters":      {engine.AnomalyQuery{Service: "Search"}, []string{}},
	} {
		require.Equal(t, test.want, anomalyIDs(t, s, test.query), name)
	}
	_, err := s.Anomalies(t.Context(), engine.AnomalyQuery{MinSeverity: "dire"})
	requireCode(t, engine.CodeInvalid, err)
}

func incidentFilters(t *testing.T, s Store) {
	vary := func(id string, minutes int, kind engine.AnomalyType, severity engine.Severity, services ...string) engine.Incident {
		in := incidentAt(id, noon.Add(time.Duration(minutes)*time.Minute)) // seen for one minute
		in.Type, in.Severity, in.Services = kind, severity, services
		return in
	}
	acknowledged := vary("i-2", 10, engine.ErrorRate, engine.SeverityMedium, "checkout", "search", "search")
	acknowledged.Status = engine.StatusAcknowledged
	record(t, s, nil, []engine.Incident{
		vary("i-1", 0, engine.LatencySpike, engine.SeverityLow, "checkout"),
		acknowledged,
		resolved(vary("i-3", 20, engine.LatencySpike, engine.SeverityCritical, "search"), noon.Add(time.Hour)),
	})
	for name, test := range map[string]struct {
		query engine.IncidentQuery
		want  []string
	}{
		"none":                     {engine.IncidentQuery{}, []string{"i-3", "i-2", "i-1"}},
		"service":                  {engine.IncidentQuery{Service: "search"}, []string{"i-3", "i-2"}},
		"type":                     {engine.IncidentQuery{Type: engine.LatencySpike}, []string{"i-3", "i-1"}},
		"severity":                 {engine.IncidentQuery{MinSeverity: engine.SeverityMedium}, []string{"i-3", "i-2"}},
		"status":                   {engine.IncidentQuery{Status: engine.StatusAcknowledged}, []string{"i-2"}},
		"overlap of the beginning": {engine.IncidentQuery{To: noon.Add(10*time.Minute + 1)}, []string{"i-2", "i-1"}},
		"overlap of the end":       {engine.IncidentQuery{From: noon.Add(11 * time.Minute)}, []string{"i-3", "i-2"}},
		"inside of its interval":   {engine.IncidentQuery{From: noon.Add(10*time.Minute + 10*time.Second), To: noon.Add(10*time.Minute + 20*time.Second)}, []string{"i-2"}},
		"between two":              {engine.IncidentQuery{From: noon.Add(2 * time.Minute), To: noon.Add(3 * time.Minute)}, []string{}},
		"combined":                 {engine.IncidentQuery{Service: "checkout", Status: engine.StatusOpen, Type: engine.LatencySpike}, []string{"i-1"}},
	} {
		require.Equal(t, test.want, incidentIDs(t, s, test.query), name)
	}
	for _, q := range []engine.IncidentQuery{{MinSeverity: "dire"}, {Status: "lost"}} {
		_, err := s.Incidents(t.Context(), q)
		requireCode(t, engine.CodeInvalid, err)
	}
}

func activeIncidents(t *testing.T, s Store) {
	acknowledged := incidentAt("i-2", noon.Add(-time.Hour))
	acknowledged.Status = engine.StatusAcknowledged
	record(t, s, nil, []engine.Incident{
		incidentAt("i-1", noon),
		acknowledged,
		resolved(incidentAt("i-3", noon.Add(time.Minute)), noon.Add(time.Hour)),
		resolved(incidentAt("i-4", noon.Add(2*time.Minute)), noon.Add(time.Hour).Add(-time.Nanosecond)),
	})
	active, err := s.ActiveIncidents(t.Context(), noon.Add(time.Hour))
	require.NoError(t, err)
	ids := []string{}
	for _, in := range active {
		ids = append(ids, in.ID)
	}
	require.ElementsMatch(t, []string{"i-1", "i-2", "i-3"}, ids)
}

func missingRecords(t *testing.T, s Store) {
	_, err := s.Incident(t.Context(), "no such")
	requireCode(t, engine.CodeNotFound, err)
	_, err = s.Anomaly(t.Context(), "no such")
	requireCode(t, engine.CodeNotFound, err)
	page, err := s.Anomalies(t.Context(), engine.AnomalyQuery{})
	require.NoError(t, err)
	require.NotNil(t, page.Items, "an empty page is [] in JSON")
	require.Empty(t, page.Next)
}

func hostileStrings(t *testing.T, s Store) {
	for i, text := range []string{
		`'; DROP TABLE incidents; --`, `"quoted" and \back\slashed`, "%_*?[]", "naïve 日本語 🙂 \u202e", "line\nbreak\ttab", " ", "-- comment", "$1 ?1 :a @b",
	} {
		a, in := anomalyAt(text, noon.Add(time.Duration(i)*time.Hour)), incidentAt(text, noon.Add(time.Duration(i)*time.Hour))
		a.Service, a.Type, a.IncidentID = text, engine.AnomalyType(text), text
		in.Services, in.Type, in.Title = []string{text}, engine.AnomalyType(text), text
		a.Reason, in.Fingerprint = "zero\x00byte", "zero\x00byte"
		record(t, s, []engine.Anomaly{a}, []engine.Incident{in})
		page, err := s.Anomalies(t.Context(), engine.AnomalyQuery{Service: text, Type: engine.AnomalyType(text), IncidentID: text})
		require.NoError(t, err)
		require.Equal(t, []engine.Anomaly{a}, page.Items, "%q", text)
		got, err := s.Incident(t.Context(), text)
		require.NoError(t, err)
		require.Equal(t, in, got)
		require.Equal(t, []string{text}, incidentIDs(t, s, engine.IncidentQuery{Service: text}), "%q", text)
		require.NoError(t, s.SaveSnapshot(t.Context(), text, noon, []byte(text)))
		data, _, err := s.LoadSnapshot(t.Context(), text)
		require.NoError(t, err)
		require.Equal(t, text, string(data))
	}
	broken := anomalyAt("broken", noon)
	broken.Reason = "not \xff utf-8"
	record(t, s, []engine.Anomaly{broken}, nil)
	got, err := s.Anomaly(t.Context(), "broken")
	require.NoError(t, err)
	require.Equal(t, "not \ufffd utf-8", got.Reason)
}
