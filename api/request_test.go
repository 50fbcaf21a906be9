package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func TestDetectDescribesOneSpan(t *testing.T) {
	b := newBackend()
	w := send(newServer(t, b), "POST", "/api/v1/detect", `{
		"metrics": {"latency_ms": 1500, "input_tokens": 12, "output_tokens": 34, "cost": 0.5, "error": 1, "time_to_first_chunk_ms": 250},
		"context": {"service": "checkout", "operation": "chat", "model": "gpt-4o", "provider": "openai", "user": "u", "tenant": "t",
			"api_key": "k", "agent": "a", "tool": "x", "region": "eu", "prompt": "hello", "response": "hi"}}`)
	response := decode[map[string]any](t, w, http.StatusOK)
	require.Equal(t, true, response["is_anomaly"])
	require.Equal(t, 1.7, response["score"])
	require.Equal(t, "slow", response["explanation"])
	require.Len(t, response["contributions"], 1)

	require.Len(t, b.scored, 1)
	trace := b.scored[0]
	require.Equal(t, 0, trace.Root)
	require.False(t, trace.ID.IsZero())
	require.Len(t, trace.Spans, 1)
	span := trace.Spans[0]
	require.Equal(t, 1500*time.Millisecond, span.Duration())
	require.Equal(t, engine.Usage{Input: 12, Output: 34, Cost: 0.5}, span.Usage)
	require.True(t, span.Failed)
	require.Equal(t, 250*time.Millisecond, span.TimeToFirstChunk)
	require.Equal(t, []string{"checkout", "chat", "gpt-4o", "openai", "u", "t", "k", "a", "x", "eu"}, []string{
		span.Service, string(span.Operation), span.Model, span.Provider, span.User, span.Tenant, span.APIKey, span.Agent.Name, span.Tool.Name, span.Region,
	})
	require.Equal(t, "hello", span.Input[0].Text())
	require.Equal(t, "hi", span.Output[0].Text())
}

func TestDetectFillsInWhatIsLeftOut(t *testing.T) {
	b := newBackend()
	s := newServer(t, b)
	send(s, "POST", "/api/v1/detect", `{"metrics":{"latency_seconds":2}}`)
	send(s, "POST", "/api/v1/detect", `{"context":{"tool":"search","prompt":"x"}}`)
	require.Len(t, b.scored, 2)
	require.Equal(t, "unknown_service", b.scored[0].Spans[0].Service)
	require.Equal(t, engine.OpChat, b.scored[0].Spans[0].Operation)
	require.Equal(t, 2*time.Second, b.scored[0].Spans[0].Duration())
	require.Equal(t, engine.OpExecuteTool, b.scored[1].Spans[0].Operation)
	require.NotEqual(t, b.scored[0].ID, b.scored[1].ID)
}

// Bodies that people get wrong and bodies that attackers send: each is told what is wrong, and nothing is scored.
func TestDetectRefuses(t *testing.T) {
	for _, tt := range []struct{ name, body, field string }{
		{"unknown metric", `{"metrics":{"latency":1}}`, "metrics.latency"},
		{"negative", `{"metrics":{"cost":-1}}`, "metrics.cost"},
		{"NaN as text", `{"metrics":{"cost":"NaN"}}`, "metrics.cost"},
		{"NaN", `{"metrics":{"cost":NaN}}`, ""},
		{"beyond a float", `{"metrics":{"cost":1e999}}`, "metrics.cost"},
		{"null", `{"metrics":{"cost":null}}`, "metrics.cost"},
		{"object", `{"metrics":{"cost":{}}}`, "metrics.cost"},
		{"half a token", `{"metrics":{"input_tokens":1.5}}`, "metrics.input_tokens"},
		{"too many tokens", `{"metrics":{"output_tokens":1e18}}`, "metrics.output_tokens"},
		{"too long", `{"metrics":{"latency_seconds":1e12}}`, "metrics.latency_seconds"},
		{"too costly", `{"metrics":{"cost":1e300}}`, "metrics.cost"},
		{"two latencies", `{"metrics":{"latency_ms":1,"latency_seconds":1}}`, "metrics.latency_ms"},
		{"error that is neither", `{"metrics":{"error":0.5}}`, "metrics.error"},
		{"nothing to judge", `{"context":{"service":"x"}}`, "metrics"},
		{"null body", `null`, "metrics"},
		{"unknown field", `{"metrics":{"cost":1},"debug":true}`, "debug"},
		{"unknown context", `{"context":{"pormpt":"x"}}`, "pormpt"},
		{"wrong type", `{"context":{"service":1}}`, "context.service"},
		{"long name", `{"metrics":{"cost":1},"context":{"service":"` + strings.Repeat("s", 257) + `"}}`, "context.service"},
		{"NUL", `{"context":{"prompt":"a\u0000b"}}`, "context.prompt"},
		{"array", `[]`, ""},
		{"two values", `{"metrics":{"cost":1}}{}`, ""},
		{"cut off", `{"metrics":{"cost":1}`, ""},
		{"empty", ` `, ""},
		{"not JSON", `cost=1`, ""},
		{"deep", strings.Repeat(`{"metrics":`, 20000), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBackend()
			p := requireProblem(t, send(newServer(t, b), "POST", "/api/v1/detect", tt.body), http.StatusBadRequest, "invalid")
			require.Equal(t, tt.field, p.Field)
			require.Empty(t, b.scored)
		})
	}
}

