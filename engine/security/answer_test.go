package security

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// request is a trace of one model call that answers with text, and of tools after it.
func (w *world) request(id engine.TraceID, text string, tools int) engine.Trace {
	call := engine.Span{
		TraceID: id, SpanID: engine.SpanID{1}, Service: "assistant", Operation: engine.OpChat, Start: w.now, End: w.now.Add(time.Second),
		Output: []engine.Message{{Role: "assistant", Parts: []engine.Part{{Kind: engine.PartText, Text: text}}}},
	}
	spans := []engine.Span{call}
	for i := range tools {
		spans = append(spans, engine.Span{
			TraceID: id, SpanID: engine.SpanID{2, byte(i)}, Parent: call.SpanID, Service: "assistant", Operation: engine.OpExecuteTool,
			Start: call.End, End: call.End.Add(time.Second),
		})
	}
	return engine.NewTrace(id, spans)
}

func (w *world) serve(n int) {
	for range n {
		w.wait(5 * time.Second)
		w.n++
		tr := w.request(trace(w.n), "Here you are.", 0)
		w.s.Answered(&tr)
	}
}

// attacked sends a guard's event about a trace and the trace, in either order.
func (w *world) attacked(action, answer string, eventFirst bool) {
	w.wait(20 * time.Second)
	e := w.event("thief", func(e *engine.SecurityEvent) { e.Details["action"] = action })
	e.TraceID = trace(w.n + 1_000_000)
	tr := w.request(e.TraceID, answer, 1)
	if eventFirst {
		w.send(e)
		w.s.Answered(&tr)
	} else {
		w.s.Answered(&tr)
		w.send(e)
	}
	w.found = append(w.found, w.s.Advance(w.now)...)
}

func TestAttackThatGotThrough(t *testing.T) {
	t.Parallel()
	for _, eventFirst := range []bool{true, false} {
		t.Run(fmt.Sprint("event first ", eventFirst), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			w.serve(3_000)
			for range 3 {
				w.attacked("blocked", "Sure, first you", eventFirst)
				w.attacked("detected", "I'm sorry, but I can’t help with that.", eventFirst)
			}
			w.quiet()
			for range 3 {
				w.attacked("detected", "Sure, first you", eventFirst)
			}
			f := w.only("attack_answered", key("thief"))
			require.Contains(t, f[0].Reason, "tools ran")
			require.Contains(t, f[0].Traces, f[0].TraceID)
			require.Equal(t, engine.SpanID{1}, f[0].SpanID)
		})
	}
}

func TestSingleAttackThatGotThroughCountsWhereThatNeverHappens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.serve(20_000)
	w.attacked("allowed", "Sure, first you", true)
	w.only("attack_answered", key("thief"))
}

func TestGuardThatOnlyWatchesIsQuiet(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		w := newWorld(t, seed)
		for range 5_000 {
			w.serve(1)
			if w.random.IntN(30) == 0 {
				w.wait(time.Second)
				e := w.event(fmt.Sprint("key-", w.random.IntN(200)), func(e *engine.SecurityEvent) { e.Details["action"] = "logged" })
				e.TraceID = trace(w.n + 1_000_000)
				tr := w.request(e.TraceID, "Here you are.", 0)
				w.send(e)
				w.s.Answered(&tr)
			}
		}
		w.found = append(w.found, w.s.Advance(w.now)...)
		w.quiet()
	}
}

func TestOutcome(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for text, complied := range map[string]bool{
		"Sure! Step one:": true, "I cannot help with that request.": false, "Es tut mir leid, das geht nicht.": false, "I’m sorry, no.": false,
		"As an AI, I must decline.": false, "": false,
	} {
		tr := w.request(trace(1), text, 0)
		require.Equal(t, complied, outcome(&tr).Complied, text)
	}
	tr := w.request(trace(1), "", 1)
	require.True(t, outcome(&tr).Complied, "it acted")
	tr = w.request(trace(1), "", 0)
	tr.Spans[0].Usage.Output = 500
	require.True(t, outcome(&tr).Complied, "too long for a refusal")
	tr = w.request(trace(1), "Sure! Step one:", 0)
	tr.Spans[0].FinishReasons = []string{"content_filter"}
	require.False(t, outcome(&tr).Complied)
	tr = engine.NewTrace(trace(1), []engine.Span{{Service: "x"}})
	require.False(t, outcome(&tr).Complied)
}
