package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc/codes"

	"github.com/llm-sentinel/llm-sentinel/cmd/sentinel/app"
)

// A bad request is refused with the reason, and the service goes on.
func TestServeRefusesBadRequests(t *testing.T) {
	t.Parallel()
	s := serve(t, func(cfg *app.Config) {
		cfg.OTLP.MaxBodyBytes = 1 << 20
		cfg.API.MaxBodyBytes = 1 << 20
	})
	good, err := marshalTraces(newTraffic("helpdesk", pastHour()).calls(1, 0, nil)[0])
	require.NoError(t, err)
	const proto, json = "application/x-protobuf", "application/json"
	for name, test := range map[string]struct {
		contentType, encoding string
		body                  []byte
		want                  int
		says                  string
	}{
		"not protobuf":             {proto, "", []byte("good morning"), http.StatusBadRequest, "malformed protobuf"},
		"protobuf cut off":         {proto, "", good[:len(good)-3], http.StatusBadRequest, "malformed protobuf"},
		"not JSON":                 {json, "", []byte(`{"resourceSpans": [`), http.StatusBadRequest, "malformed JSON"},
		"JSON of another kind":     {json, "", []byte(`{"resourceSpans": "many"}`), http.StatusBadRequest, "malformed OTLP/JSON"},
		"another content type":     {"text/csv", "", []byte("a,b"), http.StatusUnsupportedMediaType, "text/csv"},
		"another encoding":         {proto, "br", good, http.StatusUnsupportedMediaType, "br"},
		"not gzip":                 {proto, "gzip", good, http.StatusBadRequest, "malformed gzip"},
		"larger than the limit":    {proto, "", make([]byte, 1<<20+1), http.StatusRequestEntityTooLarge, "larger than 1048576 bytes"},
		"a small body that is not": {proto, "gzip", zipped(t, make([]byte, 64<<20)), http.StatusRequestEntityTooLarge, "larger than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, port := range []string{s.otlp, s.api} {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, port+"/v1/traces", bytes.NewReader(test.body))
				require.NoError(t, err)
				req.Header.Set("Content-Type", test.contentType)
				if test.encoding != "" {
					req.Header.Set("Content-Encoding", test.encoding)
				}
				resp, err := s.http.Do(req)
				require.NoError(t, err)
				var answer bytes.Buffer
				_, err = answer.ReadFrom(resp.Body)
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
				require.Equal(t, test.want, resp.StatusCode, answer.String())
				require.Contains(t, answer.String(), test.says)
			}
		})
	}
	require.Equal(t, codes.OK, s.exportGRPC(t, good))
	require.Empty(t, s.shed(t))
}

