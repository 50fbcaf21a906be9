package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// pagesAreStable inserts newer and older records between two pages: the listing that began before must show each record of
// its beginning once.
func pagesAreStable(t *testing.T, s Store) {
	const count = 25
	var want []string
	for i := range count {
		id := fmt.Sprintf("r-%02d", i)
		at := noon.Add(time.Duration(i) * time.Second)
		record(t, s, []engine.Anomaly{anomalyAt(id, at)}, []engine.Incident{incidentAt(id, at)})
		want = append([]string{id}, want...)
	}
	var anomalies, incidents []string
	aq, iq := engine.AnomalyQuery{Limit: 4}, engine.IncidentQuery{Limit: 4}
	for page := 0; ; page++ {
		a, err := s.Anomalies(t.Context(), aq)
		require.NoError(t, err)
		in, err := s.Incidents(t.Context(), iq)
		require.NoError(t, err)
		for i := range a.Items {
			anomalies = append(anomalies, a.Items[i].ID)
			incidents = append(incidents, in.Items[i].ID)
		}
		require.Equal(t, a.Next == "", in.Next == "")
		if a.Next == "" {
			break
		}
		aq.Cursor, iq.Cursor = a.Next, in.Next
		id := fmt.Sprintf("new-%02d", page)
		at := noon.Add(time.Hour + time.Duration(page)*time.Second)
		record(t, s, []engine.Anomaly{anomalyAt(id, at)}, []engine.Incident{incidentAt(id, at)})
	}
	require.Equal(t, want, anomalies)
	require.Equal(t, want, incidents)
}

func pagesWithEqualTimes(t *testing.T, s Store) {
	var want []string
	for i := range 9 {
		id := fmt.Sprintf("r-%d", i)
		record(t, s, []engine.Anomaly{anomalyAt(id, noon)}, nil)
		want = append([]string{id}, want...)
	}
	var got []string
	q := engine.AnomalyQuery{Limit: 3}
	for pages := 1; ; pages++ {
		page, err := s.Anomalies(t.Context(), q)
		require.NoError(t, err)
		for _, a := range page.Items {
			got = append(got, a.ID)
		}
		if page.Next == "" {
			require.Equal(t, 3, pages, "a full last page has no successor")
			break
		}
		q.Cursor = page.Next
	}
	require.Equal(t, want, got)
}

func badPaging(t *testing.T, s Store) {
	record(t, s, []engine.Anomaly{anomalyAt("a-1", noon)}, nil)
	for _, cursor := range []string{"x", "!!", "AAAA", "' OR 1=1", "AAAAAAAAAAA"} {
		_, err := s.Anomalies(t.Context(), engine.AnomalyQuery{Cursor: cursor})
		requireCode(t, engine.CodeInvalid, err)
		_, err = s.Incidents(t.Context(), engine.IncidentQuery{Cursor: cursor})
		requireCode(t, engine.CodeInvalid, err)
		_, err = s.Feedback(t.Context(), "", cursor, 0)
		requireCode(t, engine.CodeInvalid, err)
	}
	for _, limit := range []int{-1, 1001} {
		_, err := s.Anomalies(t.Context(), engine.AnomalyQuery{Limit: limit})
		requireCode(t, engine.CodeInvalid, err)
		_, err = s.Incidents(t.Context(), engine.IncidentQuery{Limit: limit})
		requireCode(t, engine.CodeInvalid, err)
		_, err = s.Feedback(t.Context(), "", "", limit)
		requireCode(t, engine.CodeInvalid, err)
	}
}
