//go:build unix

package kafka

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// workload is a request of 100 spans with 20 attributes each, among them 1 KiB of messages.
func workload() ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "checkout")
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	for i := range 100 {
		s := spans.AppendEmpty()
		s.SetTraceID(pcommon.TraceID{1})
		s.SetSpanID(pcommon.SpanID{byte(i + 1)})
		s.SetName("chat gpt-4o")
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(-time.Second)))
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		a := s.Attributes()
		a.PutStr("gen_ai.operation.name", "chat")
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
	}
	return td
}

// countingSink stores nothing, at once.
type countingSink struct{ spans chan int }

func (s countingSink) Consume(ctx context.Context, b engine.Batch) error {
	select {
	case s.spans <- len(b.Spans):
		b.Done(nil)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// BenchmarkSpans compares reading messages from a broker (kafka) with decoding the same messages from memory (direct): what is
// between the two is the cost of Kafka. One operation is a message of 100 spans.
func BenchmarkSpans(b *testing.B) {
	td := workload()
	for name, body := range map[string][]byte{"proto": proto(b, td), "json": tracesJSON(b, td)} {
		rate := func(b *testing.B, since time.Duration) {
			b.SetBytes(int64(len(body)))
			b.ReportMetric(float64(100*b.N)/b.Elapsed().Seconds(), "spans/s")
			b.ReportMetric(float64(100*b.N)/(processorTime(b)-since).Seconds(), "spans/s/core")
		}
		b.Run(name+"/direct", func(b *testing.B) {
			d := newDecoder(b, EncodingAuto, SignalAuto, 1<<20)
			since := processorTime(b)
			for b.Loop() {
				c, err := d.decode(kafkago.Message{Value: body}, time.Now())
				require.NoError(b, err)
				require.Len(b, c.Spans, 100)
			}
			rate(b, since)
		})
		b.Run(name+"/kafka", func(b *testing.B) {
			broker := shared(b, 1)
			// The topic is filled beforehand, with messages for as long as the benchmark may run.
			values := make([][]byte, 4000)
			for i := range values {
				values[i] = body
			}
			broker.fill(b, values)
			got := countingSink{make(chan int)}
			broker.join(b, got)
			require.Equal(b, 100, <-got.spans) // joining the group is not measured
			taken := 1
			since := processorTime(b)
			for b.Loop() {
				if taken == len(values) {
					b.Fatal("the topic is empty: use a lower -benchtime")
				}
				<-got.spans
				taken++
			}
			rate(b, since)
		})
	}
}

// processorTime is what this process has used of all cores, the broker not among it.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// fill writes messages in requests as large as producers make them.
func (b *broker) fill(t testing.TB, values [][]byte) {
	t.Helper()
	w := &kafkago.Writer{Addr: kafkago.TCP(b.addr), Topic: b.topic, Transport: b.Transport, BatchTimeout: time.Millisecond, BatchBytes: 900_000}
	defer w.Close()
	messages := make([]kafkago.Message, len(values))
	for i, v := range values {
		messages[i].Value = v
	}
	require.NoError(t, w.WriteMessages(t.Context(), messages...))
}
