package kafka

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/ingest"
	"github.com/llm-sentinel/llm-sentinel/ingest/genai"
)

// Mapper maps OTLP requests to the domain. It is safe for concurrent use; [genai.Mapper] is one.
type Mapper interface {
	Spans(td ptrace.Traces, now time.Time) genai.Result
	Logs(ld plog.Logs, now time.Time) genai.Result
}

// decoder reads the messages of one topic.
type decoder struct {
	mapper   Mapper
	encoding Encoding
	signal   Signal
	limit    int // bytes of a message, before and after its own gzip
}

// content is what a message holds.
type content struct {
	genai.Result
	events []engine.SecurityEvent
}

func (c content) batch() engine.Batch {
	return engine.Batch{Spans: c.Spans, Contents: c.Contents, Evaluations: c.Evaluations, Events: c.events}
}

func (c content) empty() bool {
	return len(c.Spans)+len(c.Contents)+len(c.Evaluations)+len(c.events) == 0
}

// decode reads a message. Errors carry CodeInvalid or CodeTooLarge; they may quote the message and are not for the log.
func (d decoder) decode(m kafkago.Message, now time.Time) (content, error) {
	if len(m.Value) == 0 || isMarker(m) {
		return content{}, nil
	}
	body, err := inflate(m.Value, d.limit)
	if err != nil {
		return content{}, err
	}
	if d.signal == SignalSecurity {
		events, err := decodeEvents(body, origin{m.Topic, m.Partition, m.Offset}, m.Time)
		return content{events: events}, err
	}
	isJSON := d.encoding == EncodingJSON
	if d.encoding == EncodingAuto {
		// No protobuf message of OTLP begins like this: it would be a group, which proto3 does not have.
		isJSON = bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{"))
	}
	if isJSON {
		return d.decodeJSON(body, now)
	}
	return d.decodeProto(body, now)
}

// isMarker reports whether a message is the end of a transaction, which kafka-go does not keep to itself: the key is a version and
// whether the transaction was aborted or committed, the value a version and the epoch of the coordinator, most significant first.
func isMarker(m kafkago.Message) bool {
	return len(m.Key) == 4 && m.Key[0] == 0 && m.Key[1] == 0 && m.Key[2] == 0 && m.Key[3] <= 1 &&
		len(m.Value) == 6 && m.Value[0] == 0 && m.Value[1] == 0
}

// inflate undoes gzip. It stops as soon as the limit is passed, so that a small message cannot make a large one.
func inflate(body []byte, limit int) ([]byte, error) {
	if len(body) > limit {
		return nil, tooLarge(limit)
	}
	if !bytes.HasPrefix(body, []byte{0x1f, 0x8b}) {
		return body, nil
	}
	out, err := ingest.Gunzip(body, limit)
	switch {
	case errors.Is(err, ingest.ErrTooLarge):
		return nil, tooLarge(limit)
	case err != nil:
		return nil, engine.Errorf(engine.CodeInvalid, "malformed gzip: %w", err)
	}
	return out, nil
}

func tooLarge(limit int) error {
	return engine.Errorf(engine.CodeTooLarge, "message is larger than %d bytes", limit)
}

// decodeProto tells the signals apart by trying: their fields have different wire types.
func (d decoder) decodeProto(body []byte, now time.Time) (content, error) {
	var tracesErr, logsErr error
	if d.signal != SignalLogs {
		var td ptrace.Traces
		if td, tracesErr = (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(body); tracesErr == nil {
			return content{Result: d.mapper.Spans(td, now)}, nil
		}
	}
	if d.signal != SignalTraces {
		var ld plog.Logs
		if ld, logsErr = (&plog.ProtoUnmarshaler{}).UnmarshalLogs(body); logsErr == nil {
			return content{Result: d.mapper.Logs(ld, now)}, nil
		}
	}
	switch d.signal {
	case SignalTraces:
		return content{}, engine.Errorf(engine.CodeInvalid, "malformed protobuf: not traces: %w", tracesErr)
	case SignalLogs:
		return content{}, engine.Errorf(engine.CodeInvalid, "malformed protobuf: not logs: %w", logsErr)
	}
	if md, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(body); err == nil {
		return content{Result: genai.Result{Stats: genai.Stats{Skipped: md.MetricCount()}}}, nil
	}
	return content{}, engine.Errorf(engine.CodeInvalid, "malformed protobuf: neither traces (%w) nor logs (%w) nor metrics", tracesErr, logsErr)
}

// The keys of OTLP/JSON that tell the signal.
const (
	keySpans   = "resourceSpans"
	keyLogs    = "resourceLogs"
	keyMetrics = "resourceMetrics"
)

func (d decoder) decodeJSON(body []byte, now time.Time) (content, error) {
	// The decoder of OTLP neither bounds how deep values nest nor minds what stands behind the request.
	if !json.Valid(body) {
		var raw json.RawMessage
		return content{}, engine.Errorf(engine.CodeInvalid, "malformed JSON: %w", json.Unmarshal(body, &raw))
	}
	key := signalKey(body)
	switch {
	case key == "":
		return content{}, engine.Errorf(engine.CodeInvalid, "malformed OTLP/JSON: want an object with %s, %s or %s", keySpans, keyLogs, keyMetrics)
	case d.signal == SignalTraces && key != keySpans, d.signal == SignalLogs && key != keyLogs:
		return content{}, engine.Errorf(engine.CodeInvalid, "%s on a topic of %s", key, d.signal)
	}
	switch key {
	case keySpans:
		td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(body)
		if err != nil {
			return content{}, engine.Errorf(engine.CodeInvalid, "malformed OTLP/JSON: %w", err)
		}
		return content{Result: d.mapper.Spans(td, now)}, nil
	case keyLogs:
		ld, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(body)
		if err != nil {
			return content{}, engine.Errorf(engine.CodeInvalid, "malformed OTLP/JSON: %w", err)
		}
		return content{Result: d.mapper.Logs(ld, now)}, nil
	}
	return content{Result: genai.Result{Stats: genai.Stats{Skipped: 1}}}, nil
}

// signalKey returns the first key of a valid JSON object that tells a signal, "" when there is none.
func signalKey(body []byte) string {
	dec := json.NewDecoder(bytes.NewReader(body))
	if token, err := dec.Token(); err != nil || token != json.Delim('{') {
		return ""
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return ""
		}
		switch key {
		case keySpans, keyLogs, keyMetrics:
			return key.(string)
		}
		var skipped json.RawMessage
		if dec.Decode(&skipped) != nil {
			return ""
		}
	}
	return ""
}
