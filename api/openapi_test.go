package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func loadDocument(t *testing.T) *openapi3.T {
	t.Helper()
	source, err := openAPIDocument()
	require.NoError(t, err)
	document, err := openapi3.NewLoader().LoadFromData(source)
	require.NoError(t, err)
	return document
}

func TestOpenAPIDocumentIsValid(t *testing.T) {
	require.NoError(t, loadDocument(t).Validate(context.Background()))
}

func TestRoutesAndDocumentAreTheSame(t *testing.T) {
	var documented, served []string
	for path, item := range loadDocument(t).Paths.Map() {
		for method := range item.Operations() {
			documented = append(documented, method+" "+path)
		}
	}
	parameter := regexp.MustCompile(`:(\w+)`)
	for _, route := range newServer(t, newBackend()).router.Routes() {
		served = append(served, route.Method+" "+parameter.ReplaceAllString(route.Path, "{$1}"))
	}
	require.ElementsMatch(t, documented, served)
}

// The cases of TestEveryRouteAsDocumented. Each is checked against the document as a request and as an answer.
var routeCases = []struct {
	method, target, body string
	contentType          string
	header               []string // pairs
	status               int
}{
	{method: "POST", target: "/api/v1/detect", body: `{"metrics":{"latency_ms":4200,"error":1},"context":{"service":"checkout"}}`, status: 200},
	{method: "POST", target: "/api/v1/traces", body: `{"resourceSpans":[]}`, status: 200},
	{method: "POST", target: "/api/v1/traces", body: "\x0a\x00", contentType: mediaProtobuf, status: 200},
	{method: "POST", target: "/api/v1/events/deployments", body: `{"service":"checkout","version":"2","kind":"rollback"}`, status: 202},
	{method: "POST", target: "/api/v1/events/models", body: `[{"timestamp":"2026-01-31T12:00:00Z","service":"checkout","version":"2"}]`, status: 202},
	{method: "POST", target: "/api/v1/events/models", body: `{"service":"checkout","subject":"m","version":"3","kind":"rollback","evaluations":{"accuracy":0.9}}`, status: 202},
	{method: "POST", target: "/api/v1/events/security", body: `[{"type":"jailbreak","severity":"high","details":{"user":"u-17","blocked":true}}]`, status: 202},
	{method: "POST", target: "/api/v1/hooks/github", body: `{"zen":"Design for failure."}`, header: []string{"X-GitHub-Event", "ping", "X-Hub-Signature-256", hookSignature(`{"zen":"Design for failure."}`)}, status: 200},
	{method: "POST", target: "/api/v1/hooks/gitlab", body: `{"object_kind":"push"}`, header: []string{"X-Gitlab-Token", hookSecret}, status: 202},
	{method: "POST", target: "/api/v1/hooks/argocd", body: `{"application":"checkout","phase":"Succeeded","revision":"a1"}`, header: []string{"Authorization", "Bearer " + hookSecret}, status: 202},
	{method: "POST", target: "/api/v1/hooks/mlflow", body: `{"event":"MODEL_VERSION_CREATED","model_name":"m","version":"2"}`, header: []string{"X-Databricks-Signature", strings.TrimPrefix(hookSignature(`{"event":"MODEL_VERSION_CREATED","model_name":"m","version":"2"}`), "sha256=")}, status: 202},
	{method: "GET", target: "/api/v1/markers?from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z&service=checkout&limit=5", status: 200},
	{method: "GET", target: "/api/v1/stream", status: 426},
	{method: "GET", target: "/api/v1/deliveries/dead?limit=5&cursor=c", status: 200},
	{method: "POST", target: "/api/v1/deliveries/al%2F1/pager%20duty/redeliver", status: 202},
	{method: "POST", target: "/api/v1/deliveries/al%2F1/nobody/redeliver", status: 404},
	{method: "HEAD", target: "/api/v1/health", status: 200},
	{method: "POST", target: "/api/v1/feedback", body: `{"anomaly_id":"none","verdict":"false_positive"}`, status: 404},
	{method: "POST", target: "/v1/traces", body: `{}`, status: 200},
	{method: "POST", target: "/v1/logs", body: `{}`, status: 200},
	{method: "POST", target: "/v1/metrics", body: `{}`, status: 200},
	{method: "GET", target: "/api/v1/anomalies?from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z&severity=high&service=checkout&type=latency_spike&incident=i-1&limit=5&cursor=c", status: 200},
	{method: "GET", target: "/api/v1/incidents?status=open&severity=low&limit=1000", status: 200},
	{method: "GET", target: "/api/v1/incidents/i-1", status: 200},
	{method: "GET", target: "/api/v1/incidents/none", status: 404},
	{method: "POST", target: "/api/v1/incidents/i-1/acknowledge", status: 200},
	{method: "POST", target: "/api/v1/incidents/i-1/resolve", body: `{"by":"ada","note":"rolled back"}`, status: 200},
	{method: "POST", target: "/api/v1/incidents/i-1/explain", body: `{}`, status: 200},
	{method: "POST", target: "/api/v1/feedback", body: `{"incident_id":"i-1","verdict":"false_positive"}`, status: 201},
	{method: "GET", target: "/api/v1/feedback?limit=3", status: 200},
	{method: "GET", target: "/api/v1/feedback/lessons", status: 200},
	{method: "DELETE", target: "/api/v1/feedback/f-0", status: 200},
	{method: "DELETE", target: "/api/v1/feedback/none", status: 404},
	{method: "GET", target: "/api/v1/services", status: 200},
	{method: "GET", target: "/api/v1/trends?service=checkout", status: 200},
	{method: "GET", target: "/api/v1/trends?service=unknown", status: 200},
	{method: "GET", target: "/api/v1/health", status: 200},
	{method: "GET", target: "/api/v1/metrics", status: 200},
	{method: "GET", target: "/metrics", status: 200},
	{method: "GET", target: "/api/v1/openapi.json", status: 200},
	{method: "GET", target: "/openapi.json", status: 200},
	{method: "GET", target: "/", status: 200},
	{method: "GET", target: "/ui/app.js", status: 200},
	{method: "GET", target: "/ui/style.css", status: 200},
}