// Bad spans cost nothing but themselves: what can be mended is, what cannot is named, and each is counted.
func TestServeStandsBadSpans(t *testing.T) {
	t.Parallel()
	s := serve(t, func(cfg *app.Config) {
		cfg.Engine.Assembly.MaxSpans = 100
		cfg.Engine.Assembly.QuietAfterRoot = time.Second
		cfg.Engine.Assembly.QuietWithoutRoot = time.Minute
	})
	f := newTraffic("helpdesk", pastHour())
	one := func() (ptrace.Traces, ptrace.Span) {
		td := f.calls(1, time.Second, nil)[0]
		return td, spansOf(td)[0]
	}
	accepted := uint64(0)
	send := func(td ptrace.Traces) ptraceotlp.ExportPartialSuccess {
		t.Helper()
		body, err := marshalTraces(td)
		require.NoError(t, err)
		status, _, answer := s.do(t, http.MethodPost, s.otlp+"/v1/traces", "application/x-protobuf", body)
		require.Equal(t, http.StatusOK, status, "%s", answer)
		resp := ptraceotlp.NewExportResponse()
		require.NoError(t, resp.UnmarshalProto(answer))
		accepted += uint64(td.SpanCount()) - uint64(resp.PartialSuccess().RejectedSpans())
		return resp.PartialSuccess()
	}

	td, span := one() // no number
	span.Attributes().PutDouble("gen_ai.usage.cost", math.NaN())
	span.Attributes().PutDouble("gen_ai.usage.input_tokens", math.Inf(1))
	send(td)
	td, span = one() // it ends before it starts
	span.SetEndTimestamp(span.StartTimestamp() - 1e9)
	send(td)
	td, span = one() // text that is none
	span.Attributes().PutStr("gen_ai.response.model", "small-\xff\xfe")
	send(td)
	td, span = one() // a clock that runs ahead
	span.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(time.Hour)))
	span.SetEndTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(time.Hour + time.Second)))
	send(td)

	td, span = one() // a trace whose spans are each other's parents
	other := spanBeside(td)
	span.CopyTo(other)
	other.SetSpanID(pcommon.SpanID{7})
	other.SetParentSpanID(span.SpanID())
	span.SetParentSpanID(other.SpanID())
	itself := spanBeside(td)
	span.CopyTo(itself)
	itself.SetSpanID(pcommon.SpanID{8})
	itself.SetParentSpanID(itself.SpanID())
	send(td)
	td, span = one() // a parent that never comes
	span.SetParentSpanID(pcommon.SpanID{9})
	send(td)

	td, _ = one() // the same twice
	send(td)
	send(td)
	accepted--

	td, span = one() // a trace without end
	for i := range 400 {
		again := spanBeside(td)
		span.CopyTo(again)
		var id pcommon.SpanID
		binary.BigEndian.PutUint64(id[:], uint64(i)+1<<40)
		again.SetSpanID(id)
		again.SetParentSpanID(span.SpanID())
	}
	send(td)

	td, _ = one() // good and bad together
	for _, spoil := range []func(ptrace.Span){
		func(s ptrace.Span) { s.SetTraceID(pcommon.TraceID{}) },
		func(s ptrace.Span) { s.SetSpanID(pcommon.SpanID{}) },
		func(s ptrace.Span) { s.SetStartTimestamp(0) },
		func(s ptrace.Span) { s.SetStartTimestamp(math.MaxInt64) },
		func(s ptrace.Span) { s.SetStartTimestamp(1) },
	} {
		bad := spanBeside(td)
		spansOf(td)[0].CopyTo(bad)
		bad.SetSpanID(pcommon.SpanID{10})
		spoil(bad)
	}
	partial := send(td)
	require.Equal(t, int64(5), partial.RejectedSpans())
	require.Contains(t, partial.ErrorMessage(), "trace_id is empty")

	// Content whose span never comes.
	ld := plog.NewLogs()
	record := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	record.SetEventName("gen_ai.user.message")
	record.SetTimestamp(pcommon.NewTimestampFromTime(f.at))
	record.SetTraceID(pcommon.TraceID{11})
	record.SetSpanID(pcommon.SpanID{11})
	record.Body().SetEmptyMap().PutStr("content", "hello?")
	body, err := marshalLogs(ld)
	require.NoError(t, err)
	status, _, answer := s.do(t, http.MethodPost, s.otlp+"/v1/logs", "application/x-protobuf", body)
	require.Equal(t, http.StatusOK, status, "%s", answer)

	f.at = f.at.Add(30 * time.Minute)
	td, _ = one()
	send(td)
	eventually(t, "sight of what was accepted", func() bool { return s.service(t, "helpdesk").Spans == accepted })
	eventually(t, "count of the content without span", func() bool { return s.shed(t)["orphan_content"] == 1 })
	shed := s.shed(t)
	require.Equal(t, uint64(1), shed["future_time"])
	require.Equal(t, uint64(1), shed["duplicate_span"])
	require.Equal(t, uint64(301), shed["oversize_trace"])
	for metric, want := range map[string]string{
		`sentinel_ingest_mended_total{kind="number"}`:         "2",
		`sentinel_ingest_mended_total{kind="duration"}`:       "1",
		`sentinel_ingest_mended_total{kind="utf8"}`:           "1",
		`sentinel_ingest_rejected_total{reason="trace_id"}`:   "1",
		`sentinel_ingest_rejected_total{reason="span_id"}`:    "1",
		`sentinel_ingest_rejected_total{reason="start_time"}`: "3",
	} {
		_, _, page := s.do(t, http.MethodGet, s.api+"/metrics", "", nil)
		require.Contains(t, string(page), metric+" "+want+"\n")
	}
}

// Who sends faster than spans can be screened is told to come back, and loses nothing.
func TestServeAsksToComeBackWhenFull(t *testing.T) {
	t.Parallel()
	// Requests of many spans, so that others arrive while one is screened.
	const senders, size = 8, 1000
	s := serve(t, func(cfg *app.Config) {
		cfg.Engine.QueueSpans, cfg.Engine.SemanticQueue = 1, senders*size
	})
	f := newTraffic("helpdesk", pastHour())
	f.silent = true
	requests := make([][]byte, senders)
	for i := range requests {
		td := ptrace.NewTraces()
		for _, call := range f.calls(size, 10*time.Millisecond, nil) {
			call.ResourceSpans().MoveAndAppendTo(td.ResourceSpans())
		}
		body, err := marshalTraces(td)
		require.NoError(t, err)
		requests[i] = body
	}
	var refused atomic.Int64
	var wait sync.WaitGroup
	for _, body := range requests {
		wait.Go(func() {
			for {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.otlp+"/v1/traces", bytes.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("Content-Type", "application/x-protobuf")
				resp, err := s.http.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				_ = resp.Body.Close() // only the status matters
				if resp.StatusCode == http.StatusOK {
					return
				}
				if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" {
					t.Errorf("answered %s, Retry-After %q", resp.Status, resp.Header.Get("Retry-After"))
					return
				}
				refused.Add(1)
				time.Sleep(time.Millisecond) // less than it asks for, to be done soon
			}
		})
	}
	wait.Wait()
	require.Positive(t, refused.Load())
	eventually(t, "sight of all spans", func() bool { return s.service(t, "helpdesk").Spans == senders*size })
	require.Empty(t, s.shed(t), "nothing was lost")
}

func pastHour() time.Time { return time.Now().Add(-3 * time.Hour).Truncate(time.Hour) }

// shed is what the service had to leave out, by reason.
func (s *server) shed(t *testing.T) map[string]uint64 {
	t.Helper()
	var health struct {
		Status string            `json:"status"`
		Shed   map[string]uint64 `json:"shed"`
	}
	s.get(t, "/api/v1/health", &health)
	require.Equal(t, "ok", health.Status)
	return health.Shed
}

func spanBeside(td ptrace.Traces) ptrace.Span {
	return td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().AppendEmpty()
}

func zipped(t *testing.T, body []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err := z.Write(body)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return out.Bytes()
}
