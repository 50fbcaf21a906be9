package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/llm-sentinel/llm-sentinel/api/hook"
	"github.com/llm-sentinel/llm-sentinel/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	testTime  = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	testTrace = engine.TraceID{0xab, 1}
	testSpan  = engine.SpanID{0xcd, 2}
)

// backend plays everything behind the API. Fields are set before requests are made.
type backend struct {
	mu sync.Mutex

	scored    []engine.Trace
	verdict   engine.Verdict
	scoreErr  error
	scorePlug func()

	batches    []engine.Batch
	consumeErr error
	doneErr    error
	neverDone  bool

	spans      []engine.Span
	rejections []string
	decodeErr  error
	decoded    []string // "media encoding"

	anomalyQueries  []engine.AnomalyQuery
	incidentQueries []engine.IncidentQuery
	incident        engine.Incident
	listErr         error
	actions         []string
	actErr          error

	feedback []engine.Feedback

	markers     []engine.ChangeMarker // oldest first
	markerReads int
	dead        []engine.Delivery
	deadQueries []string

	health Health

	keys    map[string]engine.APIKey // by hash
	lookups int
	touched []string
	keyErr  error
}

func (b *backend) Score(_ context.Context, t engine.Trace) (engine.Verdict, error) {
	if b.scorePlug != nil {
		b.scorePlug()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.scored = append(b.scored, t)
	v := b.verdict
	v.TraceID = t.ID
	return v, b.scoreErr
}

func (b *backend) Consume(_ context.Context, batch engine.Batch) error {
	if b.consumeErr != nil {
		return b.consumeErr
	}
	b.mu.Lock()
	b.batches = append(b.batches, batch)
	b.mu.Unlock()
	if !b.neverDone {
		batch.Done(b.doneErr)
	}
	return nil
}

func (b *backend) DecodeTraces(contentType, contentEncoding string, _ []byte) ([]engine.Span, []string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.decoded = append(b.decoded, contentType+" "+contentEncoding)
	return b.spans, b.rejections, b.decodeErr
}

func (b *backend) Anomalies(_ context.Context, q engine.AnomalyQuery) (engine.Page[engine.Anomaly], error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.anomalyQueries = append(b.anomalyQueries, q)
	return engine.Page[engine.Anomaly]{Items: []engine.Anomaly{sampleAnomaly()}, Next: "next"}, b.listErr
}

func (b *backend) Incidents(_ context.Context, q engine.IncidentQuery) (engine.Page[engine.Incident], error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.incidentQueries = append(b.incidentQueries, q)
	return engine.Page[engine.Incident]{Items: []engine.Incident{b.incident}}, b.listErr
}

func (b *backend) Anomaly(_ context.Context, id string) (engine.Anomaly, error) {
	if id != sampleAnomaly().ID {
		return engine.Anomaly{}, engine.Errorf(engine.CodeNotFound, "no anomaly %s", id)
	}
	return sampleAnomaly(), nil
}

func (b *backend) Markers(_ context.Context, from, to time.Time) ([]engine.ChangeMarker, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.markerReads++
	var out []engine.ChangeMarker
	for _, m := range b.markers {
		if !m.At.Before(from) && m.At.Before(to) {
			out = append(out, m)
		}
	}
	return out, b.listErr
}

func (b *backend) DeadDeliveries(_ context.Context, cursor string, limit int) (engine.Page[engine.Delivery], error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.deadQueries = append(b.deadQueries, fmt.Sprintf("%s %d", cursor, limit))
	return engine.Page[engine.Delivery]{Items: b.dead, Next: "next"}, nil
}

func (b *backend) Redeliver(_ context.Context, alertID, receiver string, _ time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, d := range b.dead {
		if d.Alert.ID == alertID && d.Receiver == receiver {
			b.dead = slices.Delete(b.dead, i, i+1)
			return nil
		}
	}
	return engine.Errorf(engine.CodeNotFound, "no dead delivery of %s to %s", alertID, receiver)
}

func (b *backend) CountDeliveries(context.Context) (map[engine.DeliveryState]int, error) {
	return nil, nil
}

func (b *backend) Incident(_ context.Context, id string) (engine.Incident, error) {
	if id != b.incident.ID {
		return engine.Incident{}, fmt.Errorf("store: %w", engine.Errorf(engine.CodeNotFound, "no incident %s", id))
	}
	return b.incident, b.listErr
}

func (b *backend) act(what, id, by, note string) (engine.Incident, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.actions = append(b.actions, strings.Join([]string{what, id, by, note}, "|"))
	return b.incident, b.actErr
}

func (b *backend) Acknowledge(_ context.Context, id, by, note string) (engine.Incident, error) {
	return b.act("acknowledge", id, by, note)
}

func (b *backend) Resolve(_ context.Context, id, by, note string) (engine.Incident, error) {
	return b.act("resolve", id, by, note)
}

func (b *backend) Explain(_ context.Context, id string) (engine.Incident, error) {
	return b.act("explain", id, "", "")
}

func (b *backend) AddFeedback(_ context.Context, f engine.Feedback) (engine.Feedback, error) {
	if f.Incident != "" && f.Incident != b.incident.ID || f.AnomalyID != "" && f.AnomalyID != sampleAnomaly().ID {
		return engine.Feedback{}, engine.Errorf(engine.CodeNotFound, "no such thing")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	f.Expires = f.At.Add(time.Hour)
	b.feedback = append(b.feedback, f)
	return f, nil
}

func (b *backend) UndoFeedback(_ context.Context, id, keyID, by string) (engine.Feedback, error) {
	if id == "none" {
		return engine.Feedback{}, engine.Errorf(engine.CodeNotFound, "no feedback %s", id)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.actions = append(b.actions, strings.Join([]string{"undo", id, keyID, by}, "|"))
	return engine.Feedback{ID: id, Verdict: engine.TruePositive, Undone: &testTime, UndoneBy: by}, nil
}

func (b *backend) Lessons() ([]engine.Lesson, []engine.SeriesThreshold) {
	return []engine.Lesson{{ID: "lesson-1", Incident: "i-1", Verdict: engine.FalsePositive, False: 2, Quorum: 2, Teaches: true}},
		[]engine.SeriesThreshold{{Type: engine.LatencySpike, Series: engine.SeriesKey{Service: "checkout"}, Threshold: 1.25}}
}

func (b *backend) Feedback(context.Context, string, int) (engine.Page[engine.Feedback], error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return engine.Page[engine.Feedback]{Items: b.feedback}, nil
}

func (b *backend) Trends(service string) ([]engine.Topic, []engine.SeriesTrend) {
	if service == "unknown" {
		return nil, nil
	}
	return []engine.Topic{{ID: "1", Service: "checkout", Name: "refund, parcel", State: engine.TopicGrowing, FirstSeen: testTime, LastSeen: testTime}},
		[]engine.SeriesTrend{{
			Series: engine.SeriesKey{Service: "checkout"}, Detector: "latency", Unit: "s", Now: 2, Before: 1, Ratio: 2,
			Points: []engine.TrendPoint{{At: testTime, Value: 1}, {At: testTime, Value: 2}},
		}}
}

func (b *backend) Services() []engine.ServiceHealth {
	return []engine.ServiceHealth{{
		Service: "checkout", Score: 0.7, LastSeen: testTime, Spans: 812, Incidents: 1, Alpha: 0.005,
		Learning: []engine.LearningState{{Series: sampleSeries(), Detector: "latency", Learning: true, Seen: 12, Needed: 50}},
	}, {Service: "billing", Score: 1, LastSeen: testTime}}
}

func (b *backend) Health() Health { return b.health }

func (b *backend) KeyByHash(_ context.Context, hash []byte) (engine.APIKey, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lookups++
	key, ok := b.keys[string(hash)]
	if b.keyErr != nil {
		return engine.APIKey{}, b.keyErr
	}
	if !ok {
		return engine.APIKey{}, engine.Errorf(engine.CodeNotFound, "no such key")
	}
	return key, nil
}

func (b *backend) TouchKey(_ context.Context, id string, _ time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.touched = append(b.touched, id)
	return nil
}

// addKey makes a key that the backend knows.
func (b *backend) addKey(t testing.TB, name, scope string) string {
	t.Helper()
	plain, key, err := NewKey(name, scope)
	require.NoError(t, err)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.keys[string(key.Hash)] = key
	return plain
}

func (b *backend) revokeAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	for hash, key := range b.keys {
		key.Revoked = &now
		b.keys[hash] = key
	}
}

func sampleSeries() engine.SeriesKey {
	return engine.SeriesKey{Service: "checkout", Operation: engine.OpChat, Model: "gpt-4o"}
}

func sampleContribution() engine.Contribution {
	return engine.Contribution{
		Finding: engine.Finding{
			Type: engine.LatencySpike, Detector: "latency", At: testTime, Window: time.Minute, Series: sampleSeries(),
			Subject: engine.Subject{Kind: engine.SubjectModel, Value: "gpt-4o"}, TraceID: testTrace, SpanID: testSpan,
			Traces: []engine.TraceID{testTrace}, P: 0.0001, Effect: engine.Effect{Baseline: 0.9, Current: 4.2, Unit: "s"}, Material: true,
			Reason: "slow", Excerpt: "an excerpt",
			Nearest: &engine.Neighbor{Similarity: 0.4, Memo: engine.Memo{
				ID: "m1", Text: "normal", At: testTime,
				Collection: engine.Collection{Purpose: engine.PurposeNormal, Kind: engine.TextUserPrompt, Model: engine.Model{Name: "builtin", Version: "1", Dimension: 256}},
			}},
		},
		Score: 1.7, Share: 1,
	}
}

func sampleAnomaly() engine.Anomaly {
	return engine.Anomaly{
		ID: "a-1", IncidentID: "i-1", Type: engine.LatencySpike, Severity: engine.SeverityHigh, Service: "checkout", Series: sampleSeries(),
		At: testTime, Score: 1.7, P: 0.0001, Alpha: 0.005, Effect: engine.Effect{Baseline: 0.9, Current: 4.2, Unit: "s"}, TraceID: testTrace,
		Reason: "slow", Shares: []engine.Contribution{sampleContribution()},
	}
}

func sampleIncident() engine.Incident {
	resolved := testTime.Add(time.Hour)
	return engine.Incident{
		ID: "i-1", Fingerprint: "latency_spike:model:gpt-4o", Type: engine.LatencySpike, Also: []engine.AnomalyType{engine.ErrorRate},
		Severity: engine.SeverityHigh, Status: engine.StatusResolved, Title: "Latency of gpt-4o rose",
		Subject: engine.Subject{Kind: engine.SubjectModel, Value: "gpt-4o"}, Services: []string{"checkout"}, Onset: testTime, LastSeen: testTime,
		DetectedAt: testTime, ResolvedAt: &resolved, Raised: 1, Score: 1.7, Alpha: 0.005, Anomalies: 4, Users: 2,
		Effect: engine.Effect{Baseline: 0.9, Current: 4.2, Unit: "s"},
		Evidence: &engine.Evidence{
			Digest: "d", From: testTime, To: testTime, Before: testTime,
			Changes:  []engine.Change{{What: "latency p50", Series: "checkout chat gpt-4o", Effect: engine.Effect{Baseline: 0.9, Current: 4.2, Unit: "s"}}},
			Slices:   []engine.Slice{{Subject: engine.Subject{Kind: "model_version", Value: "gpt-4o-2"}, Abnormal: 4, Total: 5, New: true, FirstSeen: testTime}},
			Markers:  []engine.ChangeMarker{{ID: "c-1", At: testTime, Kind: engine.MarkerModelVersion, Service: "checkout", Version: "2"}},
			Abnormal: &engine.Example{Text: "abnormal", TraceID: testTrace}, Normal: &engine.Example{Text: "normal"}, Terms: []string{"parcel"},
			Similar: []engine.PastIncident{{ID: "i-0", Title: "before", At: testTime, Similarity: 0.9}},
		},
		Explanation: &engine.Explanation{
			Summary: "It got slow.", Note: "## What\n\nIt got **slow** [E1].", Author: "deterministic", EvidenceDigest: "d", At: testTime, Took: time.Second,
			Hypotheses:      []engine.Hypothesis{{Cause: engine.Subject{Kind: "model_version", Value: "gpt-4o-2"}, Statement: "the new version", Confidence: 0.8}},
			Recommendations: []engine.Recommendation{{Text: "roll back"}},
			Citations:       []engine.Citation{{ID: "E1", Text: "0.9 s to 4.2 s"}},
		},
		Timeline: []engine.TimelineEntry{{At: testTime, Event: "raised"}},
	}
}

func newBackend() *backend {
	return &backend{
		verdict: engine.Verdict{
			Score: 1.7, P: 0.0001, Alpha: 0.005, Anomalous: true, Severity: engine.SeverityHigh, Type: engine.LatencySpike, Reason: "slow",
			Contributions: []engine.Contribution{sampleContribution()}, Learning: []string{"novelty"},
		},
		spans: []engine.Span{
			{TraceID: testTrace, SpanID: testSpan, Service: "checkout", Start: testTime, End: testTime.Add(time.Second)},
			{TraceID: engine.TraceID{9}, SpanID: testSpan, Service: "checkout", Start: testTime, End: testTime.Add(time.Second)},
			{TraceID: testTrace, SpanID: engine.SpanID{3}, Parent: testSpan, Service: "checkout", Start: testTime, End: testTime.Add(time.Second)},
		},
		incident: sampleIncident(),
		health: Health{
			Status: HealthDegraded, Uptime: time.Minute, Version: "1.2.3", LearningSeries: 3,
			Degraded: []engine.Degradation{{Part: "ollama", Since: testTime, Reason: "connection refused"}}, Shed: map[string]uint64{"sampled": 2},
		},
		keys:    map[string]engine.APIKey{},
		markers: []engine.ChangeMarker{{ID: "c-1", At: testTime, Kind: engine.MarkerDeployment, Service: "checkout", Version: "2"}},
		dead: []engine.Delivery{{
			Alert: engine.Alert{ID: "al/1", Change: "raised", Incident: sampleIncident()}, Receiver: "pager duty", State: engine.DeliveryDead,
			Attempts: 5, Error: "400", At: testTime,
		}},
	}
}

const hookSecret = "a-secret-of-the-hooks"

func newHooks(t testing.TB) *hook.Receiver {
	t.Helper()
	cfg := hook.DefaultConfig()
	cfg.GitHub.Secret, cfg.GitLab.Secret, cfg.ArgoCD.Secret, cfg.MLflow.Secret = hookSecret, hookSecret, hookSecret, hookSecret
	receiver, err := hook.New(cfg)
	require.NoError(t, err)
	return receiver
}

// newServer makes a server over b; configure may change its configuration and parts.
func newServer(t testing.TB, b *backend, configure ...func(*Config, *Deps)) *Server {
	t.Helper()
	registry := prometheus.NewRegistry()
	cfg := DefaultConfig()
	cfg.Listen = "127.0.0.1:0"
	deps := Deps{
		Scorer: b, Sink: b, Decoder: b, Listing: b, Lifecycle: b, Feedbacks: b, Trends: b, Services: b, Health: b, Keys: b,
		OTLP: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.ReadAll(r.Body); err != nil {
				http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"partialSuccess":{}}`))
		}),
		Gatherer: registry, Registerer: registry, Markers: b, Hooks: newHooks(t), DeadLetters: b, Stream: NewHub(),
	}
	for _, f := range configure {
		f(&cfg, &deps)
	}
	s, err := New(cfg, deps, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return s
}

func public(cfg *Config, _ *Deps) { cfg.Listen = "0.0.0.0:0" }

// send makes one request of a local client. Headers are pairs.
func send(s *Server, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = "localhost:8080"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

// requireProblem checks that an answer is a well-formed problem and returns it.
func requireProblem(t testing.TB, w *httptest.ResponseRecorder, status int, code string) Problem {
	t.Helper()
	require.Equal(t, status, w.Code, w.Body.String())
	require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
	decoder := json.NewDecoder(bytes.NewReader(w.Body.Bytes()))
	decoder.DisallowUnknownFields()
	var p Problem
	require.NoError(t, decoder.Decode(&p))
	require.Equal(t, code, p.Code)
	require.Equal(t, status, p.Status)
	require.Equal(t, "urn:llm-sentinel:problem:"+code, p.Type)
	require.Equal(t, "urn:uuid:"+w.Header().Get("X-Request-Id"), p.Instance)
	require.NotEmpty(t, p.Title)
	require.NotEmpty(t, p.Detail)
	return p
}

func decode[T any](t testing.TB, w *httptest.ResponseRecorder, status int) T {
	t.Helper()
	require.Equal(t, status, w.Code, w.Body.String())
	var v T
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &v))
	return v
}

var errBroken = errors.New("disk on fire at /secret/path")
