package storetest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func markers(t *testing.T, s Store) {
	first := engine.ChangeMarker{
		ID: "c-1", At: noon, Kind: engine.MarkerModelVersion, Service: "checkout", Subject: "m-1", Version: "2", Previous: "1",
		Description: "said the pipeline", Source: "ci",
	}
	second := engine.ChangeMarker{ID: "c-2", At: noon.Add(-time.Minute), Kind: engine.MarkerRollback, Service: "search"}
	require.NoError(t, s.AddMarkers(t.Context(), []engine.ChangeMarker{first, second}))

	again := first
	again.Version = "3"
	require.NoError(t, s.AddMarkers(t.Context(), []engine.ChangeMarker{again}), "a known id changes nothing")
	got, err := s.Markers(t.Context(), noon.Add(-time.Hour), noon.Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, []engine.ChangeMarker{second, first}, got)

	got, err = s.Markers(t.Context(), noon.Add(-time.Minute), noon)
	require.NoError(t, err)
	require.Equal(t, []engine.ChangeMarker{second}, got, "from is included, to is not")

	err = s.AddMarkers(t.Context(), []engine.ChangeMarker{{ID: "c-3", At: noon}, {At: noon}})
	requireCode(t, engine.CodeInvalid, err)
	got, err = s.Markers(t.Context(), noon, noon.Add(1))
	require.NoError(t, err)
	require.Len(t, got, 1, "all or none")
	require.NoError(t, s.AddMarkers(t.Context(), nil))
}

func feedbackIsUndone(t *testing.T, s Store) {
	f := feedbackAt("f-1", noon)
	require.NoError(t, s.AddFeedback(t.Context(), f))
	require.NoError(t, s.AddFeedback(t.Context(), feedbackAt("f-2", noon)))
	at := noon.Add(time.Minute)
	f.Undone, f.UndoneBy = &at, "grace"
	got, err := s.UndoFeedback(t.Context(), "f-1", at.In(time.FixedZone("", 3600)), "grace")
	require.NoError(t, err)
	require.Equal(t, f, got)
	got, err = s.UndoFeedback(t.Context(), "f-1", at.Add(time.Hour), "ada")
	require.NoError(t, err)
	require.Equal(t, f, got, "it was taken back before")
	page, err := s.Feedback(t.Context(), "", "", 0)
	require.NoError(t, err)
	require.Equal(t, []engine.Feedback{feedbackAt("f-2", noon), f}, page.Items, "it is listed as taken back, the other one stands")

	_, err = s.UndoFeedback(t.Context(), "f-3", at, "ada")
	requireCode(t, engine.CodeNotFound, err)
	require.NoError(t, s.AddFeedback(t.Context(), feedbackAt("f-1", noon)), "a repeated call")
	page, err = s.Feedback(t.Context(), "i-1", "", 0)
	require.NoError(t, err)
	require.Equal(t, f, page.Items[1], "brings nothing back")
}

func feedback(t *testing.T, s Store) {
	first, second := feedbackAt("f-1", noon), feedbackAt("f-2", noon.Add(time.Minute))
	second.AnomalyID, second.Incident, second.Verdict, second.Comment = "a-1", "", "false_positive", "it's \"fine\""
	require.NoError(t, s.AddFeedback(t.Context(), first))
	require.NoError(t, s.AddFeedback(t.Context(), second))

	again := first
	again.Verdict = "false_positive"
	require.NoError(t, s.AddFeedback(t.Context(), again), "a repeated call does no harm")

	page, err := s.Feedback(t.Context(), "", "", 0)
	require.NoError(t, err)
	require.Equal(t, []engine.Feedback{second, first}, page.Items)
	page, err = s.Feedback(t.Context(), "i-1", "", 0)
	require.NoError(t, err)
	require.Equal(t, []engine.Feedback{first}, page.Items)

	page, err = s.Feedback(t.Context(), "", "", 1)
	require.NoError(t, err)
	require.Equal(t, []engine.Feedback{second}, page.Items)
	page, err = s.Feedback(t.Context(), "", page.Next, 1)
	require.NoError(t, err)
	require.Equal(t, []engine.Feedback{first}, page.Items)
	require.Empty(t, page.Next)

	for name, change := range map[string]func(*engine.Feedback){
		"id":      func(f *engine.Feedback) { f.ID = "" },
		"subject": func(f *engine.Feedback) { f.Incident = "" },
		"verdict": func(f *engine.Feedback) { f.Verdict = "maybe" },
	} {
		f := feedbackAt("f-3", noon)
		change(&f)
		require.Equal(t, engine.CodeInvalid, engine.ErrorCode(s.AddFeedback(t.Context(), f)), name)
	}
}