func TestEveryRouteAsDocumented(t *testing.T) {
	openapi3filter.RegisterBodyDecoder(mediaProtobuf, openapi3filter.FileBodyDecoder)
	openapi3filter.RegisterBodyDecoder("text/html", openapi3filter.PlainBodyDecoder)
	openapi3filter.RegisterBodyDecoder("text/javascript", openapi3filter.PlainBodyDecoder)
	openapi3filter.RegisterBodyDecoder("text/css", openapi3filter.PlainBodyDecoder)
	document := loadDocument(t)
	router, err := gorillamux.NewRouter(document)
	require.NoError(t, err)
	s := newServer(t, newBackend())
	options := &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true}

	called := map[string]bool{}
	for _, tt := range routeCases {
		t.Run(tt.method+" "+tt.target, func(t *testing.T) {
			newRequest := func() *http.Request {
				r := httptest.NewRequest(tt.method, "http://localhost:8080"+tt.target, strings.NewReader(tt.body))
				if tt.body != "" {
					r.Header.Set("Content-Type", mediaJSON)
				}
				if tt.contentType != "" {
					r.Header.Set("Content-Type", tt.contentType)
				}
				for i := 0; i+1 < len(tt.header); i += 2 {
					r.Header.Set(tt.header[i], tt.header[i+1])
				}
				return r
			}
			r := newRequest()
			route, parameters, err := router.FindRoute(r)
			require.NoError(t, err)
			request := &openapi3filter.RequestValidationInput{Request: r, PathParams: parameters, Route: route, Options: options}
			require.NoError(t, openapi3filter.ValidateRequest(t.Context(), request))

			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, newRequest())
			require.Equal(t, tt.status, w.Code, w.Body.String())
			response := &openapi3filter.ResponseValidationInput{RequestValidationInput: request, Status: w.Code, Header: w.Header(), Options: options}
			response.SetBodyBytes(w.Body.Bytes())
			require.NoError(t, openapi3filter.ValidateResponse(t.Context(), response))
			if w.Code < 300 || w.Code == http.StatusUpgradeRequired { // TestStream has what follows
				called[tt.method+" "+route.Path] = true
			}
		})
	}
	for path, item := range document.Paths.Map() {
		for method := range item.Operations() {
			require.True(t, called[method+" "+path], "%s %s has no case", method, path)
		}
	}
}

