package api

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func TestMarkersArePaged(t *testing.T) {
	b := newBackend()
	b.markers = nil
	var want []string // newest first
	for i := range 40 {
		at := testTime.Add(-time.Duration(40-i) / 4 * 100 * time.Hour) // four at an instant, and long pauses
		service := []string{"checkout", "billing", ""}[i%3]
		b.markers = append(b.markers, engine.ChangeMarker{ID: fmt.Sprintf("c-%02d", i), At: at, Kind: engine.MarkerDeployment, Service: service, Version: "1"})
		if service != "billing" {
			want = append([]string{b.markers[i].ID}, want...)
		}
	}
	s := newServer(t, b)
	for _, limit := range []int{1, 3, 7, 1000} {
		var got []string
		query := url.Values{"service": {"checkout"}, "limit": {fmt.Sprint(limit)}, "from": {"2025-01-01T00:00:00Z"}, "to": {"2026-02-01T00:00:00Z"}}
		for {
			page := decode[engine.Page[engine.ChangeMarker]](t, send(s, "GET", "/api/v1/markers?"+query.Encode(), ""), http.StatusOK)
			require.LessOrEqual(t, len(page.Items), limit)
			for _, m := range page.Items {
				got = append(got, m.ID)
			}
			if page.Next == "" {
				break
			}
			query.Set("cursor", page.Next)
		}
		require.Equal(t, want, got, "%d a page; changes of no service concern every one", limit)
	}
}

func TestMarkersReadLittle(t *testing.T) {
	b := newBackend()
	s := newServer(t, b)
	page := decode[engine.Page[engine.ChangeMarker]](t, send(s, "GET", "/api/v1/markers?from=1990-01-01T00:00:00Z&to=2026-02-01T00:00:00Z", ""), http.StatusOK)
	require.Len(t, page.Items, 1)
	require.Less(t, b.markerReads, 20, "steps double")

	b.markers = nil
	page = decode[engine.Page[engine.ChangeMarker]](t, send(s, "GET", "/api/v1/markers", ""), http.StatusOK)
	require.NotNil(t, page.Items)
}

func TestMarkersRefuseBadQueries(t *testing.T) {
	s := newServer(t, newBackend())
	for query, field := range map[string]string{
		"kind=deployment": "kind", "limit=0": "limit", "from=x": "from", "cursor=abc": "cursor", "cursor=e30": "cursor",
		"from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z": "to",
	} {
		require.Equal(t, field, requireProblem(t, send(s, "GET", "/api/v1/markers?"+query, ""), http.StatusBadRequest, "invalid").Field, query)
	}
	without := newServer(t, newBackend(), func(_ *Config, d *Deps) { d.Markers = nil })
	requireProblem(t, send(without, "GET", "/api/v1/markers", ""), http.StatusNotFound, "not_found")
}

// Who reads what happened to an incident sees what changed before it.
func TestTimelineHasTheChanges(t *testing.T) {
	b := newBackend()
	b.incident.Evidence.Markers = []engine.ChangeMarker{
		{ID: "c-1", At: testTime.Add(-time.Minute), Kind: engine.MarkerModelVersion, Service: "checkout", Subject: "gpt-4o", Version: "2", Previous: "1", Description: "d", Source: "mlflow"},
		{ID: "c-2", At: testTime.Add(time.Hour), Kind: engine.MarkerRollback, Version: "1"},
	}
	in := decode[engine.Incident](t, send(newServer(t, b), "GET", "/api/v1/incidents/i-1", ""), http.StatusOK)
	require.Equal(t, []engine.TimelineEntry{
		{At: testTime.Add(-time.Minute), Event: "model_version", By: "mlflow", Note: "checkout gpt-4o 2, before 1: d"},
		{At: testTime, Event: "raised"},
		{At: testTime.Add(time.Hour), Event: "rollback", Note: "1"},
	}, in.Timeline)
	require.Len(t, b.incident.Timeline, 1, "what is stored stays as it is")
}
