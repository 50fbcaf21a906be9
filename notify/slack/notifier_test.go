package slack_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/notify"
	"github.com/llm-sentinel/llm-sentinel/notify/slack"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type memo struct {
	mu     sync.Mutex
	values map[string]string
}

func (m *memo) Get(_ context.Context, key string) (string, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.values[key]
	return v, ok, nil
}

func (m *memo) Put(_ context.Context, key, value string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values[key] = value
	return nil
}

type object struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type posted struct {
	Channel string `json:"channel"`
	TS      string `json:"ts"`
	Text    string `json:"text"`
	Blocks  []struct {
		Text     *object  `json:"text"`
		Fields   []object `json:"fields"`
		Elements []object `json:"elements"`
	} `json:"blocks"`
}

// published is the format of a message, field by field.
func published(t *testing.T) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile("testdata/message.schema.json")
	require.NoError(t, err)
	return s
}

// maxTogether is how many characters all blocks may have. Slack's reference does not say so: it refuses more as msg_blocks_too_long
// (https://github.com/slackapi/bolt-js/issues/2509 found 13,297 in one block).
const maxTogether = 13_000

// check says what Slack would not accept, and what an incident must not do to a channel.
func check(format *jsonschema.Schema, body []byte) (p posted, err error) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err == nil {
		err = format.Validate(document)
	}
	if err == nil {
		err = json.Unmarshal(body, &p)
	}
	if err != nil {
		return p, err
	}
	together := 0
	for _, b := range p.Blocks {
		texts := slices.Concat(b.Fields, b.Elements)
		if b.Text != nil {
			texts = append(texts, *b.Text)
		}
		for _, o := range texts {
			together += utf8.RuneCountInString(o.Text)
			if o.Type == "mrkdwn" && strings.Contains(strings.ReplaceAll(o.Text, "<https://sentinel.example.com/", ""), "<") {
				return p, fmt.Errorf("markup out of an incident: %s", o.Text)
			}
		}
	}
	if together > maxTogether {
		return p, fmt.Errorf("msg_blocks_too_long: %d characters", together)
	}
	return p, nil
}

// workspace answers as Slack does, and holds the messages of a channel.
type workspace struct {
	format   *jsonschema.Schema
	mu       sync.Mutex
	messages []posted // TS is the position
	calls    []string
	fail     func(w http.ResponseWriter, method string) bool // true when it has answered
}

func (s *workspace) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	method := strings.TrimPrefix(r.URL.Path, "/api/")
	s.calls = append(s.calls, method)
	w.Header().Set("Content-Type", "application/json")
	reply := func(v map[string]any) { _ = json.NewEncoder(w).Encode(v) }
	if s.fail != nil && s.fail(w, method) {
		return
	}
	body, _ := io.ReadAll(r.Body)
	if r.Method != http.MethodPost || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") || !json.Valid(body) {
		reply(map[string]any{"ok": false, "error": "invalid_json"})
		return
	}
	p, err := check(s.format, body)
	if method == "/services/T0/B0/token" {
		if err != nil || p.Channel != "" {
			http.Error(w, "invalid_payload", http.StatusBadRequest)
			return
		}
		s.messages = append(s.messages, p)
		_, _ = io.WriteString(w, "ok")
		return
	}
	if r.Header.Get("Authorization") != "Bearer xoxb-1" {
		reply(map[string]any{"ok": false, "error": "invalid_auth"})
		return
	}
	if err != nil {
		reply(map[string]any{"ok": false, "error": "invalid_blocks", "response_metadata": map[string]any{"messages": []string{err.Error()}}})
		return
	}
	switch method {
	case "chat.postMessage":
		if p.Channel != "#incidents" || p.TS != "" {
			reply(map[string]any{"ok": false, "error": "channel_not_found"})
			return
		}
		s.messages = append(s.messages, p)
	case "chat.update":
		var i int
		if _, err := fmt.Sscanf(p.TS, "1700000000.%d", &i); err != nil || p.Channel != "C042" || i >= len(s.messages) {
			reply(map[string]any{"ok": false, "error": "message_not_found"})
			return
		}
		s.messages[i] = p
		reply(map[string]any{"ok": true, "channel": "C042", "ts": p.TS, "text": p.Text})
		return
	default:
		reply(map[string]any{"ok": false, "error": "unknown_method"})
		return
	}
	reply(map[string]any{"ok": true, "channel": "C042", "ts": fmt.Sprintf("1700000000.%06d", len(s.messages)-1), "message": map[string]any{"text": p.Text}})
}

