package pagerduty_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/notify"
	"github.com/llm-sentinel/llm-sentinel/notify/pagerduty"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const routingKey = "0123456789abcdef0123456789abcdef"

// received is an event as the published format of the Events API v2 names its fields; others are refused.
type received struct {
	RoutingKey  string `json:"routing_key"`
	EventAction string `json:"event_action"`
	DedupKey    string `json:"dedup_key"`
	Client      string `json:"client"`
	ClientURL   string `json:"client_url"`
	Payload     *struct {
		Summary       string         `json:"summary"`
		Source        string         `json:"source"`
		Severity      string         `json:"severity"`
		Timestamp     string         `json:"timestamp"`
		Component     string         `json:"component"`
		Group         string         `json:"group"`
		Class         string         `json:"class"`
		CustomDetails map[string]any `json:"custom_details"`
	} `json:"payload"`
	Images []struct {
		Src, Href, Alt string
	} `json:"images"`
	Links []struct {
		Href string `json:"href"`
		Text string `json:"text"`
	} `json:"links"`
}

// peer answers as PagerDuty does: it accepts what its format allows and says what is wrong with the rest.
func peer(t *testing.T, got *[]received) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse := func(why string) {
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]any{"status": "invalid event", "message": "Event object is invalid", "errors": []string{why}})
		}
		if r.Method != http.MethodPost || r.URL.Path != "/v2/enqueue" {
			http.NotFound(w, r)
			return
		}
		if r.Header.Get("Content-Type") != "application/json" || r.ContentLength > 512<<10 {
			refuse("content type or length")
			return
		}
		d := json.NewDecoder(r.Body)
		d.DisallowUnknownFields()
		var e received
		if err := d.Decode(&e); err != nil {
			refuse(err.Error())
			return
		}
		switch {
		case e.RoutingKey != routingKey:
			refuse("routing_key")
		case e.DedupKey == "" || utf8.RuneCountInString(e.DedupKey) > 255:
			refuse("dedup_key")
		case e.EventAction == "acknowledge" || e.EventAction == "resolve":
			*got = append(*got, e)
		case e.EventAction != "trigger" || e.Payload == nil:
			refuse("event_action")
		case e.Payload.Summary == "" || utf8.RuneCountInString(e.Payload.Summary) > 1024:
			refuse("summary")
		case e.Payload.Source == "":
			refuse("source")
		case !slices.Contains([]string{"critical", "error", "warning", "info"}, e.Payload.Severity):
			refuse("severity")
		default:
			if _, err := time.Parse(time.RFC3339, e.Payload.Timestamp); err != nil {
				refuse("timestamp")
				return
			}
			*got = append(*got, e)
		}
		if w.Header().Get("Content-Type") == "" {
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
