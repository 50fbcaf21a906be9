package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// faults are what can be put into a trace: each changes one thing, as an incident would, and leaves the rest as it is.
var faults = []struct {
	name   string
	fits   func(ptrace.Traces) bool
	inject func(*testing.T, ptrace.Traces)
}{
	{"tenfold latency of all spans", always, slowDown},
	{"an error on each tool call", callsTools, failTools},
	{"a tool called eight times", callsTools, repeatTool},
	{"tokens times twenty", always, multiplyTokens},
	{"a prompt of another world", always, changePrompt},
}

func always(ptrace.Traces) bool { return true }

func callsTools(td ptrace.Traces) bool { return len(toolCalls(td)) > 0 }

// spans lists the spans of a request.
func spansOf(td ptrace.Traces) []ptrace.Span {
	var out []ptrace.Span
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				out = append(out, s)
			}
		}
	}
	return out
}

func toolCalls(td ptrace.Traces) []ptrace.Span {
	var out []ptrace.Span
	for _, s := range spansOf(td) {
		if op, ok := s.Attributes().Get("gen_ai.operation.name"); ok && op.Str() == "execute_tool" {
			out = append(out, s)
		}
	}
	return out
}

// slowDown stretches a trace from its beginning on.
func slowDown(t *testing.T, td ptrace.Traces) {
	spans := spansOf(td)
	require.NotEmpty(t, spans)
	begin := spans[0].StartTimestamp()
	for _, s := range spans {
		begin = min(begin, s.StartTimestamp())
	}
	for _, s := range spans {
		s.SetStartTimestamp(begin + 10*(s.StartTimestamp()-begin))
		s.SetEndTimestamp(begin + 10*(s.EndTimestamp()-begin))
	}
}

func failTools(_ *testing.T, td ptrace.Traces) {
	for _, s := range toolCalls(td) {
		s.Status().SetCode(ptrace.StatusCodeError)
		s.Status().SetMessage("upstream did not answer")
	}
}

// repeatTool makes the agent call its first tool until it has done so eight times, with the same arguments.
func repeatTool(t *testing.T, td ptrace.Traces) {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			spans := ss.Spans()
			for i := range spans.Len() {
				op, _ := spans.At(i).Attributes().Get("gen_ai.operation.name")
				if op.Str() != "execute_tool" {
					continue
				}
				for n := range 7 {
					again := spans.AppendEmpty()
					spans.At(i).CopyTo(again)
					again.SetSpanID(pcommon.SpanID{0xee, byte(n + 1)})
					shift := pcommon.Timestamp(n+1) * (again.EndTimestamp() - again.StartTimestamp())
					again.SetStartTimestamp(again.StartTimestamp() + shift)
					again.SetEndTimestamp(again.EndTimestamp() + shift)
				}
				return
			}
		}
	}
	require.Fail(t, "the trace calls no tool")
}

func multiplyTokens(_ *testing.T, td ptrace.Traces) {
	for _, s := range spansOf(td) {
		for key, v := range s.Attributes().All() {
			if strings.HasPrefix(key, "gen_ai.usage.") {
				v.SetInt(20 * v.Int())
			}
		}
	}
}

// otherWorlds are requests that no assistant of a business was made for.
var otherWorlds = []string{
	"My sourdough starter smells of acetone after two days at 28 degrees. Should I feed it rye flour, and how long does the bulk fermentation take at that hydration?",
	"Explain how a neutron star's crust cracks during a glitch and why the pulsar spins faster for a few weeks afterwards.",
}

// changePrompt puts another text where the user's first one was, in every call that repeats it.
func changePrompt(t *testing.T, td ptrace.Traces) {
	first := ""
	for _, s := range spansOf(td) {
		v, ok := s.Attributes().Get("gen_ai.input.messages")
		if !ok {
			continue
		}
		var messages []struct {
			Role  string           `json:"role"`
			Parts []map[string]any `json:"parts"`
		}
		require.NoError(t, json.Unmarshal([]byte(v.Str()), &messages))
		for _, m := range messages {
			if m.Role != "user" {
				continue
			}
			text := fmt.Sprint(m.Parts[0]["content"])
			if first == "" {
				first = text
			}
			if text == first {
				m.Parts[0]["content"] = otherWorlds[len(first)%len(otherWorlds)]
			}
		}
		changed, err := json.Marshal(messages)
		require.NoError(t, err)
		v.SetStr(string(changed))
	}
	require.NotEmpty(t, first, "the trace has no prompt")
}