type fixture struct {
	*workspace
	server *httptest.Server
	memo   *memo
	cfg    slack.Config
}

func start(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{workspace: &workspace{format: published(t)}, memo: &memo{values: map[string]string{}}, cfg: slack.DefaultConfig()}
	f.server = httptest.NewServer(f.workspace)
	t.Cleanup(f.server.Close)
	f.cfg.BaseURL, f.cfg.Token, f.cfg.Channel = f.server.URL+"/api", "xoxb-1", "#incidents"
	f.cfg.IncidentURL = "https://sentinel.example.com/incidents/{id}"
	return f
}

// tell uses a new Notifier each time: what is remembered survives a restart, and the rate of a channel is another test's.
func (f *fixture) tell(t *testing.T, a engine.Alert, change string, status engine.Status) error {
	t.Helper()
	n, err := slack.New(f.cfg, f.memo)
	require.NoError(t, err)
	defer func() { require.NoError(t, n.Close()) }()
	a.Change, a.Incident.Status = change, status
	return n.Notify(context.Background(), a)
}

func TestOneMessageAnIncidentIsKeptCurrent(t *testing.T) {
	f := start(t)
	a := notify.Sample(time.Now())
	require.NoError(t, f.tell(t, a, engine.ChangeRaised, engine.StatusOpen))
	require.NoError(t, f.tell(t, a, engine.ChangeExplained, engine.StatusOpen))
	require.NoError(t, f.tell(t, a, engine.ChangeAcknowledged, engine.StatusAcknowledged))
	require.NoError(t, f.tell(t, a, engine.ChangeResolved, engine.StatusResolved))
	require.Len(t, f.messages, 1)
	require.Equal(t, []string{"chat.postMessage", "chat.update", "chat.update", "chat.update"}, f.calls)
	require.True(t, strings.HasPrefix(f.messages[0].Text, "✅ [high] resolved: Test of"), f.messages[0].Text)

	a.Incident.Raised = 2
	require.NoError(t, f.tell(t, a, engine.ChangeRaisedAgain, engine.StatusOpen))
	require.Len(t, f.messages, 2, "what comes back is news")
	require.NoError(t, f.tell(t, a, notify.ChangeEscalated, engine.StatusOpen))
	require.Len(t, f.messages, 3, "an escalation makes people look")
	require.NoError(t, f.tell(t, a, engine.ChangeResolved, engine.StatusResolved))
	require.Len(t, f.messages, 3)
	require.Contains(t, f.messages[2].Text, "resolved")

	other := notify.Sample(time.Now().Add(time.Hour))
	require.NoError(t, f.tell(t, other, engine.ChangeResolved, engine.StatusResolved))
	require.Len(t, f.messages, 4, "an incident that was never told of is told of as it stands")
}

func TestMessageThatCannotBeEditedIsPostedAnew(t *testing.T) {
	for _, reason := range []string{"message_not_found", "cant_update_message", "edit_window_closed"} {
		f := start(t)
		a := notify.Sample(time.Now())
		require.NoError(t, f.tell(t, a, engine.ChangeRaised, engine.StatusOpen))
		f.fail = func(w http.ResponseWriter, method string) bool {
			if method == "chat.update" {
				_ = json.NewEncoder(w).Encode(map[string]any{"ok": false, "error": reason})
			}
			return method == "chat.update"
		}
		n, err := slack.New(f.cfg, f.memo)
		require.NoError(t, err)
		a.Change = engine.ChangeExplained
		require.NoError(t, n.Notify(context.Background(), a))
		require.NoError(t, n.Close())
		require.Len(t, f.messages, 2)
	}
}