func TestBodiesAreBounded(t *testing.T) {
	b := newBackend()
	s := newServer(t, b, func(c *Config, _ *Deps) { c.MaxJSONBytes, c.MaxBodyBytes = 100, 200 })
	requireProblem(t, send(s, "POST", "/api/v1/detect", strings.Repeat(" ", 101)), http.StatusRequestEntityTooLarge, "too_large")
	requireProblem(t, send(s, "POST", "/api/v1/feedback", strings.Repeat("x", 101)), http.StatusRequestEntityTooLarge, "too_large")
	requireProblem(t, send(s, "POST", "/api/v1/traces", strings.Repeat("x", 201)), http.StatusRequestEntityTooLarge, "too_large")
	require.Equal(t, http.StatusRequestEntityTooLarge, send(s, "POST", "/v1/traces", strings.Repeat("x", 201)).Code)
	require.Equal(t, http.StatusOK, send(s, "POST", "/v1/traces", strings.Repeat("x", 200)).Code)
	require.Empty(t, b.decoded)

	// A body that does not state its length is cut off all the same.
	r := httptest.NewRequest("POST", "/api/v1/detect", strings.NewReader(strings.Repeat(" ", 101)))
	r.Host, r.ContentLength = "localhost", -1
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	requireProblem(t, w, http.StatusRequestEntityTooLarge, "too_large")
}

func TestTracesAreJudgedOneByOne(t *testing.T) {
	b := newBackend()
	b.rejections = []string{"span 1: no trace id", "span 2: ends before it starts", "3", "4", "5", "6", "7"}
	w := send(newServer(t, b), "POST", "/api/v1/traces", "x", "Content-Type", "application/x-protobuf; q=1", "Content-Encoding", "GZIP")
	response := decode[tracesResponse](t, w, http.StatusOK)
	require.Equal(t, []string{"application/x-protobuf gzip"}, b.decoded)
	require.Len(t, response.Traces, 2)
	require.Equal(t, testTrace, response.Traces[0].TraceID)
	require.Equal(t, 7, response.Rejected)
	require.Equal(t, "span 1: no trace id; span 2: ends before it starts; 3; 4; 5; and 2 more", response.Message)
	require.Len(t, b.scored, 2)
	require.Len(t, b.scored[0].Spans, 2, "spans of one trace are judged together")
	require.Equal(t, 0, b.scored[0].Root)
	require.Empty(t, b.batches, "judging does not feed the engine")
}

