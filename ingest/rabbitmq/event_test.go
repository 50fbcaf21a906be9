package rabbitmq

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

const hex32 = "0af7651916cd43dd8448eb211c80319c"

func traceID(t testing.TB, text string) engine.TraceID {
	t.Helper()
	var id engine.TraceID
	require.NoError(t, id.UnmarshalText([]byte(text)))
	return id
}

// good are messages and what they say.
func good(t testing.TB) map[string]engine.SecurityEvent {
	at := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	return map[string]engine.SecurityEvent{
		`{"type":"jailbreak","severity":"high","details":{}}`: {Type: "jailbreak", Severity: engine.SeverityHigh},
		`{"type":"jailbreak","severity":"CRITICAL"}`:          {Type: "jailbreak", Severity: engine.SeverityCritical},
		`{"type":"prompt_injection","severity":"warning","details":null,"user":null}`: {
			Type: "prompt_injection", Severity: engine.SeverityMedium},
		`{"id":"1","timestamp":"2026-03-02T11:00:00+01:00","type":"x","severity":"low","service":"shop","user":"u","api_key":"k","trace_id":"` + hex32 + `"}`: {
			ID: "1", At: at, Type: "x", Severity: engine.SeverityLow, Service: "shop", User: "u", APIKey: "k", TraceID: traceID(t, hex32)},
		`{"type":"x","severity":"low","details":{"event_id":"1","time":"2026-03-02T10:00:00Z","service.name":"shop","user":{"id":"u"},"api_key_id":"k","traceId":"0AF76519-16CD-43DD-8448-EB211C80319C"}}`: {
			ID: "1", At: at, Type: "x", Severity: engine.SeverityLow, Service: "shop", User: "u", APIKey: "k", TraceID: traceID(t, hex32)},
		`{"type":"x","severity":"low","user":"outer","details":{"user":"inner","session_id":"s"}}`: {
			Type: "x", Severity: engine.SeverityLow, User: "outer", Details: map[string]string{"user": "inner", "session_id": "s"}},
		`{"type":"x","severity":"low","action":"blocked","details":{"score":0.25,"blocked":true,"rules":["a",1],"geo":{"country":"DE"}}}`: {
			Type: "x", Severity: engine.SeverityLow, Details: map[string]string{
				"action": "blocked", "score": "0.25", "blocked": "true", "rules": `["a",1]`, "geo.country": "DE"}},
		`{"type":"x","severity":"low","trace_id":"8448eb211c80319c"}`: {
			Type: "x", Severity: engine.SeverityLow, TraceID: traceID(t, strings.Repeat("0", 16)+"8448eb211c80319c")},
	}
}

