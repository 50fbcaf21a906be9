package otlp

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// fuzz posts any body in any encoding: whatever it is, the answer is a success or the client's fault.
func fuzz(f *testing.F, path string) {
	r, _ := newReceiver(f, setup{})
	h := r.Handler(&forgetfulSink{})
	f.Fuzz(func(t *testing.T, body []byte, json, zip bool) {
		header := []string{"Content-Type", string(encodingProto)}
		if json {
			header[1] = string(encodingJSON)
		}
		if zip {
			header = append(header, "Content-Encoding", "gzip")
		}
		rec := post(t, h, path, body, header...)
		require.Contains(t, []int{http.StatusOK, http.StatusBadRequest, http.StatusRequestEntityTooLarge}, rec.Code)
	})
}

// forgetfulSink takes batches and forgets them.
type forgetfulSink struct{}

func (forgetfulSink) Consume(context.Context, engine.Batch) error { return nil }

func seed(f *testing.F, req exportResponse) {
	for _, enc := range []encoding{encodingProto, encodingJSON} {
		body := marshal(f, enc, req)
		f.Add(body, enc == encodingJSON, false)
		f.Add(zipped(f, body), enc == encodingJSON, true)
	}
}

func FuzzOTLPTraces(f *testing.F) {
	td := traces(2)
	s := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	s.Attributes().PutStr("gen_ai.input.messages", `[{"role":"user","parts":[{"type":"text","content":"hi"}]}]`)
	s.Attributes().PutStr("llm.input_messages.0.message.content", "hi")
	s.Attributes().PutDouble("gen_ai.usage.input_tokens", 3)
	s.Events().AppendEmpty().SetName("gen_ai.choice")
	seed(f, ptraceotlp.NewExportRequestFromTraces(td))
	fuzz(f, "/v1/traces")
}

func FuzzOTLPLogs(f *testing.F) {
	ld := plog.NewLogs()
	rec := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	rec.SetEventName("gen_ai.choice")
	rec.SetTraceID(pcommon.TraceID{1})
	rec.SetSpanID(pcommon.SpanID{2})
	rec.Body().SetEmptyMap().PutEmptyMap("message").PutStr("content", "hi")
	seed(f, plogotlp.NewExportRequestFromLogs(ld))
	fuzz(f, "/v1/logs")
}
