package replay

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/goleak"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func traces(name string) ptrace.Traces {
	td := ptrace.NewTraces()
	s := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.SetTraceID(pcommon.TraceID{1})
	s.SetSpanID(pcommon.SpanID{2})
	s.SetName(name)
	s.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(-time.Hour)))
	s.SetEndTimestamp(s.StartTimestamp() + 5)
	s.Attributes().PutStr("gen_ai.input.messages", `[{"role":"user","content":"a \"resourceLogs\" {[\\"}]`)
	return td
}

func logs() plog.Logs {
	ld := plog.NewLogs()
	rec := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	rec.SetTraceID(pcommon.TraceID{1})
	rec.SetSpanID(pcommon.SpanID{2})
	rec.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	rec.SetEventName("gen_ai.user.message")
	rec.Body().SetStr("hi")
	return ld
}

func jsonTraces(t testing.TB, name string) []byte {
	t.Helper()
	b, err := (&ptrace.JSONMarshaler{}).MarshalTraces(traces(name))
	require.NoError(t, err)
	return b
}

func jsonLogs(t testing.TB) []byte {
	t.Helper()
	b, err := (&plog.JSONMarshaler{}).MarshalLogs(logs())
	require.NoError(t, err)
	return b
}

func protoTraces(t testing.TB, name string) []byte {
	t.Helper()
	b, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(traces(name))
	require.NoError(t, err)
	return b
}

func protoLogs(t testing.TB) []byte {
	t.Helper()
	b, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs())
	require.NoError(t, err)
	return b
}

func pretty(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, json.Indent(&out, b, "", "  "))
	return out.Bytes()
}

func framed(requests ...[]byte) []byte {
	var out []byte
	for _, r := range requests {
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(r))), r...)
	}
	return out
}

func zipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	zw := gzip.NewWriter(&out)
	_, err := zw.Write(b)
	require.NoError(t, err)
	require.NoError(t, zw.Close())
	return out.Bytes()
}

// read sums up what a file holds: span names, "logs" for log records, "-" for a request of another signal, and errors.
func read(t testing.TB, file []byte, limit int) (out []string) {
	t.Helper()
	r, err := NewReader(bytes.NewReader(file), "file", limit)
	if err != nil {
		return []string{err.Error()}
	}
	for range 1000 {
		rec, err := r.Next()
		var bad *RecordError
		switch {
		case errors.Is(err, io.EOF):
			return out
		case errors.As(err, &bad):
			out = append(out, err.Error())
			continue
		case err != nil:
			return append(out, err.Error())
		case rec.Logs.LogRecordCount() > 0:
			out = append(out, "logs")
		case rec.Traces.SpanCount() > 0:
			out = append(out, rec.Traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Name())
		default:
			out = append(out, "-")
		}
	}
	t.Fatal("the reader does not end")
	return nil
}

func join(lines ...[]byte) []byte { return bytes.Join(lines, []byte("\n")) }

func TestFormatsAreRecognised(t *testing.T) {
	a, b := jsonTraces(t, "a"), jsonTraces(t, "b")
	metrics := []byte(`{"resourceMetrics":[]}`)
	for _, c := range []struct {
		name string
		file []byte
		want []string
	}{
		{"empty", nil, nil},
		{"blank", []byte("\n\n  \n"), nil},
		{"JSON lines", join(a, jsonLogs(t), metrics, b), []string{"a", "logs", "-", "b"}},
		{"JSON lines with blank lines, CRLF and a byte order mark", join([]byte("\uFEFF\r"), append(a, '\r'), nil, b, nil), []string{"a", "b"}},
		{"begins with an empty line", join(nil, a), []string{"a"}},
		{"one pretty-printed request", pretty(t, a), []string{"a"}},
		{"several pretty-printed requests", join(pretty(t, a), pretty(t, jsonLogs(t)), pretty(t, b)), []string{"a", "logs", "b"}},
		{"one protobuf request", protoTraces(t, "a"), []string{"a"}},
		{"one protobuf request of logs", protoLogs(t), []string{"logs"}},
		{"protobuf requests with lengths", framed(protoTraces(t, "a"), protoLogs(t), protoTraces(t, "b")), []string{"a", "logs", "b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, read(t, c.file, 1<<20))
			require.Equal(t, c.want, read(t, zipped(t, c.file), 1<<20), "zipped")
		})
	}
}