func TestWhatIsTriedAgain(t *testing.T) {
	for reason, permanent := range map[string]bool{
		"channel_not_found": true, "not_in_channel": true, "invalid_auth": true, "token_revoked": true, "invalid_blocks": true,
		"ratelimited": false, "internal_error": false, "service_unavailable": false,
	} {
		f := start(t)
		f.fail = func(w http.ResponseWriter, _ string) bool {
			_ = json.NewEncoder(w).Encode(map[string]any{"ok": false, "error": reason})
			return true
		}
		err := f.tell(t, notify.Sample(time.Now()), engine.ChangeRaised, engine.StatusOpen)
		require.ErrorContains(t, err, reason)
		require.Equal(t, permanent, engine.IsPermanent(err), reason)
	}
	f := start(t)
	f.fail = func(w http.ResponseWriter, _ string) bool {
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	}
	err := f.tell(t, notify.Sample(time.Now()), engine.ChangeRaised, engine.StatusOpen)
	require.False(t, engine.IsPermanent(err))
	var later *engine.Error
	require.ErrorAs(t, err, &later)
	require.Equal(t, 30*time.Second, later.RetryAfter)
	require.Empty(t, f.memo.values)
}

func TestIncomingWebhookPostsTheBeginningAndTheEnd(t *testing.T) {
	f := start(t)
	f.cfg.Token, f.cfg.WebhookURL = "", engine.Secret(f.server.URL+"/services/T0/B0/token")
	a := notify.Sample(time.Now())
	require.NoError(t, f.tell(t, a, engine.ChangeRaised, engine.StatusOpen))
	require.NoError(t, f.tell(t, a, engine.ChangeExplained, engine.StatusOpen))
	require.NoError(t, f.tell(t, a, engine.ChangeAcknowledged, engine.StatusAcknowledged))
	require.NoError(t, f.tell(t, a, engine.ChangeResolved, engine.StatusResolved))
	require.Len(t, f.messages, 2)
	f.fail = func(w http.ResponseWriter, _ string) bool {
		http.Error(w, "no_service", http.StatusNotFound)
		return true
	}
	err := f.tell(t, a, engine.ChangeRaised, engine.StatusOpen)
	require.True(t, engine.IsPermanent(err))
	require.ErrorContains(t, err, "no_service")
	require.NotContains(t, err.Error(), "token")
}

func TestChannelIsToldOnceASecond(t *testing.T) {
	f := start(t)
	n, err := slack.New(f.cfg, f.memo)
	require.NoError(t, err)
	defer func() { require.NoError(t, n.Close()) }()
	require.NoError(t, n.Notify(context.Background(), notify.Sample(time.Now())))
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	err = n.Notify(ctx, notify.Sample(time.Now()))
	require.ErrorContains(t, err, "wait for one's turn")
	require.False(t, engine.IsPermanent(err))
	require.Len(t, f.messages, 1)
}

// Whatever an incident holds, Slack accepts the message and nobody is mentioned by it.
func TestHostileIncident(t *testing.T) {
	f := start(t)
	a := notify.Sample(time.Now())
	long := strings.Repeat("<!channel> & é\x00", 2000)
	in := &a.Incident
	in.Title, in.Services, in.Explanation.Summary, in.Type = long, []string{long, long}, long, engine.AnomalyType(long)
	in.Explanation.Hypotheses[0].Statement = long
	for range 30 {
		in.Explanation.Recommendations = append(in.Explanation.Recommendations, engine.Recommendation{Text: long})
		in.Explanation.Citations = append(in.Explanation.Citations, engine.Citation{ID: "E", Text: long})
	}
	require.NoError(t, f.tell(t, a, engine.ChangeRaised, engine.StatusOpen))
	escaped := strings.Repeat("&", 10_000) // each becomes five characters
	in.Title, in.Services, in.Explanation.Summary, in.Type = escaped, []string{escaped, escaped}, escaped, engine.AnomalyType(escaped)
	in.Explanation.Hypotheses[0].Statement = escaped
	for i := range in.Explanation.Citations {
		in.Explanation.Citations[i].Text = escaped
	}
	for i := range in.Explanation.Recommendations {
		in.Explanation.Recommendations[i].Text = escaped
	}
	require.NoError(t, f.tell(t, a, engine.ChangeRaised, engine.StatusOpen))
	bare := engine.Alert{ID: "1", Change: engine.ChangeRaised, Incident: engine.Incident{ID: "i", Type: "traffic", Severity: "low"}}
	require.NoError(t, f.tell(t, bare, engine.ChangeRaised, engine.StatusOpen))
}

