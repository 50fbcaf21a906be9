// The program records what the Kafka exporter of an OpenTelemetry Collector writes: it makes the exporter from its factory with
// settings as they stand in a Collector's configuration, hands it traces and logs, reads the messages back from the broker and
// prints one line of JSON for each. See README.md.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/kafkaexporter"
	"github.com/segmentio/kafka-go"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// message is one line of the output.
type message struct {
	Settings string            `json:"settings"` // of the exporter, for people
	Key      []byte            `json:"key,omitempty"`
	Value    []byte            `json:"value"`
	Headers  map[string]string `json:"headers,omitempty"`
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: collector BROKER")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if err := record(ctx, os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func record(ctx context.Context, broker string) error {
	out := json.NewEncoder(os.Stdout)
	n := 0
	for _, encoding := range []string{"otlp_proto", "otlp_json"} {
		for _, more := range []map[string]any{
			{},
			{"partition_traces_by_id": true, "partition_logs_by_trace_id": true},
			{"producer": map[string]any{"compression": "gzip"}},
			{"producer": map[string]any{"compression": "snappy"}},
			{"producer": map[string]any{"compression": "lz4"}},
			{"producer": map[string]any{"compression": "zstd"}},
		} {
			n++
			topic := fmt.Sprintf("collector-%d-%d", time.Now().UnixNano(), n)
			settings := map[string]any{
				"brokers":       []string{broker},
				"sending_queue": map[string]any{"enabled": false},
				"traces":        map[string]any{"topic": topic, "encoding": encoding},
				"logs":          map[string]any{"topic": topic, "encoding": encoding},
			}
			for k, v := range more {
				settings[k] = v
			}
			if err := export(ctx, settings); err != nil {
				return err
			}
			messages, err := read(ctx, broker, topic)
			if err != nil {
				return err
			}
			shown, err := json.Marshal(more)
			if err != nil {
				return err
			}
			for _, m := range messages {
				line := message{Settings: encoding + " " + string(shown), Key: m.Key, Value: m.Value}
				for _, h := range m.Headers {
					if line.Headers == nil {
						line.Headers = map[string]string{}
					}
					line.Headers[h.Key] = string(h.Value)
				}
				if err := out.Encode(line); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func export(ctx context.Context, settings map[string]any) error {
	factory := kafkaexporter.NewFactory()
	cfg := factory.CreateDefaultConfig()
	if err := confmap.NewFromStringMap(settings).Unmarshal(cfg); err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	traces, err := factory.CreateTraces(ctx, exportertest.NewNopSettings(factory.Type()), cfg)
	if err != nil {
		return err
	}
	logs, err := factory.CreateLogs(ctx, exportertest.NewNopSettings(factory.Type()), cfg)
	if err != nil {
		return err
	}
	for _, c := range []component.Component{traces, logs} {
		if err := c.Start(ctx, componenttest.NewNopHost()); err != nil {
			return err
		}
	}
	if err := traces.ConsumeTraces(ctx, someTraces()); err != nil {
		return err
	}
	if err := logs.ConsumeLogs(ctx, someLogs()); err != nil {
		return err
	}
	for _, c := range []component.Component{traces, logs} {
		if err := c.Shutdown(ctx); err != nil {
			return err
		}
	}
	return nil
}

// read returns all messages of a topic with one partition.
func read(ctx context.Context, broker, topic string) (out []kafka.Message, err error) {
	conn, err := kafka.DialLeader(ctx, "tcp", broker, topic, 0)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	end, err := conn.ReadLastOffset()
	if err != nil {
		return nil, err
	}
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{broker}, Topic: topic})
	defer r.Close()
	for int64(len(out)) < end {
		m, err := r.ReadMessage(ctx)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

var start = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// someTraces are two traces of two spans each from two services.
func someTraces() ptrace.Traces {
	td := ptrace.NewTraces()
	for i, service := range []string{"checkout", "search"} {
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", service)
		rs.Resource().Attributes().PutStr("cloud.region", "eu-1")
		ss := rs.ScopeSpans().AppendEmpty()
		ss.Scope().SetName("app")
		root := ss.Spans().AppendEmpty()
		root.SetTraceID(pcommon.TraceID{15: byte(i + 1)})
		root.SetSpanID(pcommon.SpanID{7: 1})
		root.SetName("invoke_agent helper")
		root.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
		root.SetEndTimestamp(pcommon.NewTimestampFromTime(start.Add(2 * time.Second)))
		root.Attributes().PutStr("gen_ai.operation.name", "invoke_agent")
		chat := ss.Spans().AppendEmpty()
		chat.SetTraceID(root.TraceID())
		chat.SetSpanID(pcommon.SpanID{7: 2})
		chat.SetParentSpanID(root.SpanID())
		chat.SetKind(ptrace.SpanKindClient)
		chat.SetName("chat gpt-4o")
		chat.SetStartTimestamp(pcommon.NewTimestampFromTime(start.Add(time.Second / 2)))
		chat.SetEndTimestamp(pcommon.NewTimestampFromTime(start.Add(time.Second)))
		a := chat.Attributes()
		a.PutStr("gen_ai.operation.name", "chat")
		a.PutStr("gen_ai.provider.name", "openai")
		a.PutStr("gen_ai.request.model", "gpt-4o")
		a.PutInt("gen_ai.usage.input_tokens", 300)
		a.PutInt("gen_ai.usage.output_tokens", 40)
		a.PutDouble("gen_ai.request.temperature", 0.2)
		a.PutEmptySlice("gen_ai.response.finish_reasons").AppendEmpty().SetStr("stop")
		a.PutStr("gen_ai.input.messages", `[{"role":"user","parts":[{"type":"text","content":"where is my parcel? <é>"}]}]`)
		e := chat.Events().AppendEmpty()
		e.SetName("gen_ai.evaluation.result")
		e.SetTimestamp(chat.EndTimestamp())
		e.Attributes().PutStr("gen_ai.evaluation.name", "relevance")
		e.Attributes().PutDouble("gen_ai.evaluation.score.value", 0.75)
	}
	return td
}

// someLogs are the answers of the two chats, as log records.
func someLogs() plog.Logs {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", "checkout")
	sl := rl.ScopeLogs().AppendEmpty()
	for i := range 2 {
		r := sl.LogRecords().AppendEmpty()
		r.SetTimestamp(pcommon.NewTimestampFromTime(start.Add(time.Second)))
		r.SetObservedTimestamp(r.Timestamp())
		r.SetTraceID(pcommon.TraceID{15: byte(i + 1)})
		r.SetSpanID(pcommon.SpanID{7: 2})
		r.SetEventName("gen_ai.choice")
		r.Attributes().PutStr("gen_ai.provider.name", "openai")
		body := r.Body().SetEmptyMap()
		body.PutInt("index", 0)
		body.PutStr("finish_reason", "stop")
		body.PutEmptyMap("message").PutStr("content", "it comes tomorrow")
	}
	return ld
}