func TestTracesRefuses(t *testing.T) {
	b := newBackend()
	s := newServer(t, b)
	requireProblem(t, send(s, "POST", "/api/v1/traces", "x", "Content-Type", "text/plain"), http.StatusUnsupportedMediaType, "unsupported_media_type")
	requireProblem(t, send(s, "POST", "/api/v1/traces", "x", "Content-Encoding", "br"), http.StatusUnsupportedMediaType, "unsupported_media_type")
	require.Empty(t, b.decoded)

	b.spans = nil
	require.Equal(t, "{\"traces\":[],\"rejected\":0}", send(s, "POST", "/api/v1/traces", "{}").Body.String())

	b.spans = make([]engine.Span, maxTraces+1)
	for i := range b.spans {
		b.spans[i].TraceID = engine.TraceID{1, byte(i), byte(i >> 8)}
	}
	requireProblem(t, send(s, "POST", "/api/v1/traces", "{}"), http.StatusRequestEntityTooLarge, "too_large")

	b.decodeErr = engine.Errorf(engine.CodeInvalid, "otlp: not a trace request")
	p := requireProblem(t, send(s, "POST", "/api/v1/traces", "{}"), http.StatusBadRequest, "invalid")
	require.Equal(t, "otlp: not a trace request", p.Detail)
	require.Empty(t, b.scored)
}

func TestListingsPassTheQueryOn(t *testing.T) {
	b := newBackend()
	s := newServer(t, b)
	send(s, "GET", "/api/v1/anomalies?from=2026-01-01T00:00:00%2B01:00&to=2026-02-01T00:00:00Z&severity=high&service=a&type=traffic&incident=i&limit=7&cursor=c", "")
	require.Equal(t, []engine.AnomalyQuery{{
		From: time.Date(2025, 12, 31, 23, 0, 0, 0, time.UTC), To: time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC), MinSeverity: engine.SeverityHigh,
		Service: "a", Type: engine.Traffic, IncidentID: "i", Limit: 7, Cursor: "c",
	}}, b.anomalyQueries)

	page := decode[engine.Page[engine.Incident]](t, send(s, "GET", "/api/v1/incidents?status=acknowledged&severity=low", ""), http.StatusOK)
	require.Equal(t, []engine.IncidentQuery{{Status: engine.StatusAcknowledged, MinSeverity: engine.SeverityLow, Limit: defaultLimit}}, b.incidentQueries)
	require.Nil(t, page.Items[0].Evidence, "a page does not carry evidence")
	require.NotNil(t, b.incident.Evidence, "and what the store holds is left alone")
}

func TestListingsRefuse(t *testing.T) {
	s := newServer(t, newBackend())
	for _, tt := range []struct{ target, field string }{
		{"anomalies?limit=0", "limit"},
		{"anomalies?limit=1001", "limit"},
		{"anomalies?limit=ten", "limit"},
		{"anomalies?from=yesterday", "from"},
		{"anomalies?from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z", "to"},
		{"anomalies?severity=severe", "severity"},
		{"anomalies?status=open", "status"},
		{"anomalies?service=a&service=b", "service"},
		{"anomalies?service=%00", "service"},
		{"anomalies?service=%ff", "service"},
		{"anomalies?cursor=" + strings.Repeat("c", 1025), "cursor"},
		{"incidents?status=closed", "status"},
		{"incidents?sort=age", "sort"},
		{"incidents?limit=-1", "limit"},
		{"feedback?verdict=x", "verdict"},
		{"feedback?limit=x", "limit"},
		{"incidents?a=%zz", ""},
		{"incidents?a;b", ""},
	} {
		t.Run(tt.target, func(t *testing.T) {
			require.Equal(t, tt.field, requireProblem(t, send(s, "GET", "/api/v1/"+tt.target, ""), http.StatusBadRequest, "invalid").Field)
		})
	}
}

func TestActionsSayWhoAndWhy(t *testing.T) {
	b := newBackend()
	key := b.addKey(t, "night shift", engine.ScopeAdmin)
	s := newServer(t, b)
	send(s, "POST", "/api/v1/incidents/i-1/acknowledge", "")
	send(s, "POST", "/api/v1/incidents/i-1/resolve", `{"by":"ada","note":"rolled back"}`, "X-API-Key", key)
	send(s, "POST", "/api/v1/incidents/i-1/resolve", `{"note":"again"}`, "X-API-Key", key)
	send(s, "POST", "/api/v1/incidents/a%2Fb/explain", "")
	require.Equal(t, []string{"acknowledge|i-1||", "resolve|i-1|ada|rolled back", "resolve|i-1|night shift|again", "explain|a/b||"}, b.actions)

	require.Equal(t, "note", requireProblem(t, send(s, "POST", "/api/v1/incidents/i-1/resolve", `{"note":"`+strings.Repeat("x", 4097)+`"}`), 400, "invalid").Field)
	require.Equal(t, "why", requireProblem(t, send(s, "POST", "/api/v1/incidents/i-1/resolve", `{"why":"x"}`), 400, "invalid").Field)
}

