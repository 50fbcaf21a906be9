package rabbitmq

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// dialect is what the senders of a queue may leave out.
type dialect struct {
	typeNames []string        // fields that hold the type, the first one that is there counts
	severity  engine.Severity // of an event without one; "" demands it
}

// The dialects: a guard's events name their severity; what a gateway reports is often only told by its type.
var (
	guardEvents   = dialect{typeNames: []string{"type"}}
	gatewayEvents = dialect{typeNames: []string{"type", "event_type", "event"}, severity: engine.SeverityLow}
)

// Bounds of one event.
const (
	maxName    = 128 // bytes of a type and of the name of a detail
	maxValue   = 256 // bytes of an identity
	maxDetail  = 1024
	maxDetails = 64
	maxDepth   = 4 // of nested details
)

// The names under which an identity is found, in the message or in its details.
var (
	idNames      = []string{"id", "event_id"}
	timeNames    = []string{"timestamp", "time", "occurred_at"}
	serviceNames = []string{"service", "service_name", "service.name"}
	userNames    = []string{"user", "user_id", "user.id", "username"}
	keyNames     = []string{"api_key", "api_key_id", "api_key.id", "apiKey", "key_id"}
	traceNames   = []string{"trace_id", "traceId", "trace.id"}
)

// decode reads one event. It is lenient about where an identity stands and strict about what it is: the error names the field. ID and At
// stay empty where the message has none.
func decode(body []byte, d dialect) (engine.SecurityEvent, error) {
	var e engine.SecurityEvent
	fields, err := readObject(body)
	if err != nil {
		return e, err
	}
	f := form{top: make(map[string]any), details: make(map[string]any)}
	switch details := fields["details"].(type) {
	case nil:
	case map[string]any:
		flatten(f.details, "", details, maxDepth)
	default:
		return e, fmt.Errorf("details: want an object, is %s", kindOf(details))
	}
	delete(fields, "details")
	flatten(f.top, "", fields, maxDepth)

	if e.Type, err = f.text(maxName, true, d.typeNames...); err != nil {
		return e, err
	}
	if e.Type == "" {
		return e, fmt.Errorf("%s: missing", d.typeNames[0])
	}
	if e.Severity, err = f.severity(d); err != nil {
		return e, err
	}
	if e.At, err = f.time(); err != nil {
		return e, err
	}
	if e.TraceID, err = f.trace(); err != nil {
		return e, err
	}
	for _, field := range []struct {
		value *string
		names []string
	}{{&e.ID, idNames}, {&e.Service, serviceNames}, {&e.User, userNames}, {&e.APIKey, keyNames}} {
		if *field.value, err = f.text(maxValue, false, field.names...); err != nil {
			return e, err
		}
	}
	e.Details = f.rest()
	return e, nil
}

// readObject reads the one JSON object that a message is.
func readObject(body []byte) (map[string]any, error) {
	in := json.NewDecoder(bytes.NewReader(body))
	in.UseNumber()
	var whole any
	if err := in.Decode(&whole); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("not JSON: more than one value")
	}
	fields, ok := whole.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("want an object, is %s", kindOf(whole))
	}
	return fields, nil
}

// form is a message with nested objects flattened to dotted names. What is taken out of it is no detail any more.
type form struct{ top, details map[string]any }

// take removes and returns the first of the named fields, of the message itself before its details.
func (f form) take(topOnly bool, names ...string) (where string, value any) {
	places := []struct {
		prefix string
		fields map[string]any
	}{{"", f.top}, {"details.", f.details}}
	if topOnly {
		places = places[:1]
	}
	for _, place := range places {
		for _, name := range names {
			if v, ok := place.fields[name]; ok {
				delete(place.fields, name)
				return place.prefix + name, v
			}
		}
	}
	return "", nil
}

func (f form) text(most int, topOnly bool, names ...string) (string, error) {
	where, value := f.take(topOnly, names...)
	if value == nil {
		return "", nil
	}
	text, ok := value.(string)
	if !ok {
		return "", fmt.Errorf("%s: want a string, is %s", where, kindOf(value))
	}
	text = strings.TrimSpace(text)
	if len(text) > most {
		return "", fmt.Errorf("%s: longer than %d bytes", where, most)
	}
	return text, nil
}

// severities are the names of severities that senders use.
var severities = map[string]engine.Severity{
	"critical": engine.SeverityCritical, "fatal": engine.SeverityCritical,
	"high": engine.SeverityHigh, "error": engine.SeverityHigh,
	"medium": engine.SeverityMedium, "moderate": engine.SeverityMedium, "warning": engine.SeverityMedium, "warn": engine.SeverityMedium,
	"low": engine.SeverityLow, "info": engine.SeverityLow, "informational": engine.SeverityLow,
}

func (f form) severity(d dialect) (engine.Severity, error) {
	text, err := f.text(maxName, true, "severity")
	if err != nil {
		return "", err
	}
	if text == "" {
		if d.severity == "" {
			return "", errors.New("severity: missing")
		}
		return d.severity, nil
	}
	s, ok := severities[strings.ToLower(text)]
	if !ok {
		return "", errors.New("severity: want critical, high, medium or low")
	}
	return s, nil
}

func (f form) time() (time.Time, error) {
	where, value := f.take(false, timeNames...)
	if value == nil {
		return time.Time{}, nil
	}
	text, ok := value.(string)
	if !ok {
		return time.Time{}, fmt.Errorf("%s: want a string, is %s", where, kindOf(value))
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.Year() < 1970 || t.Year() > 2200 {
		return time.Time{}, fmt.Errorf("%s: want RFC 3339", where)
	}
	return t.UTC(), nil
}

// trace reads a trace id: 32 hex digits, with the hyphens of a UUID or not, or the 16 of older tracers.
func (f form) trace() (engine.TraceID, error) {
	var id engine.TraceID
	where, value := f.take(false, traceNames...)
	if value == nil {
		return id, nil
	}
	text, ok := value.(string)
	if !ok {
		return id, fmt.Errorf("%s: want a string, is %s", where, kindOf(value))
	}
	digits := strings.ReplaceAll(text, "-", "")
	if len(digits) == 16 {
		digits = strings.Repeat("0", 16) + digits
	}
	if err := id.UnmarshalText([]byte(digits)); err != nil {
		return engine.TraceID{}, fmt.Errorf("%s: want 32 hex digits", where)
	}
	return id, nil
}

// rest is what nothing was made of, as texts: details first, then unknown fields of the message itself.
func (f form) rest() map[string]string {
	out := make(map[string]string)
	for _, fields := range []map[string]any{f.details, f.top} {
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			if _, taken := out[name]; taken || name == "" || len(name) > maxName || len(out) >= maxDetails {
				continue
			}
			out[name] = cut(textOf(fields[name]), maxDetail)
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// flatten puts the fields of an object into out, those of nested objects under dotted names. Null is nothing.
func flatten(out map[string]any, prefix string, fields map[string]any, depth int) {
	for name, value := range fields {
		nested, ok := value.(map[string]any)
		switch {
		case value == nil:
		case ok && depth > 1:
			flatten(out, prefix+name+".", nested, depth-1)
		default:
			out[prefix+name] = value
		}
	}
}

func textOf(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return fmt.Sprint(v)
	}
	text, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	return string(text)
}

// cut shortens a text to at most n bytes, at a rune, with a marker.
func cut(text string, n int) string {
	const marker = "…"
	if len(text) <= n {
		return text
	}
	return engine.Cut(text, n-len(marker)) + marker
}

func kindOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case json.Number:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "a list"
	}
	return "an object"
}
