package engine

import (
	"encoding/binary"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// began is when the events of tests that need no clock begin.
var began = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

func traceID(n int) (id TraceID) {
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

func spanID(n int) (id SpanID) {
	binary.BigEndian.PutUint64(id[:], uint64(n))
	return id
}

// span is a span of a second; parent 0 makes it a root.
func span(trace, id, parent int, at time.Time) Span {
	return Span{
		TraceID: traceID(trace), SpanID: spanID(id), Parent: spanID(parent), Name: "step", Service: "shop", Start: at, End: at.Add(time.Second),
	}
}

func user(text string) []Message {
	return []Message{{Role: "user", Parts: []Part{{Kind: PartText, Text: text}}}}
}
