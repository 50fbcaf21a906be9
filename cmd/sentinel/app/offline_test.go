package app

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// What one pipeline has learnt, another that was made of its saved form knows: the same trace has the same verdict.
func TestOfflineIsSavedAndRestored(t *testing.T) {
	cfg, err := DefaultConfig()
	require.NoError(t, err)
	cfg = OfflineConfig(cfg)
	log := slog.New(slog.DiscardHandler)
	fresh, err := NewOffline(t.Context(), cfg, nil, log)
	require.NoError(t, err)
	defer func() { require.NoError(t, fresh.Close()) }()

	start := time.Date(2026, time.March, 2, 9, 0, 0, 0, time.UTC)
	call := func(n int, tokens int64, text string) engine.Span {
		at := start.Add(time.Duration(n) * time.Minute)
		s := engine.Span{
			TraceID: engine.TraceID{1, byte(n >> 8), byte(n)}, SpanID: engine.SpanID{1}, Start: at, End: at.Add(time.Second + time.Duration(n%7)*50*time.Millisecond),
			Service: "helpdesk", Name: "chat", Operation: engine.OpChat, Model: "m",
			Input: []engine.Message{{Role: "user", Parts: []engine.Part{{Kind: engine.PartText, Text: text}}}},
		}
		s.Usage.Input, s.Usage.Output = tokens, tokens/4
		return s
	}
	var spans []engine.Span
	for n := range 200 {
		spans = append(spans, call(n, int64(400+n%40), fmt.Sprintf("Where is my parcel number %d, and when will it be delivered?", n)))
	}
	require.NoError(t, fresh.Learn(t.Context(), spans))
	odd := engine.NewTrace(engine.TraceID{9}, []engine.Span{call(1000, 90_000, "Explain how a pulsar slows down.")})
	want, err := fresh.Score(t.Context(), odd)
	require.NoError(t, err)
	require.Greater(t, want.Score, 1.0, "it is far from what was learnt: %+v", want)
	require.NotEmpty(t, want.Contributions)

	saved, err := fresh.Save(t.Context())
	require.NoError(t, err)
	restored, err := NewOffline(t.Context(), cfg, saved, log)
	require.NoError(t, err)
	defer func() { require.NoError(t, restored.Close()) }()
	got, err := restored.Score(t.Context(), odd)
	require.NoError(t, err)
	require.Equal(t, want, got)
}
