package storetest

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// bytesThatAreNoText puts NUL and invalid UTF-8, which some databases refuse, everywhere that a text from outside can come to.
// They are kept as far as JSON can, can be asked for, and never are an internal error.
func bytesThatAreNoText(t *testing.T, s Store) {
	const nul, broken, mended = "a\x00b", "c\xff\xed\xa0\x80d", "c\ufffd\ufffd\ufffd\ufffdd"

	for i, text := range []string{nul, broken} {
		id := fmt.Sprint(i)
		a, in := anomalyAt(id, noon), incidentAt(id, noon)
		a.Service, a.Type, a.IncidentID, a.Reason = text, engine.AnomalyType(text), text, text
		in.Services, in.Type, in.Title = []string{text, text}, engine.AnomalyType(text), text
		record(t, s, []engine.Anomaly{a}, []engine.Incident{in})
		require.Equal(t, []string{id}, anomalyIDs(t, s, engine.AnomalyQuery{Service: text, Type: a.Type, IncidentID: text}), "%q", text)
		require.Equal(t, []string{id}, incidentIDs(t, s, engine.IncidentQuery{Service: text, Type: in.Type}), "%q", text)
		got, err := s.Incident(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, map[string]string{nul: nul, broken: mended}[text], got.Title)

		f := feedbackAt(id, noon)
		f.Incident, f.Comment = text, text
		require.NoError(t, s.AddFeedback(t.Context(), f))
		page, err := s.Feedback(t.Context(), text, "", 0)
		require.NoError(t, err)
		require.Len(t, page.Items, 1, "%q", text)

		require.NoError(t, s.AddMarkers(t.Context(), []engine.ChangeMarker{{ID: id, At: noon, Service: text, Description: text}}))
		d := deferred(byte(1 + i))
		d.Trace.Spans[0].Name = text
		require.NoError(t, s.Defer(t.Context(), d))
	}
	markers, err := s.Markers(t.Context(), noon, noon.Add(1))
	require.NoError(t, err)
	require.Len(t, markers, 2)
	require.Equal(t, nul, markers[0].Description)
	waiting, err := s.NextDeferred(t.Context(), 2)
	require.NoError(t, err)
	require.Equal(t, nul, waiting[0].Trace.Spans[0].Name)
	require.Equal(t, mended, waiting[1].Trace.Spans[0].Name)

	hash := sha256.Sum256([]byte("secret"))
	for _, id := range []string{nul, broken} {
		requireCode(t, engine.CodeInvalid, s.Record(t.Context(), engine.Entry{Anomalies: []engine.Anomaly{anomalyAt(id, noon)}}))
		requireCode(t, engine.CodeInvalid, s.Record(t.Context(), engine.Entry{Incidents: []engine.Incident{incidentAt(id, noon)}}))
		requireCode(t, engine.CodeInvalid, s.AddFeedback(t.Context(), feedbackAt(id, noon)))
		requireCode(t, engine.CodeInvalid, s.AddMarkers(t.Context(), []engine.ChangeMarker{{ID: id, At: noon}}))
		requireCode(t, engine.CodeInvalid, s.SaveSnapshot(t.Context(), id, noon, nil))
		requireCode(t, engine.CodeInvalid, s.CreateKey(t.Context(), engine.APIKey{ID: id, Hash: hash[:], Scope: engine.ScopeRead, Created: noon}))
		requireCode(t, engine.CodeInvalid, s.CreateKey(t.Context(), engine.APIKey{ID: "k", Name: id, Hash: hash[:], Scope: engine.ScopeRead, Created: noon}))

		_, err := s.Anomaly(t.Context(), id)
		requireCode(t, engine.CodeNotFound, err)
		_, err = s.Incident(t.Context(), id)
		requireCode(t, engine.CodeNotFound, err)
		_, _, err = s.LoadSnapshot(t.Context(), id)
		requireCode(t, engine.CodeNotFound, err)
		requireCode(t, engine.CodeNotFound, s.RevokeKey(t.Context(), id, noon))
		requireCode(t, engine.CodeNotFound, s.TouchKey(t.Context(), id, noon))
		cursor := base64.RawURLEncoding.EncodeToString([]byte("12345678" + id))
		_, err = s.Anomalies(t.Context(), engine.AnomalyQuery{Cursor: cursor})
		requireCode(t, engine.CodeInvalid, err)
	}
}
