package kafka

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	kafkago "github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/ingest/genai"
)

func newDecoder(t testing.TB, encoding Encoding, signal Signal, limit int) decoder {
	t.Helper()
	mapper, err := genai.New(genai.DefaultLimits())
	require.NoError(t, err)
	return decoder{mapper, encoding, signal, limit}
}

func zipped(t testing.TB, body []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	zw := gzip.NewWriter(&out)
	_, err := zw.Write(body)
	require.NoError(t, err)
	require.NoError(t, zw.Close())
	return out.Bytes()
}

func tracesJSON(t testing.TB, td ptrace.Traces) []byte {
	t.Helper()
	body, err := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
	require.NoError(t, err)
	return body
}

// What is no telemetry of the topic is an error that says what was expected, and never an empty success.
func TestDecodeRefuses(t *testing.T) {
	spans, spansJSON := proto(t, request("chat")), tracesJSON(t, request("chat"))
	logs := plog.NewLogs()
	logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().SetObservedTimestamp(1)
	logBody, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs)
	require.NoError(t, err)
	for name, test := range map[string]struct {
		encoding Encoding
		signal   Signal
		body     []byte
		code     engine.Code
		message  string
	}{
		"text":                       {EncodingAuto, SignalAuto, []byte("hello"), engine.CodeInvalid, "neither traces"},
		"cut protobuf":               {EncodingAuto, SignalAuto, spans[:len(spans)-1], engine.CodeInvalid, "neither traces"},
		"cut JSON":                   {EncodingAuto, SignalAuto, spansJSON[:len(spansJSON)-1], engine.CodeInvalid, "malformed JSON"},
		"JSON that is not OTLP":      {EncodingAuto, SignalAuto, []byte(`{"a":{"resourceSpans":[]}}`), engine.CodeInvalid, "want an object with resourceSpans"},
		"wrong type":                 {EncodingAuto, SignalTraces, []byte(`{"resourceSpans":7}`), engine.CodeInvalid, "malformed OTLP/JSON"},
		"two requests":               {EncodingJSON, SignalAuto, append(bytes.Clone(spansJSON), spansJSON...), engine.CodeInvalid, "malformed JSON"},
		"deep JSON":                  {EncodingJSON, SignalAuto, []byte(`{"resourceSpans":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + "}"), engine.CodeInvalid, "malformed JSON"},
		"JSON where protobuf is due": {EncodingProto, SignalAuto, spansJSON, engine.CodeInvalid, "malformed protobuf"},
		"protobuf where JSON is due": {EncodingJSON, SignalAuto, spans, engine.CodeInvalid, "malformed JSON"},
		"logs on a topic of traces":  {EncodingAuto, SignalTraces, logBody, engine.CodeInvalid, "not traces"},
		"traces on a topic of logs":  {EncodingAuto, SignalLogs, spansJSON, engine.CodeInvalid, "resourceSpans on a topic of logs"},
		"malformed gzip":             {EncodingAuto, SignalAuto, []byte("\x1f\x8b garbage"), engine.CodeInvalid, "malformed gzip"},
		"cut gzip":                   {EncodingAuto, SignalAuto, zipped(t, spans)[:30], engine.CodeInvalid, "malformed gzip"},
		"too large":                  {EncodingAuto, SignalAuto, make([]byte, 1<<16+1), engine.CodeTooLarge, "larger than 65536 bytes"},
		"gzip of something large":    {EncodingAuto, SignalAuto, zipped(t, make([]byte, 1<<24)), engine.CodeTooLarge, "larger than 65536 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newDecoder(t, test.encoding, test.signal, 1<<16).decode(kafkago.Message{Value: test.body}, time.Now())
			require.Equal(t, test.code, engine.ErrorCode(err), "%v", err)
			require.ErrorContains(t, err, test.message)
		})
	}
}

// Producers that use transactions leave markers in the topic, which kafka-go hands on like messages.
func TestDecodePassesOverWhatIsNoMessage(t *testing.T) {
	d := newDecoder(t, EncodingAuto, SignalAuto, 1<<16)
	for name, m := range map[string]kafkago.Message{
		"tombstone":    {Key: []byte("k")},
		"commit":       {Key: []byte{0, 0, 0, 1}, Value: []byte{0, 0, 0, 0, 0, 3}},
		"abort":        {Key: []byte{0, 0, 0, 0}, Value: []byte{0, 0, 0, 0, 0, 3}},
		"empty traces": {Value: []byte(`{"resourceSpans":[]}`)},
		"metrics":      {Value: []byte(`{"resourceMetrics":[{}]}`)},
	} {
		c, err := d.decode(m, time.Now())
		require.NoError(t, err, name)
		require.True(t, c.empty(), name)
	}
}

func TestDecodeEvents(t *testing.T) {
	written := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	m := kafkago.Message{Topic: "guards", Partition: 3, Offset: 44, Time: written}
	d := newDecoder(t, EncodingAuto, SignalSecurity, 1<<20)
	decode := func(body string) ([]engine.SecurityEvent, error) {
		m.Value = []byte(body)
		c, err := d.decode(m, time.Now())
		return c.events, err
	}
	t.Run("three fields", func(t *testing.T) {
		events, err := decode(`{"type":"jailbreak","severity":"HIGH","details":{"api_key":"k-1","user_id":"u-1","trace_id":"0102030405060708090a0b0c0d0e0f10","rule":{"id":7},"score":0.9}}`)
		require.NoError(t, err)
		require.Equal(t, []engine.SecurityEvent{{
			ID: "kafka:guards/3/44/0", At: written, Type: "jailbreak", Severity: engine.SeverityHigh, User: "u-1", APIKey: "k-1",
			TraceID: engine.TraceID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
			Details: map[string]string{"api_key": "k-1", "user_id": "u-1", "trace_id": "0102030405060708090a0b0c0d0e0f10", "rule": `{"id":7}`, "score": "0.9"},
		}}, events)
	})
	t.Run("all fields, in a list", func(t *testing.T) {
		events, err := decode(` [{"id":"e-1","timestamp":"2026-04-30T08:00:00Z","type":"rate_limit","severity":"low","service":"gateway","user":"u","api_key":"k","details":{"user":"other"}},{"type":"x","severity":"critical"}]`)
		require.NoError(t, err)
		require.Equal(t, "e-1", events[0].ID)
		require.Equal(t, time.Date(2026, 4, 30, 8, 0, 0, 0, time.UTC), events[0].At)
		require.Equal(t, "u", events[0].User)
		require.Equal(t, "kafka:guards/3/44/1", events[1].ID)
	})
	t.Run("long texts are cut", func(t *testing.T) {
		long, err := json.Marshal(strings.Repeat("é", 5000))
		require.NoError(t, err)
		events, err := decode(`{"type":` + string(long) + `,"severity":"low","details":{"text":` + string(long) + `}}`)
		require.NoError(t, err)
		require.Len(t, events[0].Type, maxEventText)
		require.Len(t, events[0].Details["text"], maxDetailText)
	})
	for name, body := range map[string]string{
		"no type": `{"severity":"low"}`, "no severity": `{"type":"x"}`, "unknown severity": `{"type":"x","severity":"dire"}`, "number": `7`, "text": `"x"`,
		"bad trace id": `{"type":"x","severity":"low","trace_id":"zz"}`, "bad time": `{"type":"x","severity":"low","timestamp":"noon"}`,
		"one of two": `[{"type":"x","severity":"low"},{"type":"x"}]`,
	} {
		_, err := decode(body)
		require.Equal(t, engine.CodeInvalid, engine.ErrorCode(err), name)
	}
	_, err := decode("[" + strings.Repeat(`{},`, maxEvents) + "{}]")
	require.Equal(t, engine.CodeTooLarge, engine.ErrorCode(err))
}

// What the published schema of security events allows can be read here.
func TestEventsFollowTheSchema(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join("..", "..", "docs", "schemas", "events.security.schema.json"))
	require.NoError(t, err)
	for body, valid := range map[string]bool{
		`{"type":"jailbreak","severity":"high"}`:                         true,
		`{"type":"jailbreak","severity":"high","details":null}`:          true,
		`[{"type":"a","severity":"low","details":{"n":[1,{"b":null}]}}]`: true,
		`{"type":"a","severity":"low","trace_id":""}`:                    true,
		`{"id":"1","timestamp":"2026-01-01T00:00:00Z","type":"a","severity":"critical","service":"s","user":"u","api_key":"k","trace_id":"0102030405060708090A0B0C0D0E0F10"}`: true,
		`{"severity":"high"}`:                    false,
		`{"type":"a","severity":"dire"}`:         false,
		`{"type":"a","severity":"low","user":1}`: false,
		`[{"type":"a"}]`:                         false,
		`"a"`:                                    false,
	} {
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
		require.NoError(t, err)
		require.Equal(t, valid, schema.Validate(value) == nil, body)
		_, err = decodeEvents([]byte(body), origin{}, time.Now())
		require.Equal(t, valid, err == nil, "%s: %v", body, err)
	}
}

// FuzzDecode takes any message on any topic: it is read, or it is a dead letter with a reason, and its size is bounded.
func FuzzDecode(f *testing.F) {
	spans := request("chat")
	for _, body := range [][]byte{
		proto(f, spans), tracesJSON(f, spans), zipped(f, proto(f, spans)), zipped(f, tracesJSON(f, spans)),
		[]byte(`{"resourceLogs":[{}]}`), []byte(`{"type":"jailbreak","severity":"high","details":{"user":"u"}}`), {0x1f, 0x8b},
	} {
		f.Add(body, uint8(0), uint8(0))
		f.Add(body, uint8(1), uint8(2))
		f.Add(body, uint8(2), uint8(3))
	}
	for _, r := range recordings(f) {
		f.Add(r.Value, uint8(0), uint8(0))
	}
	encodings := []Encoding{EncodingAuto, EncodingProto, EncodingJSON}
	signals := []Signal{SignalAuto, SignalTraces, SignalLogs, SignalSecurity}
	mapper := newDecoder(f, EncodingAuto, SignalAuto, 0).mapper
	f.Fuzz(func(t *testing.T, body []byte, encoding, signal uint8) {
		d := decoder{mapper, encodings[int(encoding)%len(encodings)], signals[int(signal)%len(signals)], 1 << 16}
		c, err := d.decode(kafkago.Message{Topic: "t", Value: body}, time.Now())
		if err != nil {
			require.Contains(t, []engine.Code{engine.CodeInvalid, engine.CodeTooLarge}, engine.ErrorCode(err))
			require.True(t, c.empty())
			return
		}
		for _, e := range c.events {
			require.NotEmpty(t, e.ID)
			require.NotEmpty(t, e.Type)
			require.GreaterOrEqual(t, e.Severity.Rank(), 0)
			require.LessOrEqual(t, len(e.Details), maxEventDetail)
		}
		for _, s := range c.Spans {
			require.False(t, s.End.Before(s.Start))
		}
	})
}