func snapshots(t *testing.T, s Store) {
	_, _, err := s.LoadSnapshot(t.Context(), "baselines")
	requireCode(t, engine.CodeNotFound, err)

	large := make([]byte, 8<<20)
	source := rand.NewChaCha8([32]byte{1})
	_, err = source.Read(large)
	require.NoError(t, err)
	require.NoError(t, s.SaveSnapshot(t.Context(), "baselines", noon, []byte("first")))
	require.NoError(t, s.SaveSnapshot(t.Context(), "baselines", noon.Add(time.Minute), large))
	require.NoError(t, s.SaveSnapshot(t.Context(), "other", noon, nil))

	data, at, err := s.LoadSnapshot(t.Context(), "baselines")
	require.NoError(t, err)
	require.True(t, bytes.Equal(large, data), "the latest snapshot comes back byte for byte")
	require.Equal(t, noon.Add(time.Minute), at)
	data, at, err = s.LoadSnapshot(t.Context(), "other")
	require.NoError(t, err)
	require.Empty(t, data)
	require.Equal(t, noon, at)

	requireCode(t, engine.CodeInvalid, s.SaveSnapshot(t.Context(), "", noon, []byte("x")))
}

func keys(t *testing.T, s Store) {
	hash := func(secret string) []byte {
		sum := sha256.Sum256([]byte(secret))
		return sum[:]
	}
	first := engine.APIKey{ID: "k-1", Name: "collector", Hash: hash("one"), Scope: engine.ScopeIngest, Created: noon}
	second := engine.APIKey{ID: "k-2", Name: "board", Hash: hash("two"), Scope: engine.ScopeRead, Created: noon.Add(time.Minute)}
	require.NoError(t, s.CreateKey(t.Context(), second))
	require.NoError(t, s.CreateKey(t.Context(), first))

	got, err := s.KeyByHash(t.Context(), hash("one"))
	require.NoError(t, err)
	require.Equal(t, first, got)
	_, err = s.KeyByHash(t.Context(), hash("three"))
	requireCode(t, engine.CodeNotFound, err)
	_, err = s.KeyByHash(t.Context(), nil)
	requireCode(t, engine.CodeNotFound, err)
	all, err := s.Keys(t.Context())
	require.NoError(t, err)
	require.Equal(t, []engine.APIKey{first, second}, all)

	used, revoked := noon.Add(time.Hour), noon.Add(2*time.Hour)
	require.NoError(t, s.TouchKey(t.Context(), "k-1", used))
	require.NoError(t, s.TouchKey(t.Context(), "k-1", used.Add(-time.Minute)), "an earlier use comes in late")
	require.NoError(t, s.RevokeKey(t.Context(), "k-1", revoked))
	require.NoError(t, s.RevokeKey(t.Context(), "k-1", revoked.Add(time.Hour)), "revoked already: the first time stands")
	got, err = s.KeyByHash(t.Context(), hash("one"))
	require.NoError(t, err)
	require.Equal(t, &used, got.LastUsed)
	require.Equal(t, &revoked, got.Revoked)

	requireCode(t, engine.CodeNotFound, s.RevokeKey(t.Context(), "k-9", noon))
	requireCode(t, engine.CodeNotFound, s.TouchKey(t.Context(), "k-9", noon))

	sameID, sameHash := first, first
	sameID.Hash, sameHash.ID = hash("four"), "k-4"
	requireCode(t, engine.CodeConflict, s.CreateKey(t.Context(), sameID))
	requireCode(t, engine.CodeConflict, s.CreateKey(t.Context(), sameHash))
	for name, change := range map[string]func(*engine.APIKey){
		"id":    func(k *engine.APIKey) { k.ID = "" },
		"hash":  func(k *engine.APIKey) { k.Hash = []byte("short") },
		"scope": func(k *engine.APIKey) { k.Scope = "root" },
	} {
		k := engine.APIKey{ID: "k-5", Hash: hash("five"), Scope: engine.ScopeAdmin, Created: noon}
		change(&k)
		require.Equal(t, engine.CodeInvalid, engine.ErrorCode(s.CreateKey(t.Context(), k)), name)
	}
}

