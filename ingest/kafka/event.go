package kafka

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// What one security event may bring along. What is longer is cut; more details are left out.
const (
	maxEvents      = 10_000 // of one message
	maxEventText   = 512
	maxDetailText  = 4096
	maxEventDetail = 64
)

// origin is where a message came from.
type origin struct {
	topic     string
	partition int
	offset    int64
}

// wireEvent is a security event as guards send it: type, severity and details, and the rest where they know it.
type wireEvent struct {
	ID        string                     `json:"id"`
	Timestamp time.Time                  `json:"timestamp"`
	Type      string                     `json:"type"`
	Severity  string                     `json:"severity"`
	Service   string                     `json:"service"`
	User      string                     `json:"user"`
	APIKey    string                     `json:"api_key"`
	TraceID   engine.TraceID             `json:"trace_id"`
	Details   map[string]json.RawMessage `json:"details"`
}

// decodeEvents reads one event or an array of them. An event without an id is given that of its message, so that it counts once
// when it is delivered again; one without a time happened when its message was written.
func decodeEvents(body []byte, from origin, written time.Time) ([]engine.SecurityEvent, error) {
	var wire []wireEvent
	var err error
	if bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("[")) {
		err = json.Unmarshal(body, &wire)
	} else {
		wire = make([]wireEvent, 1)
		err = json.Unmarshal(body, &wire[0])
	}
	if err != nil {
		return nil, engine.Errorf(engine.CodeInvalid, "malformed security event: %w", err)
	}
	if len(wire) > maxEvents {
		return nil, engine.Errorf(engine.CodeTooLarge, "%d security events in one message, at most %d are taken", len(wire), maxEvents)
	}
	events := make([]engine.SecurityEvent, len(wire))
	for i, w := range wire {
		e := w.event()
		if e.Type == "" {
			return nil, engine.Errorf(engine.CodeInvalid, "security event %d: type is missing", i)
		}
		if e.Severity.Rank() < 0 {
			return nil, engine.Errorf(engine.CodeInvalid, "security event %d: severity %q is none of low, medium, high, critical", i, e.Severity)
		}
		e.ID = cmp.Or(e.ID, fmt.Sprintf("kafka:%s/%d/%d/%d", from.topic, from.partition, from.offset, i))
		if e.At.IsZero() {
			e.At = written
		}
		events[i] = e
	}
	return events, nil
}

func (w wireEvent) event() engine.SecurityEvent {
	e := engine.SecurityEvent{
		ID: cut(w.ID, maxEventText), At: w.Timestamp, Type: cut(w.Type, maxEventText),
		Severity: engine.Severity(strings.ToLower(cut(w.Severity, maxEventText))),
		Service:  cut(w.Service, maxEventText), User: cut(w.User, maxEventText), APIKey: cut(w.APIKey, maxEventText), TraceID: w.TraceID,
	}
	names := slices.Sorted(maps.Keys(w.Details))
	for _, name := range names[:min(len(names), maxEventDetail)] {
		raw := w.Details[name]
		text := string(raw)
		var s string
		if json.Unmarshal(raw, &s) == nil {
			text = s
		}
		if e.Details == nil {
			e.Details = map[string]string{}
		}
		e.Details[cut(name, maxEventText)] = cut(text, maxDetailText)
	}
	// Guards that know only the three fields of the contract put these among the details.
	e.Service = cmp.Or(e.Service, cut(e.Details["service"], maxEventText))
	e.User = cmp.Or(e.User, cut(e.Details["user"], maxEventText), cut(e.Details["user_id"], maxEventText))
	e.APIKey = cmp.Or(e.APIKey, cut(e.Details["api_key"], maxEventText), cut(e.Details["api_key_id"], maxEventText))
	if e.TraceID.IsZero() {
		_ = e.TraceID.UnmarshalText([]byte(e.Details["trace_id"])) // what is no id stays a detail
	}
	return e
}

// cut shortens a valid text, and lets go of the rest.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.Clone(engine.Cut(s, limit))
}
