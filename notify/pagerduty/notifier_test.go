package pagerduty_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/notify"
	"github.com/llm-sentinel/llm-sentinel/notify/pagerduty"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const routingKey = "0123456789abcdef0123456789abcdef"

// received is an event, as far as tests look into it.
type received struct {
	EventAction string `json:"event_action"`
	DedupKey    string `json:"dedup_key"`
	ClientURL   string `json:"client_url"`
	Payload     *struct {
		Summary       string         `json:"summary"`
		Source        string         `json:"source"`
		Severity      string         `json:"severity"`
		Class         string         `json:"class"`
		CustomDetails map[string]any `json:"custom_details"`
	} `json:"payload"`
	Links []struct {
		Href string `json:"href"`
	} `json:"links"`
}

// published is the format of the Events API v2, field by field.
func published(t *testing.T) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	s, err := c.Compile("testdata/event.schema.json")
	require.NoError(t, err)
	return s
}

// maxRequest is the size of a request, in bytes, that the Events API v2 takes.
const maxRequest = 512 << 10

// peer answers as PagerDuty does: it accepts what its format allows and says what is wrong with the rest.
func peer(t *testing.T, got *[]received) *httptest.Server {
	t.Helper()
	format := published(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse := func(why string) {
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]any{"status": "invalid event", "message": "Event object is invalid", "errors": []string{why}})
		}
		if r.Method != http.MethodPost || r.URL.Path != "/v2/enqueue" {
			http.NotFound(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("Content-Type") != "application/json" || len(body) > maxRequest {
			refuse("content type or length")
			return
		}
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
		if err == nil {
			err = format.Validate(document)
		}
		var e received
		if err == nil {
			err = json.Unmarshal(body, &e)
		}
		switch {
		case err != nil:
			refuse(err.Error())
		case document.(map[string]any)["routing_key"] != routingKey:
			refuse("routing_key")
		default:
			*got = append(*got, e)
			w.WriteHeader(http.StatusAccepted)
			_ = json.NewEncoder(w).Encode(map[string]string{"status": "success", "message": "Event processed", "dedup_key": e.DedupKey})
		}
	}))
	t.Cleanup(server.Close)
	return server
}

func notifier(t *testing.T, base, key string) *pagerduty.Notifier {
	t.Helper()
	cfg := pagerduty.DefaultConfig()
	cfg.BaseURL, cfg.RoutingKey, cfg.IncidentURL = base, engine.Secret(key), "https://sentinel.example.com/incidents/{id}"
	n, err := pagerduty.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	return n
}

