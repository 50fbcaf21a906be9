package kafka

import (
	"bufio"
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// recorded is a message that a Collector's Kafka exporter wrote; see testdata/collector/README.md.
type recorded struct {
	Settings string            `json:"settings"`
	Key      []byte            `json:"key"`
	Value    []byte            `json:"value"`
	Headers  map[string]string `json:"headers"`
}

func recordings(t testing.TB) (out []recorded) {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "collector", "messages.jsonl"))
	require.NoError(t, err)
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r recorded
		require.NoError(t, json.Unmarshal(lines.Bytes(), &r))
		out = append(out, r)
	}
	require.NoError(t, lines.Err())
	require.Len(t, out, 28)
	return out
}

// A Collector writes the same traces and logs with twelve settings; they are read as the same spans and texts each time.
func TestReadsWhatTheCollectorWrites(t *testing.T) {
	b := shared(t, 1)
	messages := recordings(t)
	codecs := []kafkago.Compression{0, kafkago.Gzip, kafkago.Snappy, kafkago.Lz4, kafkago.Zstd}
	for i, r := range messages {
		m := kafkago.Message{Key: r.Key, Value: r.Value}
		for k, v := range r.Headers {
			m.Headers = append(m.Headers, header(k, v))
		}
		b.produceTo(t, b.topic, 0, codecs[i%len(codecs)], m)
	}
	var got sink
	m := b.join(t, &got)
	batches := got.requireLen(t, len(messages))
	b.requireCommitted(t, b.topic, 0, int64(len(messages)))
	require.Empty(t, m.Degraded())

	spans, texts := map[string][]engine.Span{}, map[string][]engine.Content{}
	for i, r := range messages {
		spans[r.Settings] = append(spans[r.Settings], batches[i].Spans...)
		texts[r.Settings] = append(texts[r.Settings], batches[i].Contents...)
	}
	require.Len(t, spans, 12)
	want := spans["otlp_proto {}"]
	wantTexts := texts["otlp_proto {}"]
	for settings := range spans {
		slices.SortFunc(spans[settings], func(a, b engine.Span) int {
			return cmp.Or(slices.Compare(a.TraceID[:], b.TraceID[:]), slices.Compare(a.SpanID[:], b.SpanID[:]))
		})
		slices.SortFunc(texts[settings], func(a, b engine.Content) int { return slices.Compare(a.TraceID[:], b.TraceID[:]) })
		require.Equal(t, want, spans[settings], settings)
		require.Equal(t, wantTexts, texts[settings], settings)
	}

	require.Len(t, want, 4)
	start := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	chat := want[1]
	require.Equal(t, engine.TraceID{15: 1}, chat.TraceID)
	require.Equal(t, engine.SpanID{7: 2}, chat.SpanID)
	require.Equal(t, engine.SpanID{7: 1}, chat.Parent)
	require.Equal(t, "checkout", chat.Service)
	require.Equal(t, "eu-1", chat.Region)
	require.Equal(t, engine.OpChat, chat.Operation)
	require.Equal(t, "gpt-4o", chat.Model)
	require.Equal(t, int64(300), chat.Usage.Input)
	require.Equal(t, start.Add(time.Second/2), chat.Start)
	require.Equal(t, start.Add(time.Second), chat.End)
	require.Equal(t, []string{"stop"}, chat.FinishReasons)
	require.Equal(t, "where is my parcel? <é>", chat.Input[0].Parts[0].Text)
	require.Equal(t, 0.75, chat.Evaluations[0].Score)
	require.Equal(t, "search", want[3].Service)
	require.Len(t, wantTexts, 2)
	require.Equal(t, engine.SpanID{7: 2}, wantTexts[0].SpanID)
	require.Equal(t, "it comes tomorrow", wantTexts[0].Output[0].Parts[0].Text)
}
