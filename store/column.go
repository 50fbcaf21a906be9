package store

import (
	"encoding/json"
	"math"
	"strings"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

var (
	earliest = time.Unix(0, math.MinInt64)
	latest   = time.Unix(0, math.MaxInt64)
)

// Nanos is the column of a time: the nearest one that 64 bits of nanoseconds express.
func Nanos(t time.Time) int64 {
	switch {
	case t.Before(earliest):
		return math.MinInt64
	case t.After(latest):
		return math.MaxInt64
	}
	return t.UnixNano()
}

// OptionalNanos is nil for nil, and Nanos otherwise.
func OptionalNanos(t *time.Time) *int64 {
	if t == nil {
		return nil
	}
	n := Nanos(*t)
	return &n
}

// Time is the time of a column, in UTC.
func Time(nanos int64) time.Time { return time.Unix(0, nanos).UTC() }

// OptionalTime is nil for nil, and Time otherwise.
func OptionalTime(nanos *int64) *time.Time {
	if nanos == nil {
		return nil
	}
	t := Time(*nanos)
	return &t
}

// Text is the column of a text that comes from outside, and what such a column is compared to: every database can hold it,
// since invalid UTF-8 and NUL are replaced by U+FFFD.
func Text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
}

// RequireID returns CodeInvalid for an id of which two could become one, or none: one that is empty or changed by Text.
func RequireID(what, id string) error {
	switch {
	case id == "":
		return engine.Errorf(engine.CodeInvalid, "%s without an id", what)
	case id != Text(id):
		return engine.Errorf(engine.CodeInvalid, "%s id %.64q: want UTF-8 without NUL", what, id)
	}
	return nil
}

// encode makes the JSON of a record. What JSON cannot hold (NaN, infinities, years past 9999) is the caller's fault.
func encode(what, id string, record any) (string, error) {
	body, err := json.Marshal(record)
	if err != nil {
		return "", engine.Errorf(engine.CodeInvalid, "%s %s: %w", what, id, err)
	}
	return string(body), nil
}