func TestLifeOfAnIncident(t *testing.T) {
	var got []received
	server := peer(t, &got)
	n := notifier(t, server.URL+"/", routingKey)
	a := notify.Sample(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	for _, step := range []struct {
		change string
		status engine.Status
		want   string
	}{
		{engine.ChangeRaised, engine.StatusOpen, "trigger"},
		{engine.ChangeExplained, engine.StatusOpen, "trigger"},
		{notify.ChangeEscalated, engine.StatusOpen, "trigger"},
		{engine.ChangeAcknowledged, engine.StatusAcknowledged, "acknowledge"},
		{engine.ChangeReclassified, engine.StatusAcknowledged, "trigger"},
		{engine.ChangeResolved, engine.StatusResolved, "resolve"},
		{engine.ChangeExplained, engine.StatusResolved, "resolve"}, // a late note does not open it again
		{engine.ChangeRaisedAgain, engine.StatusOpen, "trigger"},
	} {
		a.Change, a.Incident.Status = step.change, step.status
		require.NoError(t, n.Notify(context.Background(), a))
		e := got[len(got)-1]
		require.Equal(t, step.want, e.EventAction, step.change)
		require.Equal(t, a.Incident.ID, e.DedupKey, "all events of an incident are about one alert")
	}
	e := got[0]
	require.Equal(t, "[high] Test of LLM-Sentinel: nothing is wrong", e.Payload.Summary)
	require.Equal(t, "sentinel-test", e.Payload.Source)
	require.Equal(t, "latency_spike", e.Payload.Class)
	require.Equal(t, notify.AlertID(a.ID), e.Payload.CustomDetails["alert_id"])
	require.Equal(t, "https://sentinel.example.com/incidents/"+a.Incident.ID, e.ClientURL)
	require.Equal(t, e.ClientURL, e.Links[0].Href)
}

func TestSeverities(t *testing.T) {
	var got []received
	n := notifier(t, peer(t, &got).URL, routingKey)
	for severity, want := range map[engine.Severity]string{"critical": "critical", "high": "error", "medium": "warning", "low": "info"} {
		a := notify.Sample(time.Now())
		a.Incident.Severity = severity
		require.NoError(t, n.Notify(context.Background(), a))
		require.Equal(t, want, got[len(got)-1].Payload.Severity)
	}
}

func TestLargeIncidentFits(t *testing.T) {
	var got []received
	n := notifier(t, peer(t, &got).URL, routingKey)
	a := notify.Sample(time.Now())
	long := strings.Repeat("\x01é<", 5000)
	a.Incident.Title, a.Incident.ID, a.Incident.Services = long, long, []string{long}
	for range 100 {
		a.Incident.Explanation.Citations = append(a.Incident.Explanation.Citations, engine.Citation{Text: long})
	}
	require.NoError(t, n.Notify(context.Background(), a))
	a.Incident.Services, a.Incident.Title = nil, ""
	require.NoError(t, n.Notify(context.Background(), a))
	require.Equal(t, "llm-sentinel", got[1].Payload.Source)
}

func TestWhatIsTriedAgain(t *testing.T) {
	var got []received
	err := notifier(t, peer(t, &got).URL, strings.Repeat("x", 32)).Notify(context.Background(), notify.Sample(time.Now()))
	require.True(t, engine.IsPermanent(err), "a wrong routing key stays wrong")
	require.ErrorContains(t, err, "routing_key")
	require.NotContains(t, err.Error(), strings.Repeat("x", 32))
	for _, status := range []int{http.StatusTooManyRequests, http.StatusInternalServerError} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		err := notifier(t, server.URL, routingKey).Notify(context.Background(), notify.Sample(time.Now()))
		require.Error(t, err)
		require.False(t, engine.IsPermanent(err))
		server.Close()
	}
}

func TestConfigIsChecked(t *testing.T) {
	cfg := pagerduty.DefaultConfig()
	cfg.RoutingKey, cfg.BaseURL, cfg.IncidentURL = "short", "events", "https://x/"
	_, err := pagerduty.New(cfg)
	for _, want := range []string{"routing_key: has 5 characters, want 32", "base_url: must be", "incident_url: must be"} {
		require.ErrorContains(t, err, want)
	}
}

// The format that the peer checks by refuses what PagerDuty says it does not take.
func TestFormatRefuses(t *testing.T) {
	format := published(t)
	event := func(change func(e, payload map[string]any)) map[string]any {
		payload := map[string]any{"summary": "s", "source": "host", "severity": "info", "timestamp": "2026-03-02T09:00:00Z"}
		e := map[string]any{"routing_key": routingKey, "event_action": "trigger", "dedup_key": "k", "payload": payload}
		change(e, payload)
		return e
	}
	require.NoError(t, format.Validate(event(func(map[string]any, map[string]any) {})))
	for name, change := range map[string]func(e, payload map[string]any){
		"no routing key":        func(e, _ map[string]any) { delete(e, "routing_key") },
		"another action":        func(e, _ map[string]any) { e["event_action"] = "close" },
		"long key":              func(e, _ map[string]any) { e["dedup_key"] = strings.Repeat("k", 256) },
		"trigger of nothing":    func(e, _ map[string]any) { delete(e, "payload") },
		"end of nothing":        func(e, _ map[string]any) { e["event_action"] = "resolve"; delete(e, "dedup_key") },
		"no summary":            func(_, p map[string]any) { delete(p, "summary") },
		"long summary":          func(_, p map[string]any) { p["summary"] = strings.Repeat("é", 1025) },
		"no source":             func(_, p map[string]any) { p["source"] = "" },
		"our severity":          func(_, p map[string]any) { p["severity"] = "high" },
		"time of another form":  func(_, p map[string]any) { p["timestamp"] = "yesterday" },
		"details that are text": func(_, p map[string]any) { p["custom_details"] = "text" },
		"unknown field":         func(e, _ map[string]any) { e["description"] = "s" },
		"link without address":  func(e, _ map[string]any) { e["links"] = []any{map[string]any{"text": "t"}} },
		"image over http":       func(e, _ map[string]any) { e["images"] = []any{map[string]any{"src": "http://x/y.png"}} },
	} {
		require.Error(t, format.Validate(event(change)), name)
	}
}
