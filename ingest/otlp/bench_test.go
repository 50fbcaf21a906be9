package otlp

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/llm-sentinel/llm-sentinel/ingest/genai"
)

// BenchmarkDecodeAndMap is a request of 100 spans with 20 attributes each, among them 1 KiB of messages.
func BenchmarkDecodeAndMap(b *testing.B) {
	td := traces(100)
	for _, s := range td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
		a := s.Attributes()
		a.PutStr("gen_ai.provider.name", "openai")
		a.PutStr("gen_ai.request.model", "gpt-4o")
		a.PutStr("gen_ai.response.model", "gpt-4o-2024-08-06")
		a.PutStr("gen_ai.response.id", "chatcmpl-1")
		a.PutEmptySlice("gen_ai.response.finish_reasons").AppendEmpty().SetStr("stop")
		a.PutInt("gen_ai.usage.input_tokens", 300)
		a.PutInt("gen_ai.usage.output_tokens", 40)
		a.PutDouble("gen_ai.request.temperature", 0.2)
		a.PutStr("gen_ai.conversation.id", "c-1")
		a.PutStr("user.id", "u-1")
		a.PutStr("tenant.id", "t-1")
		a.PutStr("server.address", "api.example.com")
		a.PutInt("server.port", 443)
		for i := range 4 {
			a.PutStr(fmt.Sprintf("app.attribute.%d", i), "value")
		}
		a.PutStr("gen_ai.input.messages", `[{"role":"user","parts":[{"type":"text","content":"`+strings.Repeat("what is it? ", 64)+`"}]}]`)
		a.PutStr("gen_ai.output.messages", `[{"role":"assistant","parts":[{"type":"text","content":"`+strings.Repeat("an answer ", 18)+`"}],"finish_reason":"stop"}]`)
		require.Equal(b, 20, a.Len())
	}
	mapper, err := genai.New(genai.DefaultLimits())
	require.NoError(b, err)
	now := time.Now()
	for _, enc := range []encoding{encodingProto, encodingJSON} {
		body := marshal(b, enc, ptraceotlp.NewExportRequestFromTraces(td))
		b.Run(string(enc), func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				req := ptraceotlp.NewExportRequest()
				require.NoError(b, unmarshal(enc, body, req))
				require.Len(b, mapper.Spans(req.Traces(), now).Spans, 100)
			}
		})
	}
	b.Run("map alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			mapper.Spans(td, now)
		}
	})
}