func TestFeedback(t *testing.T) {
	b := newBackend()
	s := newServer(t, b)
	stored := decode[engine.Feedback](t, send(s, "POST", "/api/v1/feedback", `{"anomaly_id":"a-1","verdict":"false_positive","by":"ada"}`), http.StatusCreated)
	require.NotEmpty(t, stored.ID)
	require.False(t, stored.At.IsZero())
	require.Equal(t, []engine.Feedback{stored}, b.feedback)
	page := decode[engine.Page[engine.Feedback]](t, send(s, "GET", "/api/v1/feedback", ""), http.StatusOK)
	require.Equal(t, b.feedback, page.Items)

	for _, tt := range []struct{ body, field string }{
		{`{"verdict":"true_positive"}`, "incident_id"},
		{`{"verdict":"true_positive","incident_id":"i","anomaly_id":"a"}`, "incident_id"},
		{`{"verdict":"maybe","incident_id":"i"}`, "verdict"},
		{`{"verdict":"true_positive","incident_id":"i","comment":"` + strings.Repeat("x", 4097) + `"}`, "comment"},
	} {
		require.Equal(t, tt.field, requireProblem(t, send(s, "POST", "/api/v1/feedback", tt.body), http.StatusBadRequest, "invalid").Field)
	}
	require.Len(t, b.feedback, 1)
	for _, body := range []string{`{"anomaly_id":"none","verdict":"true_positive"}`, `{"incident_id":"none","verdict":"true_positive"}`} {
		requireProblem(t, send(s, "POST", "/api/v1/feedback", body), http.StatusNotFound, "not_found")
	}
	require.Len(t, b.feedback, 1, "what is not there has no feedback")
}

// Votes are counted by the key that a request came with, never by what its body says.
func TestFeedbackNamesItsKey(t *testing.T) {
	b := newBackend()
	key := b.addKey(t, "night shift", engine.ScopeAdmin)
	s := newServer(t, b)
	const body = `{"incident_id":"i-1","verdict":"false_positive","by":"ada"}`
	anonymous := decode[engine.Feedback](t, send(s, "POST", "/api/v1/feedback", body), http.StatusCreated)
	require.Empty(t, anonymous.KeyID)
	named := decode[engine.Feedback](t, send(s, "POST", "/api/v1/feedback", body, "X-API-Key", key), http.StatusCreated)
	require.NotEmpty(t, named.KeyID)
	require.Equal(t, "ada", named.By)
	require.Equal(t, "key_id", requireProblem(t, send(s, "POST", "/api/v1/feedback", strings.Replace(body, "{", `{"key_id":"x",`, 1)), http.StatusBadRequest, "invalid").Field)

	undone := decode[engine.Feedback](t, send(s, "DELETE", "/api/v1/feedback/"+named.ID, "", "X-API-Key", key), http.StatusOK)
	require.NotNil(t, undone.Undone)
	require.Equal(t, []string{"undo|" + named.ID + "|" + named.KeyID + "|night shift"}, b.actions)
	reader := b.addKey(t, "dashboard", engine.ScopeRead)
	requireProblem(t, send(s, "DELETE", "/api/v1/feedback/"+named.ID, "", "X-API-Key", reader), http.StatusForbidden, "forbidden")
}

