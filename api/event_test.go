package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func TestSecurityEventsReachTheEngine(t *testing.T) {
	b := newBackend()
	s := newServer(t, b)
	const body = `[
		{"id":"e-1","timestamp":"2026-01-31T12:00:00+01:00","type":"jailbreak","severity":"high","service":"checkout","user":"u-17","api_key":"k-1",
			"trace_id":"ab000000000000000000000000000001","details":{"rule":"dan","blocked":true,"score":0.93,"tags":["a", "b"],"none":null}},
		{"timestamp":"2026-01-31T12:00:00Z","type":"rate_limit_exceeded","severity":"low",
			"details":{"service":"billing","user_id":"u-18","api_key_id":"k-2","trace_id":"ab000000000000000000000000000002"}}]`
	first := decode[eventsResponse](t, send(s, "POST", "/api/v1/events/security", body), http.StatusAccepted)
	again := decode[eventsResponse](t, send(s, "POST", "/api/v1/events/security", body), http.StatusAccepted)
	require.Equal(t, first, again, "told twice with its time, an event has one id")
	require.Equal(t, "e-1", first.IDs[0])

	events := b.batches[0].Events
	require.Equal(t, engine.SecurityEvent{
		ID: "e-1", At: time.Date(2026, 1, 31, 11, 0, 0, 0, time.UTC), Type: "jailbreak", Severity: engine.SeverityHigh, Service: "checkout",
		User: "u-17", APIKey: "k-1", TraceID: engine.TraceID{0: 0xab, 15: 1},
		Details: map[string]string{"rule": "dan", "blocked": "true", "score": "0.93", "tags": `["a","b"]`, "none": ""},
	}, events[0])
	require.Equal(t, []string{"billing", "u-18", "k-2", "ab000000000000000000000000000002"},
		[]string{events[1].Service, events[1].User, events[1].APIKey, events[1].TraceID.String()}, "whom it is about may stand in the details")
}

func TestSecurityEventsRefuse(t *testing.T) {
	b := newBackend()
	s := newServer(t, b)
	many := make([]string, maxDetails+1)
	for i := range many {
		many[i] = fmt.Sprintf(`"d%d":1`, i)
	}
	for _, tt := range []struct{ body, field string }{
		{`{"severity":"high"}`, "type"},
		{`{"type":"a"}`, "severity"},
		{`{"type":"a","severity":"HIGH"}`, "severity"},
		{`[{"type":"a","severity":"low"},{"type":"a","severity":"info"}]`, "[1].severity"},
		{`{"type":"a","severity":"low","timestamp":"now"}`, "timestamp"},
		{`{"type":"a","severity":"low","trace_id":"xyz"}`, "trace_id"},
		{`{"type":"a","severity":"low","details":{"trace_id":"xyz"}}`, "trace_id"},
		{`{"type":"a","severity":"low","details":[]}`, "details"},
		{`{"type":"a","severity":"low","details":{"":1}}`, "details"},
		{`{"type":"a","severity":"low","details":{` + strings.Join(many, ",") + `}}`, "details"},
		{`{"type":"a","severity":"low","details":{"x":"` + strings.Repeat("y", maxDetail+1) + `"}}`, "details.x"},
		{`{"type":"a","severity":"low","details":{"x":"\u0000"}}`, "details.x"},
		{`{"type":"a","severity":"low","user":"` + strings.Repeat("u", 257) + `"}`, "user"},
		{`{"type":"a","severity":"low","source":"x"}`, "source"},
		{`[]`, ""},
		{`7`, ""},
	} {
		require.Equal(t, tt.field, requireProblem(t, send(s, "POST", "/api/v1/events/security", tt.body), http.StatusBadRequest, "invalid").Field, "%.80s", tt.body)
	}
	require.Empty(t, b.batches)
	key := b.addKey(t, "page", engine.ScopeRead)
	requireProblem(t, send(s, "POST", "/api/v1/events/security", `{}`, "X-API-Key", key), http.StatusForbidden, "forbidden")

	b.consumeErr = engine.Errorf(engine.CodeFull, "full")
	requireProblem(t, send(s, "POST", "/api/v1/events/security", `{"type":"a","severity":"low"}`), http.StatusTooManyRequests, "full")
}

func TestEvaluationsBecomePartOfTheMarker(t *testing.T) {
	b := newBackend()
	s := newServer(t, b)
	const body = `{"service":"checkout","subject":"m","version":"3","description":"nightly","evaluations":{"toxicity":0.02,"accuracy":0.91}}`
	decode[eventsResponse](t, send(s, "POST", "/api/v1/events/models", body), http.StatusAccepted)
	require.Equal(t, "nightly; evaluated: accuracy 0.91, toxicity 0.02", b.batches[0].Markers[0].Description)
	require.Equal(t, engine.MarkerModelVersion, b.batches[0].Markers[0].Kind)
	for body, field := range map[string]string{
		`{"service":"a","version":"1","evaluations":{"":1}}`:     "evaluations",
		`{"service":"a","version":"1","evaluations":{"a":"1"}}`:  "evaluations",
		`{"service":"a","version":"1","evaluations":{"a":1e99}`:  "",
		`[{"service":"a","version":"1","evaluations":{"a":[]}}]`: "evaluations",
	} {
		require.Equal(t, field, requireProblem(t, send(s, "POST", "/api/v1/events/models", body), http.StatusBadRequest, "invalid").Field, body)
	}
}