func TestConfigIsChecked(t *testing.T) {
	for want, change := range map[string]func(*slack.Config){
		"neither it nor webhook_url":       func(c *slack.Config) { c.Token = "" },
		"exclude each other":               func(c *slack.Config) { c.WebhookURL = "https://hooks.slack.com/x" },
		"channel: must be":                 func(c *slack.Config) { c.Channel = "" },
		"base_url: must be an http":        func(c *slack.Config) { c.BaseURL = "slack" },
		"incident_url: must be":            func(c *slack.Config) { c.IncidentURL = "https://x" },
		"token: holds white space":         func(c *slack.Config) { c.Token = "xoxb-1\n" },
		"webhook_url: must be an http or ": func(c *slack.Config) { c.Token, c.WebhookURL = "", "x" },
	} {
		cfg := slack.DefaultConfig()
		cfg.Token, cfg.Channel = "xoxb-1", "#incidents"
		change(&cfg)
		_, err := slack.New(cfg, nil)
		require.ErrorContains(t, err, want)
	}
}

// The format that the workspace checks by refuses what Slack says it does not take.
func TestFormatRefuses(t *testing.T) {
	format := published(t)
	text := func(kind string, n int) map[string]any {
		return map[string]any{"type": kind, "text": strings.Repeat("é", n)}
	}
	message := func(blocks ...any) map[string]any { return map[string]any{"text": "t", "blocks": blocks} }
	many := func(n int, x any) (out []any) {
		for range n {
			out = append(out, x)
		}
		return out
	}
	section := map[string]any{"type": "section", "text": text("mrkdwn", 3000)}
	require.NoError(t, format.Validate(message(section)))
	require.NoError(t, format.Validate(message(map[string]any{"type": "section", "fields": many(10, text("mrkdwn", 2000))})))
	for name, m := range map[string]map[string]any{
		"no blocks":                message(),
		"too many blocks":          message(many(51, section)...),
		"no text":                  {"blocks": []any{section}},
		"unknown block":            message(map[string]any{"type": "headline", "text": text("mrkdwn", 1)}),
		"header with markup":       message(map[string]any{"type": "header", "text": text("mrkdwn", 1)}),
		"long header":              message(map[string]any{"type": "header", "text": text("plain_text", 151)}),
		"empty section":            message(map[string]any{"type": "section"}),
		"section of an empty text": message(map[string]any{"type": "section", "text": text("mrkdwn", 0)}),
		"long section":             message(map[string]any{"type": "section", "text": text("mrkdwn", 3001)}),
		"too many fields":          message(map[string]any{"type": "section", "fields": many(11, text("mrkdwn", 1))}),
		"long field":               message(map[string]any{"type": "section", "fields": many(1, text("mrkdwn", 2001))}),
		"text of another type":     message(map[string]any{"type": "section", "text": text("markdown", 1)}),
		"too many elements":        message(map[string]any{"type": "context", "elements": many(11, text("mrkdwn", 1))}),
		"fields of a header":       message(map[string]any{"type": "header", "text": text("plain_text", 1), "fields": many(1, text("mrkdwn", 1))}),
		"unknown field":            {"text": "t", "blocks": []any{section}, "colour": "red"},
	} {
		require.Error(t, format.Validate(m), name)
	}
}