func TestMarkersReachTheEngine(t *testing.T) {
	b := newBackend()
	key := b.addKey(t, "pipeline", engine.ScopeIngest)
	s := newServer(t, b)
	const body = `[{"timestamp":"2026-01-31T12:00:00+01:00","service":"checkout","subject":"gpt-4o","version":"2","previous":"1","description":"d"},{"service":"b","version":"3"}]`
	first := decode[eventsResponse](t, send(s, "POST", "/api/v1/events/models", body, "X-API-Key", key), http.StatusAccepted)
	again := decode[eventsResponse](t, send(s, "POST", "/api/v1/events/models", body), http.StatusAccepted)
	require.Equal(t, first.IDs[0], again.IDs[0], "told twice with its time, a change is one marker")
	require.NotEqual(t, first.IDs[1], first.IDs[0])

	require.Len(t, b.batches, 2)
	markers := b.batches[0].Markers
	require.Equal(t, engine.ChangeMarker{
		ID: first.IDs[0], At: time.Date(2026, 1, 31, 11, 0, 0, 0, time.UTC), Kind: engine.MarkerModelVersion, Service: "checkout", Subject: "gpt-4o",
		Version: "2", Previous: "1", Description: "d", Source: "pipeline",
	}, markers[0])
	require.False(t, markers[1].At.IsZero())
	require.Equal(t, "api", b.batches[1].Markers[0].Source)

	decode[eventsResponse](t, send(s, "POST", "/api/v1/events/deployments", ` {"service":"b","version":"3"}`), http.StatusAccepted)
	require.Equal(t, engine.MarkerDeployment, b.batches[2].Markers[0].Kind)
}

func TestMarkersRefuse(t *testing.T) {
	b := newBackend()
	s := newServer(t, b)
	for _, tt := range []struct{ target, body, field string }{
		{"deployments", `{"version":"1"}`, "service"},
		{"deployments", `{"service":"a"}`, "version"},
		{"deployments", `[{"service":"a","version":"1"},{"service":"a"}]`, "[1].version"},
		{"deployments", `{"service":"a","version":"1","kind":"party"}`, "kind"},
		{"models", `{"service":"a","version":"1","kind":"deployment"}`, "kind"},
		{"models", `{"service":"a","version":"1","timestamp":"now"}`, "timestamp"},
		{"models", `{"service":"a","version":"1","id":"x"}`, "id"},
		{"models", `[]`, ""},
	} {
		require.Equal(t, tt.field, requireProblem(t, send(s, "POST", "/api/v1/events/"+tt.target, tt.body), http.StatusBadRequest, "invalid").Field, tt.body)
	}
	many := "[" + strings.TrimSuffix(strings.Repeat(`{"service":"a","version":"1"},`, maxEvents+1), ",") + "]"
	requireProblem(t, send(s, "POST", "/api/v1/events/models", many), http.StatusRequestEntityTooLarge, "too_large")
	require.Empty(t, b.batches)
}

// A marker is only said to be stored when it is.
func TestMarkersAnswerForTheirStorage(t *testing.T) {
	const body = `{"service":"a","version":"1"}`
	post := func(change func(*backend)) int {
		b := newBackend()
		change(b)
		s := newServer(t, b, func(c *Config, _ *Deps) {
			c.EventTimeout = time.Minute
			if b.neverDone {
				c.EventTimeout = time.Millisecond
			}
		})
		return send(s, "POST", "/api/v1/events/deployments", body).Code
	}
	require.Equal(t, http.StatusTooManyRequests, post(func(b *backend) { b.consumeErr = engine.Errorf(engine.CodeFull, "full") }))
	require.Equal(t, http.StatusInternalServerError, post(func(b *backend) { b.doneErr = fmt.Errorf("lost: %w", errBroken) }))
	require.Equal(t, http.StatusServiceUnavailable, post(func(b *backend) { b.neverDone = true }))
}

func TestStartingIsNotReady(t *testing.T) {
	b := newBackend()
	b.health = Health{Status: HealthStarting}
	health := decode[map[string]any](t, send(newServer(t, b), "GET", "/api/v1/health", ""), http.StatusServiceUnavailable)
	require.Equal(t, "starting", health["status"])
	require.Equal(t, []any{}, health["degraded"])
	require.Equal(t, map[string]any{}, health["shed"])
	head := send(newServer(t, b), "HEAD", "/api/v1/health", "")
	require.Equal(t, http.StatusServiceUnavailable, head.Code, "probes that send HEAD are told the same")
	require.Empty(t, head.Body.String())
	require.Equal(t, http.StatusOK, send(newServer(t, newBackend()), "HEAD", "/api/v1/health", "").Code)
}