func TestABadRequestIsNamedAndCostsOnlyItself(t *testing.T) {
	a, b := jsonTraces(t, "a"), jsonTraces(t, "b")
	long := jsonTraces(t, strings.Repeat("x", 100_000))
	for _, c := range []struct {
		name string
		file []byte
		want []string // prefixes
	}{
		{"not JSON", join(a, []byte("hello"), b), []string{"a", "replay: file:2: malformed JSON", "b"}},
		{"not OTLP", join(a, []byte(`{"a":1}`), b), []string{"a", "replay: file:2: not OTLP", "b"}},
		{"line cut off", join(a[:50], b, a), []string{"replay: file:1: malformed JSON", "b", "a"}},
		{"last line cut off", join(a, b[:50]), []string{"a", "replay: file:2: malformed JSON"}},
		{"pretty-printed request cut off", join(pretty(t, a)[:200], b), []string{"replay: file:1: malformed JSON", "b"}},
		{"balanced nonsense", join([]byte(`{"a":}`), b), []string{"replay: file:1: malformed JSON", "b"}},
		{"wrong type", join([]byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"zz"}]}]}]}`), b), []string{"replay: file:1: malformed OTLP/JSON", "b"}},
		{"line too long", join(a, long, b), []string{"a", "replay: file:2: line is longer than 50000 bytes", "b"}},
		{"last line too long", join(a, long), []string{"a", "replay: file:2: line is longer"}},
		{"spread request too long", bytes.Repeat([]byte("{\n"), 40_000), []string{"replay: file:1: request is larger", "replay: file:"}},
		{"bad protobuf among others", framed(protoTraces(t, "a"), []byte("nonsense"), protoTraces(t, "b")), []string{"a", "replay: file:2: neither traces", "b"}},
		{"protobuf too large among others", framed(protoTraces(t, "a"), make([]byte, 60_000), protoTraces(t, "b")), []string{"a", "replay: file:2: request of 60000 bytes is larger", "b"}},
		{"protobuf cut off", framed(protoTraces(t, "a"), protoTraces(t, "b"))[:200], []string{"a", "replay: read file: request 2 of"}},
		{"length cut off", append(framed(protoTraces(t, "a")), 0, 0), []string{"a", "replay: read file: length of request 2"}},
		{"length that is a lie", []byte{0, 0, 0xc0, 0, 1}, []string{"replay: read file: request 1 of 49152 bytes"}},
		{"one protobuf request, too large", append(protoTraces(t, "a"), make([]byte, 60_000)...), []string{"replay: file:1: request is larger"}},
		{"bad gzip", []byte{0x1f, 0x8b, 0, 0}, []string{"replay: file: malformed gzip"}},
		{"gzip cut off", zipped(t, join(a, b))[:60], []string{"replay: read file"}},
		{"zip bomb", zipped(t, append([]byte("{"), bytes.Repeat([]byte(" "), 8<<20)...)), []string{"replay: file:1: line is longer"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := read(t, c.file, 50_000)
			for i, want := range c.want {
				require.Greater(t, len(got), i)
				require.True(t, strings.HasPrefix(got[i], want), "%d: %s", i, got[i])
			}
		})
	}
}

func TestErrorsAreTyped(t *testing.T) {
	r, err := NewReader(strings.NewReader("x\n"), "f.jsonl", 10)
	require.NoError(t, err)
	_, err = r.Next()
	var bad *RecordError
	require.ErrorAs(t, err, &bad)
	require.Equal(t, RecordError{File: "f.jsonl", Line: 1, Err: bad.Err}, *bad)
	require.Equal(t, engine.CodeInvalid, engine.ErrorCode(err))

	_, err = Open(filepath.Join(t.TempDir(), "missing"), 10)
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = NewReader(strings.NewReader(""), "f", 0)
	require.Equal(t, engine.CodeInvalid, engine.ErrorCode(err))
}

func TestLineOfARecord(t *testing.T) {
	r, err := NewReader(bytes.NewReader(join(nil, jsonTraces(t, "a"), pretty(t, jsonTraces(t, "b")))), "f", 1<<20)
	require.NoError(t, err)
	for _, line := range []int{2, 3} {
		rec, err := r.Next()
		require.NoError(t, err)
		require.Equal(t, line, rec.Line)
	}
}

func FuzzReplay(f *testing.F) {
	a := jsonTraces(f, "a")
	for _, file := range [][]byte{join(a, jsonLogs(f)), pretty(f, a), protoTraces(f, "a"), framed(protoTraces(f, "a"), protoLogs(f)), zipped(f, a), join(a[:40], a), []byte("\n{")} {
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		const limit = 1 << 12
		r, err := NewReader(bytes.NewReader(file), "f", limit)
		if err != nil {
			return
		}
		for last := 0; ; {
			rec, err := r.Next()
			var bad *RecordError
			switch {
			case errors.Is(err, io.EOF):
				return
			case errors.As(err, &bad):
				require.GreaterOrEqual(t, bad.Line, last)
				last = bad.Line
			case err != nil:
				return
			default:
				require.Greater(t, rec.Line, last)
				last = rec.Line
			}
		}
	})
}