func prune(t *testing.T, s Store) {
	old, young := noon.Add(-time.Hour), noon
	record(t, s, []engine.Anomaly{anomalyAt("a-old", old), anomalyAt("a-young", young)}, []engine.Incident{
		resolved(incidentAt("i-old", old.Add(-time.Hour)), old),
		resolved(incidentAt("i-young", old.Add(-time.Hour)), young),
		incidentAt("i-open", old.Add(-time.Hour)),
	})
	require.NoError(t, s.AddFeedback(t.Context(), feedbackAt("f-old", old)))
	require.NoError(t, s.AddFeedback(t.Context(), feedbackAt("f-young", young)))
	require.NoError(t, s.AddMarkers(t.Context(), []engine.ChangeMarker{{ID: "c-old", At: old}, {ID: "c-young", At: young}}))
	require.NoError(t, s.SaveSnapshot(t.Context(), "baselines", old, []byte("state")))
	require.NoError(t, s.Defer(t.Context(), deferred(1)))

	deleted, err := s.Prune(t.Context(), noon)
	require.NoError(t, err)
	require.Equal(t, 4, deleted)
	require.Equal(t, []string{"a-young"}, anomalyIDs(t, s, engine.AnomalyQuery{}))
	require.ElementsMatch(t, []string{"i-young", "i-open"}, incidentIDs(t, s, engine.IncidentQuery{}))
	require.ElementsMatch(t, []string{"i-young", "i-open"}, incidentIDs(t, s, engine.IncidentQuery{Service: "checkout"}))
	page, err := s.Feedback(t.Context(), "", "", 0)
	require.NoError(t, err)
	require.Len(t, page.Items, 1)
	left, err := s.Markers(t.Context(), old, noon.Add(time.Hour))
	require.NoError(t, err)
	require.Len(t, left, 1)
	_, _, err = s.LoadSnapshot(t.Context(), "baselines")
	require.NoError(t, err, "snapshots stay")
	waiting, err := s.NextDeferred(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, waiting, 1, "the backlog stays")

	deleted, err = s.Prune(t.Context(), noon)
	require.NoError(t, err)
	require.Zero(t, deleted)
}

func deferred(n byte) engine.Deferred {
	id := engine.TraceID{n}
	return engine.Deferred{
		Trace: engine.NewTrace(id, []engine.Span{
			{TraceID: id, SpanID: engine.SpanID{1}, Name: fmt.Sprintf("run %d", n), Service: "checkout", Start: noon, End: noon.Add(time.Second)},
		}),
		Findings: []engine.Finding{{Type: engine.LatencySpike, Detector: "latency", At: noon, P: 0.001, Reason: "slow"}},
	}
}

func backlogOrder(t *testing.T, s Store) {
	none, err := s.NextDeferred(t.Context(), 10)
	require.NoError(t, err)
	require.Empty(t, none)

	order := []byte{7, 3, 9, 1}
	for _, n := range order {
		require.NoError(t, s.Defer(t.Context(), deferred(n)))
	}
	names := func(n int) []string {
		waiting, err := s.NextDeferred(t.Context(), n)
		require.NoError(t, err)
		out := []string{}
		for _, d := range waiting {
			out = append(out, d.Trace.Spans[0].Name)
		}
		return out
	}
	require.Equal(t, []string{"run 7", "run 3"}, names(2))
	require.Equal(t, []string{"run 7", "run 3"}, names(2), "reading does not remove")
	require.Empty(t, names(0))

	amended := deferred(3)
	amended.Trace.Spans[0].Name = "run 3 amended"
	require.NoError(t, s.Defer(t.Context(), amended))
	require.Equal(t, []string{"run 7", "run 3 amended", "run 9", "run 1"}, names(10), "a trace that waits keeps its place")

	require.NoError(t, s.FinishDeferred(t.Context(), []engine.TraceID{{7}, {9}, {200}}))
	require.NoError(t, s.FinishDeferred(t.Context(), nil))
	require.Equal(t, []string{"run 3 amended", "run 1"}, names(10))
	require.NoError(t, s.Defer(t.Context(), deferred(7)))
	require.Equal(t, []string{"run 3 amended", "run 1", "run 7"}, names(10))

	requireCode(t, engine.CodeInvalid, s.Defer(t.Context(), engine.Deferred{}))
	requireCode(t, engine.CodeInvalid, s.Defer(t.Context(), engine.Deferred{Trace: engine.Trace{ID: engine.TraceID{1}, Root: -1}}))
	_, err = s.NextDeferred(t.Context(), -1)
	requireCode(t, engine.CodeInvalid, err)
}

func backlogRestoresTrace(t *testing.T, s Store) {
	id := engine.TraceID{5}
	child := engine.Span{TraceID: id, SpanID: engine.SpanID{2}, Parent: engine.SpanID{1}, Name: "chat", Start: noon, End: noon.Add(time.Second)}
	child.Input = []engine.Message{{Role: "user", Parts: []engine.Part{{Kind: engine.PartText, Text: "hello <b>&\u2028"}}}}
	root := engine.Span{TraceID: id, SpanID: engine.SpanID{1}, Name: "run", Start: noon.Add(time.Millisecond), End: noon.Add(time.Second)}
	whole := engine.Deferred{Trace: engine.NewTrace(id, []engine.Span{child, root})}
	whole.Trace.Late = true
	require.Equal(t, 1, whole.Trace.Root)
	rootless := engine.Deferred{Trace: engine.NewTrace(engine.TraceID{6}, []engine.Span{child})}
	require.Equal(t, -1, rootless.Trace.Root)
	require.NoError(t, s.Defer(t.Context(), whole))
	require.NoError(t, s.Defer(t.Context(), rootless))

	waiting, err := s.NextDeferred(t.Context(), 10)
	require.NoError(t, err)
	require.Equal(t, []engine.Deferred{whole, rootless}, waiting)
}