// What the schemas allow is taken, and what they refuse is refused: clients may check themselves before they send.
func TestEventsFitTheirSchemas(t *testing.T) {
	s := newServer(t, newBackend())
	for _, tt := range []struct {
		path string
		body string
		ok   bool
	}{
		{"deployments", `{"service":"checkout","version":"2","kind":"rollback","timestamp":"2026-01-31T12:00:00Z","previous":"1"}`, true},
		{"deployments", `[{"service":"a","version":"1"},{"service":"b","version":"1","subject":"x","description":"y"}]`, true},
		{"deployments", `{"service":"a"}`, false},
		{"deployments", `{"service":"a","version":"1","kind":"party"}`, false},
		{"deployments", `{"service":"a","version":"1","more":1}`, false},
		{"deployments", `[]`, false},
		{"models", `{"service":"a","version":"1","subject":"m","evaluations":{"accuracy":1}}`, true},
		{"models", `{"service":"a","version":"1","kind":"rollback"}`, true},
		{"models", `{"service":"a","version":"1","kind":"deployment"}`, false},
		{"models", `{"service":"a","version":"1","evaluations":{"accuracy":"good"}}`, false},
		{"security", `{"type":"jailbreak","severity":"high","details":{"api_key":"k","n":1,"deep":{"a":[1]}}}`, true},
		{"security", `[{"id":"e","timestamp":"2026-01-31T12:00:00Z","type":"a","severity":"critical","service":"s","user":"u","api_key":"k","trace_id":"ab000000000000000000000000000001","details":null}]`, true},
		{"security", `{"type":"","severity":"high"}`, false},
		{"security", `{"type":"a","severity":"info"}`, false},
		{"security", `{"type":"a","severity":"low","trace_id":"1"}`, false},
		{"security", `{"type":"a","severity":"low","details":"x"}`, false},
	} {
		schema, err := jsonschema.NewCompiler().Compile("../docs/schemas/events." + tt.path + ".schema.json")
		require.NoError(t, err)
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(tt.body))
		require.NoError(t, err)
		require.Equal(t, tt.ok, schema.Validate(value) == nil, "%s %s", tt.path, tt.body)
		require.Equal(t, tt.ok, send(s, "POST", "/api/v1/events/"+tt.path, tt.body).Code == http.StatusAccepted, "%s %s", tt.path, tt.body)
	}
}

// Every schema is a schema, whoever keeps it.
func TestSchemasCompile(t *testing.T) {
	files, err := os.ReadDir("../docs/schemas")
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	var ids []string
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".schema.json") {
			continue
		}
		data, err := os.ReadFile("../docs/schemas/" + file.Name())
		require.NoError(t, err)
		schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		require.NoError(t, err, file.Name())
		id, named := schema.(map[string]any)["$id"].(string)
		require.True(t, named, "%s has no $id that others can refer to", file.Name())
		require.NoError(t, compiler.AddResource(id, schema), file.Name())
		ids = append(ids, id)
	}
	for _, id := range ids {
		_, err := compiler.Compile(id)
		require.NoError(t, err, id)
	}
}

// Whatever is sent, what is taken is an event that can be kept.
func FuzzSecurityEvent(f *testing.F) {
	f.Add([]byte(`{"type":"jailbreak","severity":"high","details":{"user":"u","n":1e400,"deep":{"a":[1]}}}`))
	f.Add([]byte(`[{"id":"e","timestamp":"9999-12-31T23:59:59Z","type":"a","severity":"low","trace_id":""}]`))
	f.Add([]byte(`{"type":"a","severity":"low","timestamp":"0000-01-01T00:00:00Z"}`))
	b := newBackend()
	s := newServer(f, b)
	f.Fuzz(func(t *testing.T, body []byte) {
		b.batches = nil
		w := send(s, "POST", "/api/v1/events/security", string(body), "Content-Type", mediaJSON)
		require.True(t, json.Valid(w.Body.Bytes()))
		if w.Code != http.StatusAccepted {
			require.Contains(t, []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge}, w.Code)
			require.Empty(t, b.batches)
			return
		}
		for _, event := range b.batches[0].Events {
			require.NotEmpty(t, event.ID)
			require.NotEmpty(t, event.Type)
			require.GreaterOrEqual(t, event.Severity.Rank(), 0)
			require.False(t, event.At.IsZero())
			_, err := json.Marshal(event)
			require.NoError(t, err)
		}
	})
}