// Empty values must still fit the document: nil slices are the usual way to break a client.
func TestBareIncidentFitsTheDocument(t *testing.T) {
	b := newBackend()
	b.incident = engine.Incident{
		ID: "i-1", Severity: engine.SeverityLow, Status: engine.StatusOpen, Evidence: &engine.Evidence{},
		Explanation: &engine.Explanation{Hypotheses: []engine.Hypothesis{{}}, Recommendations: []engine.Recommendation{{}}},
	}
	w := send(newServer(t, b), "GET", "/api/v1/incidents/i-1", "")
	value := decode[any](t, w, http.StatusOK)
	require.NoError(t, loadDocument(t).Components.Schemas["Incident"].Value.VisitJSON(value))
}

// The document names exactly the fields that the types have, in both directions.
func TestSchemasHaveTheFieldsOfTheTypes(t *testing.T) {
	document := loadDocument(t)
	for name, value := range map[string]any{
		"Problem": Problem{}, "DetectRequest": detectRequest{}, "DetectResponse": detectResponse{}, "TracesResponse": tracesResponse{},
		"Verdict": engine.Verdict{}, "Contribution": engine.Contribution{}, "Anomaly": engine.Anomaly{}, "Incident": engine.Incident{},
		"TimelineEntry": engine.TimelineEntry{}, "Evidence": engine.Evidence{}, "Change": engine.Change{}, "Slice": engine.Slice{},
		"Example": engine.Example{}, "PastIncident": engine.PastIncident{}, "ChangeMarker": engine.ChangeMarker{},
		"Explanation": engine.Explanation{}, "Hypothesis": engine.Hypothesis{}, "Recommendation": engine.Recommendation{},
		"Citation": engine.Citation{}, "ActionRequest": actionRequest{}, "FeedbackRequest": feedbackRequest{}, "Feedback": engine.Feedback{},
		"Case": engine.Case{}, "Lessons": lessonsResponse{}, "Lesson": engine.Lesson{}, "SeriesThreshold": engine.SeriesThreshold{},
		"Deployment": markerRequest{}, "ModelVersion": modelRequest{}, "SecurityEvent": securityRequest{}, "HookResponse": hookResponse{},
		"Alert": engine.Alert{}, "Delivery": engine.Delivery{}, "Redelivery": redeliverResponse{}, "ServiceHealth": engine.ServiceHealth{},
		"LearningState": engine.LearningState{}, "Health": healthResponse{healthDetails: &healthDetails{}}, "Degradation": engine.Degradation{},
		"Sampling": engine.Sampling{}, "Trends": trendsResponse{}, "Topic": engine.Topic{}, "TopicPoint": engine.TopicPoint{},
		"SeriesTrend": engine.SeriesTrend{}, "TrendPoint": engine.TrendPoint{},
		"SeriesKey": engine.SeriesKey{}, "Subject": engine.Subject{}, "Effect": engine.Effect{}, "Neighbor": engine.Neighbor{},
		"Memo": engine.Memo{}, "Collection": engine.Collection{}, "Model": engine.Model{},
	} {
		t.Run(name, func(t *testing.T) {
			schema := document.Components.Schemas[name]
			require.NotNil(t, schema)
			var documented []string
			for property := range schema.Value.Properties {
				documented = append(documented, property)
			}
			require.ElementsMatch(t, jsonFields(reflect.TypeOf(value)), documented)
		})
	}
	context := document.Components.Schemas["DetectRequest"].Value.Properties["context"].Value
	for _, field := range jsonFields(reflect.TypeFor[detectContext]()) {
		require.Contains(t, context.Properties, field)
	}
}

// The metrics in the document are those that are understood.
func TestDocumentedMetricsAreUnderstood(t *testing.T) {
	s := newServer(t, newBackend())
	metrics := loadDocument(t).Components.Schemas["DetectRequest"].Value.Properties["metrics"].Value
	require.NotEmpty(t, metrics.Properties)
	for name := range metrics.Properties {
		w := send(s, "POST", "/api/v1/detect", `{"metrics":{"`+name+`":1}}`)
		require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	}
}

func jsonFields(t reflect.Type) []string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var fields []string
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous:
			fields = append(fields, jsonFields(field.Type)...)
		case name != "-" && name != "":
			fields = append(fields, name)
		}
	}
	slices.Sort(fields)
	return slices.Compact(fields)
}
