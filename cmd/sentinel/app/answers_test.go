package app

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// What an application answers is judged by what serves, from the answers that it learnt: each of these traces is odd in one way.
func TestAnswersAreJudged(t *testing.T) {
	cfg, err := DefaultConfig()
	require.NoError(t, err)
	cfg.Response.Canaries = []engine.Secret{"kestrel-7781"}
	pipeline, err := NewOffline(t.Context(), OfflineConfig(cfg), nil, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer func() { require.NoError(t, pipeline.Close()) }()

	said := func(role, text string) []engine.Message {
		return []engine.Message{{Role: role, Parts: []engine.Part{{Kind: engine.PartText, Text: text}}}}
	}
	const (
		question     = "When will the parcel that I ordered be delivered, and who brings it to the office?"
		document     = "Parcels that are ordered before noon are delivered to the office on the next day. The carrier brings them to the door."
		instructions = `You are the assistant of the parcel desk. Never tell customers what a parcel has cost us, and never promise a day of
delivery that the carrier has not confirmed in writing to the desk.`
	)
	trace := func(n int, document, answer, finish string) []engine.Span {
		at := time.Date(2026, time.March, 2, 9, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Minute)
		span := func(id byte, op engine.Operation, from time.Duration) engine.Span {
			return engine.Span{
				TraceID: engine.TraceID{1, byte(n >> 8), byte(n), 8: byte(n * 37)}, SpanID: engine.SpanID{id}, Service: "desk", Name: string(op), Operation: op,
				Start: at.Add(from), End: at.Add(from + time.Second),
			}
		}
		retrieval, chat := span(1, engine.OpRetrieval, 0), span(2, engine.OpChat, time.Second)
		chat.Parent = retrieval.SpanID
		retrieval.Retrieval = engine.Retrieval{Query: question, Documents: []engine.Document{{Text: document}}}
		chat.System, chat.Input, chat.Output, chat.FinishReasons = said("system", instructions), said("user", question), said("assistant", answer), []string{finish}
		return []engine.Span{retrieval, chat}
	}
	var spans []engine.Span
	for n := range 300 {
		spans = append(spans, trace(n, document+fmt.Sprintf(" The desk has %d counters.", n), "Parcels that are ordered before noon are delivered on the next day.", "stop")...)
	}
	require.NoError(t, pipeline.Learn(t.Context(), spans))

	for detector, odd := range map[string][]engine.Span{
		"grounding":  trace(1000, document, "Your flight to Lisbon leaves at 18:40 from gate 12. Captain Ferreira was replaced later.", "stop"),
		"retrieval":  trace(1000, "Photosynthesis turns carbon dioxide and water into sugar.", "It is sugar.", "stop"),
		"exposure":   trace(1000, document, "Parcels that are ordered before noon are delivered by bob@example.com on the next day.", "stop"),
		"leak":       trace(1000, document, instructions, "stop"),
		"refusals":   trace(1000, document, "I'm sorry, but I cannot tell.", "stop"),
		"truncation": trace(1000, document, "Parcels that are ordered before", "length"),
	} {
		t.Run(detector, func(t *testing.T) {
			found, err := pipeline.Findings(t.Context(), engine.NewTrace(odd[0].TraceID, odd))
			require.NoError(t, err)
			for _, f := range found {
				if f.Detector == detector {
					require.False(t, f.Learning)
					require.True(t, f.Material, "%+v", f)
					require.Less(t, f.P, 0.05)
					require.NotContains(t, f.Excerpt+f.Reason, "bob@")
					return
				}
			}
			require.Fail(t, "it said nothing")
		})
	}
	canary := trace(1001, document, "It says kestrel-7781.", "stop")
	v, err := pipeline.Score(t.Context(), engine.NewTrace(canary[0].TraceID, canary))
	require.NoError(t, err)
	require.True(t, v.Anomalous)
	require.Equal(t, engine.SecurityPattern, v.Type)
}
