package storetest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func concurrentUse(t *testing.T, s Store) {
	const writers, each = 4, 15
	var wg sync.WaitGroup
	errs := make(chan error, 4*writers*each)
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				id := fmt.Sprintf("%d-%d", w, i)
				at := noon.Add(time.Duration(i) * time.Second)
				errs <- s.Record(t.Context(), engine.Entry{
					Anomalies: []engine.Anomaly{anomalyAt(id, at)},
					Incidents: []engine.Incident{incidentAt(id, at), incidentAt("shared", noon)},
				})
				errs <- s.AddFeedback(t.Context(), feedbackAt(id, at))
			}
		})
		wg.Go(func() {
			for range each {
				page, err := s.Incidents(t.Context(), engine.IncidentQuery{Service: "checkout"})
				errs <- err
				anomalies, err := s.Anomalies(t.Context(), engine.AnomalyQuery{Limit: 1000})
				if err == nil && len(page.Items) > 0 && len(anomalies.Items)+1 < len(page.Items) {
					err = fmt.Errorf("%d incidents but %d anomalies: half an entry was visible", len(page.Items), len(anomalies.Items))
				}
				errs <- err
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	require.Len(t, anomalyIDs(t, s, engine.AnomalyQuery{Limit: 1000}), writers*each)
	require.Len(t, incidentIDs(t, s, engine.IncidentQuery{Limit: 1000}), writers*each+1)
}

// overlappingEntries saves the same records in opposite orders: writers that wait for each other must not wait for ever.
func overlappingEntries(t *testing.T, s Store) {
	const writers, rounds, records = 4, 10, 8
	var wg sync.WaitGroup
	errs := make(chan error, writers*rounds)
	for w := range writers {
		wg.Go(func() {
			for range rounds {
				var e engine.Entry
				for i := range records {
					if w%2 == 1 {
						i = records - 1 - i
					}
					id := fmt.Sprint(i)
					e.Anomalies = append(e.Anomalies, anomalyAt(id, noon))
					e.Incidents = append(e.Incidents, incidentAt(id, noon))
				}
				errs <- s.Record(t.Context(), e)
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	require.Len(t, anomalyIDs(t, s, engine.AnomalyQuery{}), records)
	require.Len(t, incidentIDs(t, s, engine.IncidentQuery{Service: "checkout"}), records)
}

func cancelledCalls(t *testing.T, s Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := s.Record(ctx, engine.Entry{Anomalies: []engine.Anomaly{anomalyAt("a-1", noon)}})
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.Anomalies(ctx, engine.AnomalyQuery{})
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, anomalyIDs(t, s, engine.AnomalyQuery{}))
}

func survivesReopen(t *testing.T, s Store, reopen func(*testing.T, Store) Store) {
	a, in, f, d := anomalyAt("a-1", noon), incidentAt("i-1", noon), feedbackAt("f-1", noon), deferred(1)
	m := engine.ChangeMarker{ID: "c-1", At: noon, Kind: engine.MarkerDeployment, Service: "checkout"}
	hash := sha256.Sum256([]byte("secret"))
	k := engine.APIKey{ID: "k-1", Name: "n", Hash: hash[:], Scope: engine.ScopeAdmin, Created: noon}
	record(t, s, []engine.Anomaly{a}, []engine.Incident{in})
	require.NoError(t, s.AddFeedback(t.Context(), f))
	require.NoError(t, s.AddMarkers(t.Context(), []engine.ChangeMarker{m}))
	require.NoError(t, s.CreateKey(t.Context(), k))
	require.NoError(t, s.Defer(t.Context(), d))
	require.NoError(t, s.SaveSnapshot(t.Context(), "baselines", noon, []byte("state")))

	s = reopen(t, s)
	gotAnomaly, err := s.Anomaly(t.Context(), "a-1")
	require.NoError(t, err)
	require.Equal(t, a, gotAnomaly)
	gotIncident, err := s.Incident(t.Context(), "i-1")
	require.NoError(t, err)
	require.Equal(t, in, gotIncident)
	page, err := s.Feedback(t.Context(), "", "", 0)
	require.NoError(t, err)
	require.Equal(t, []engine.Feedback{f}, page.Items)
	gotMarkers, err := s.Markers(t.Context(), noon, noon.Add(1))
	require.NoError(t, err)
	require.Equal(t, []engine.ChangeMarker{m}, gotMarkers)
	gotKey, err := s.KeyByHash(t.Context(), hash[:])
	require.NoError(t, err)
	require.Equal(t, k, gotKey)
	waiting, err := s.NextDeferred(t.Context(), 2)
	require.NoError(t, err)
	require.Equal(t, []engine.Deferred{d}, waiting)
	data, at, err := s.LoadSnapshot(t.Context(), "baselines")
	require.NoError(t, err)
	require.Equal(t, []byte("state"), data)
	require.Equal(t, noon, at)
}