// bad are messages and why they cannot be used.
var bad = map[string]string{
	``:                                     "not JSON",
	`[]`:                                   "want an object, is a list",
	`null`:                                 "want an object, is null",
	`{"type":"x","severity":"low"} {}`:     "more than one value",
	`{"severity":"low"}`:                   "type: missing",
	`{"type":"","severity":"low"}`:         "type: missing",
	`{"type":7,"severity":"low"}`:          "type: want a string, is a number",
	`{"type":"x"}`:                         "severity: missing",
	`{"type":"x","severity":"urgent"}`:     "severity: want critical, high, medium or low",
	`{"type":"x","severity":["low"]}`:      "severity: want a string, is a list",
	`{"type":"x","severity":"low","id":7}`: "id: want a string, is a number",
	`{"type":"x","severity":"low","details":"no"}`:                                 "details: want an object, is a string",
	`{"type":"x","severity":"low","timestamp":1772445600}`:                         "timestamp: want a string, is a number",
	`{"type":"x","severity":"low","timestamp":"yesterday"}`:                        "timestamp: want RFC 3339",
	`{"type":"x","severity":"low","details":{"user":17}}`:                          "details.user: want a string, is a number",
	`{"type":"x","severity":"low","details":{"api_key":true}}`:                     "details.api_key: want a string, is a boolean",
	`{"type":"x","severity":"low","service":"` + strings.Repeat("s", 257) + `"}`:   "service: longer than 256 bytes",
	`{"type":"x","severity":"low","trace_id":"00-` + hex32 + `-b7ad6b7169203331"}`: "trace_id: want 32 hex digits",
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for text, want := range good(t) {
		got, err := decode([]byte(text), guardEvents)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for text, want := range bad {
		_, err := decode([]byte(text), guardEvents)
		require.ErrorContains(t, err, want, text)
	}
}

func TestGatewayEventsMayLeaveTheSeverityOut(t *testing.T) {
	t.Parallel()
	got, err := decode([]byte(`{"event_type":"rate_limit_exceeded","key_id":"k","limit":100}`), gatewayEvents)
	require.NoError(t, err)
	require.Equal(t, engine.SecurityEvent{
		Type: "rate_limit_exceeded", Severity: engine.SeverityLow, APIKey: "k", Details: map[string]string{"limit": "100"},
	}, got)
	_, err = decode([]byte(`{"severity":"low"}`), gatewayEvents)
	require.ErrorContains(t, err, "type: missing")
}

func TestDetailsAreBounded(t *testing.T) {
	t.Parallel()
	many := make(map[string]any)
	for i := range 500 {
		many[strings.Repeat("n", i+1)] = strings.Repeat("ü", 2_000)
	}
	deep := map[string]any{"leaf": 1}
	for range 50 {
		deep = map[string]any{"d": deep}
	}
	many["deep"] = deep
	text, err := json.Marshal(map[string]any{"type": "x", "severity": "low", "details": many})
	require.NoError(t, err)
	e, err := decode(text, guardEvents)
	require.NoError(t, err)
	require.Len(t, e.Details, maxDetails)
	for name, value := range e.Details {
		require.LessOrEqual(t, len(name), maxName)
		require.LessOrEqual(t, len(value), maxDetail)
	}
}

func TestIdentityOfEventsWithoutOne(t *testing.T) {
	t.Parallel()
	o := newOrigins(2)
	now := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	get := func(m amqp.Delivery, e engine.SecurityEvent) (engine.SecurityEvent, digest, origin) {
		d, x, _ := o.complete(&e, &m, now)
		now = now.Add(time.Second)
		return e, d, x
	}
	timed := engine.SecurityEvent{At: now}
	first, _, _ := get(amqp.Delivery{Body: []byte("a")}, timed)
	again, _, _ := get(amqp.Delivery{Body: []byte("a"), Redelivered: true}, timed)
	other, _, _ := get(amqp.Delivery{Body: []byte("b")}, timed)
	require.Equal(t, first, again, "a message with a time is known by its content")
	require.NotEqual(t, first.ID, other.ID)

	named, _, _ := get(amqp.Delivery{Body: []byte("a"), MessageId: "m", Timestamp: now}, engine.SecurityEvent{})
	require.Equal(t, "m", named.ID)

	one, d, x := get(amqp.Delivery{Body: []byte("a")}, engine.SecurityEvent{})
	two, _, y := get(amqp.Delivery{Body: []byte("a")}, engine.SecurityEvent{})
	require.NotEqual(t, one.ID, two.ID, "two messages that read the same are two events")
	o.letLoose(d, x)
	o.letLoose(d, y)
	for _, want := range []engine.SecurityEvent{one, two} {
		got, _, _ := get(amqp.Delivery{Body: []byte("a"), Redelivered: true}, engine.SecurityEvent{})
		require.Equal(t, want, got)
	}
	for range 100 {
		_, d, x = get(amqp.Delivery{Body: []byte(now.String())}, engine.SecurityEvent{})
		o.letLoose(d, x)
	}
	require.LessOrEqual(t, len(o.loose), 2)
	require.LessOrEqual(t, len(o.order), 2)
}

func schema(t testing.TB, queue string) *jsonschema.Schema {
	t.Helper()
	path := "../../docs/schemas/" + queue + ".schema.json"
	in, err := os.Open(path)
	require.NoError(t, err)
	defer in.Close()
	document, err := jsonschema.UnmarshalJSON(in)
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	require.NoError(t, c.AddResource(queue, document))
	s, err := c.Compile(queue)
	require.NoError(t, err)
	return s
}

// TestSchemasSayWhatIsRead holds the published schemas against the decoder, both ways.
func TestSchemasSayWhatIsRead(t *testing.T) {
	t.Parallel()
	messages := make([]string, 0, len(bad))
	for text := range good(t) {
		messages = append(messages, text)
	}
	for text := range bad {
		messages = append(messages, text)
	}
	messages = append(messages, `{"event":"login_failed"}`, `{"event_type":"rate_limit_exceeded","severity":"info"}`)
	for queue, d := range map[string]dialect{"security.events": guardEvents, "gateway.events": gatewayEvents} {
		s := schema(t, queue)
		for _, text := range messages {
			document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
			if err != nil {
				continue // no schema speaks of what is not JSON
			}
			_, refused := decode([]byte(text), d)
			if refused == nil {
				require.NoError(t, s.Validate(document), "%s: %s", queue, text)
			} else {
				require.Error(t, s.Validate(document), "%s: %s: %v", queue, text, refused)
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	for text := range good(f) {
		f.Add([]byte(text))
	}
	for text := range bad {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, d := range []dialect{guardEvents, gatewayEvents} {
			e, err := decode(body, d)
			again, errAgain := decode(body, d)
			require.Equal(t, err == nil, errAgain == nil)
			require.Equal(t, e.Details, again.Details)
			if err != nil {
				continue
			}
			require.NotEmpty(t, e.Type)
			require.GreaterOrEqual(t, e.Severity.Rank(), 0)
			require.LessOrEqual(t, len(e.Details), maxDetails)
			for _, text := range []string{e.ID, e.Service, e.User, e.APIKey} {
				require.LessOrEqual(t, len(text), maxValue)
			}
			_, err = json.Marshal(e)
			require.NoError(t, err)
		}
	})
}
