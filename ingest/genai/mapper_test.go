package genai

import (
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

var now = time.Date(2025, 6, 15, 12, 0, 0, 0, time.UTC)

func newMapper(t testing.TB, change func(*Limits)) *Mapper {
	t.Helper()
	limits := DefaultLimits()
	if change != nil {
		change(&limits)
	}
	m, err := New(limits)
	require.NoError(t, err)
	return m
}

// request is one valid span with the given attributes.
func request(t testing.TB, name string, attrs map[string]any) (ptrace.Traces, ptrace.Span) {
	t.Helper()
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "checkout")
	s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.SetTraceID(pcommon.TraceID{1})
	s.SetSpanID(pcommon.SpanID{2})
	s.SetParentSpanID(pcommon.SpanID{3})
	s.SetName(name)
	s.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-2 * time.Second)))
	s.SetEndTimestamp(pcommon.NewTimestampFromTime(now.Add(-time.Second)))
	require.NoError(t, s.Attributes().FromRaw(attrs))
	return td, s
}

func mapOne(t testing.TB, name string, attrs map[string]any) engine.Span {
	t.Helper()
	td, _ := request(t, name, attrs)
	res := newMapper(t, nil).Spans(td, now)
	require.Empty(t, res.Rejected)
	require.Len(t, res.Spans, 1)
	return res.Spans[0]
}

func text1(role, s string) engine.Message {
	return engine.Message{Role: role, Parts: []engine.Part{{Kind: engine.PartText, Text: s}}}
}

// The same call must arrive as the same span whoever instrumented it.
func TestDialectsAgreeOnOneCall(t *testing.T) {
	const system, question, answer = "You answer in one short sentence.", "Name the capital of France.", "Paris."
	done := text1("assistant", answer)
	done.FinishReason = "stop"
	want := engine.Span{
		Operation: engine.OpChat, Provider: "openai", Model: "m", ResponseModel: "m-2", FinishReasons: []string{"stop"},
		Usage:  engine.Usage{Input: 27, Output: 12},
		System: []engine.Message{text1("system", system)}, Input: []engine.Message{text1("user", question)}, Output: []engine.Message{done},
	}
	for _, c := range []struct {
		dialect, span string
		attrs         map[string]any
	}{
		{"current names", "chat m", map[string]any{
			"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "m", "gen_ai.response.model": "m-2",
			"gen_ai.usage.input_tokens": 27, "gen_ai.usage.output_tokens": 12, "gen_ai.response.finish_reasons": []any{"stop"},
			"gen_ai.system_instructions": `[{"type":"text","content":"` + system + `"}]`,
			"gen_ai.input.messages":      `[{"role":"user","parts":[{"type":"text","content":"` + question + `"}]}]`,
			"gen_ai.output.messages":     `[{"role":"assistant","parts":[{"type":"text","content":"` + answer + `"}],"finish_reason":"stop"}]`,
		}},
		{"current names, structured", "chat m", map[string]any{
			"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "m", "gen_ai.response.model": "m-2",
			"gen_ai.usage.input_tokens": 27, "gen_ai.usage.output_tokens": 12, "gen_ai.response.finish_reasons": `["stop"]`,
			"gen_ai.input.messages": []any{
				map[string]any{"role": "system", "parts": []any{map[string]any{"type": "text", "content": system}}},
				map[string]any{"role": "user", "parts": []any{map[string]any{"type": "text", "content": question}}},
			},
			"gen_ai.output.messages": []any{map[string]any{"role": "assistant", "parts": []any{map[string]any{"type": "text", "content": answer}}}},
		}},
		{"legacy flat names", "openai.chat", map[string]any{
			"llm.request.type": "chat", "gen_ai.system": "OpenAI", "gen_ai.request.model": "m", "gen_ai.response.model": "m-2",
			"gen_ai.usage.prompt_tokens": 27, "gen_ai.usage.completion_tokens": 12, "llm.usage.total_tokens": 39,
			"gen_ai.prompt.0.role": "system", "gen_ai.prompt.0.content": system, "gen_ai.prompt.1.role": "user", "gen_ai.prompt.1.content": question,
			"gen_ai.completion.0.role": "assistant", "gen_ai.completion.0.content": answer, "gen_ai.completion.0.finish_reason": "stop",
		}},
		{"OpenInference", "ChatCompletion", map[string]any{
			"openinference.span.kind": "LLM", "llm.system": "openai", "llm.model_name": "m-2", "llm.invocation_parameters": `{"model": "m", "seed": 7}`,
			"llm.token_count.prompt": 27, "llm.token_count.completion": 12, "llm.token_count.total": 39, "llm.finish_reason": "stop",
			"llm.input_messages.0.message.role": "system", "llm.input_messages.0.message.content": system,
			"llm.input_messages.1.message.role": "user", "llm.input_messages.1.message.content": question,
			"llm.output_messages.0.message.role": "assistant", "llm.output_messages.0.message.content": answer,
			"input.value": `{"messages": []}`, "output.value": `{"choices": []}`,
		}},
		{"OpenInference, raw values only", "ChatCompletion", map[string]any{
			"openinference.span.kind": "LLM", "llm.provider": "openai", "llm.model_name": "m-2", "llm.invocation_parameters": `{"model": "m"}`,
			"llm.token_count.prompt": 27, "llm.token_count.completion": 12,
			"input.value":  `{"model":"m","messages":[{"role":"system","content":"` + system + `"},{"role":"user","content":"` + question + `"}]}`,
			"output.value": `{"id":"x","choices":[{"finish_reason":"stop","index":0,"message":{"content":"` + answer + `","role":"assistant"}}]}`,
		}},
	} {
		t.Run(c.dialect, func(t *testing.T) {
			got := mapOne(t, c.span, c.attrs)
			want := want
			want.TraceID, want.SpanID, want.Parent, want.Name, want.Service = got.TraceID, got.SpanID, got.Parent, c.span, "checkout"
			want.Start, want.End = got.Start, got.End
			require.Equal(t, want, got)
		})
	}
}

// An attribute and its own former names sent side by side are one value, not two.
func TestNewestNameWinsAndNothingIsSummed(t *testing.T) {
	got := mapOne(t, "chat m", map[string]any{
		"gen_ai.usage.prompt_tokens": 5, "gen_ai.usage.input_tokens": 7, "llm.token_count.prompt": 9,
		"gen_ai.system": "old", "gen_ai.provider.name": "new", "user.id": "u-1", "enduser.id": "u-2",
	})
	require.Equal(t, int64(7), got.Usage.Input)
	require.Equal(t, "new", got.Provider)
	require.Equal(t, "u-1", got.User)
}

func TestEveryNameOfTheTableIsListedOnceAndRead(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range table() {
		require.NotEmpty(t, r.names)
		for _, n := range r.names {
			require.False(t, seen[n], "%s stands in two rows", n)
			seen[n] = true
			for _, p := range prefixes {
				rest, ok := strings.CutPrefix(n, p.prefix)
				_, _, flat := cutPosition(rest)
				require.False(t, ok && flat, "%s would never be read", n)
			}
		}
	}
}

func TestOperation(t *testing.T) {
	for _, c := range []struct {
		name  string
		attrs map[string]any
		want  engine.Operation
	}{
		{"x", map[string]any{"gen_ai.operation.name": "execute_tool"}, engine.OpExecuteTool},
		{"x", map[string]any{"gen_ai.operation.name": "plan"}, "plan"},
		{"x", map[string]any{"openinference.span.kind": "RETRIEVER"}, engine.OpRetrieval},
		{"x", map[string]any{"openinference.span.kind": "EMBEDDING"}, engine.OpEmbeddings},
		{"x", map[string]any{"openinference.span.kind": "AGENT"}, engine.OpInvokeAgent},
		{"x", map[string]any{"openinference.span.kind": "CHAIN"}, ""}, // below the root: a step
		{"x", map[string]any{"openinference.span.kind": "nonsense"}, ""},
		{"x", map[string]any{"traceloop.span.kind": "workflow"}, engine.OpInvokeWorkflow},
		{"x", map[string]any{"traceloop.span.kind": "tool"}, engine.OpExecuteTool},
		{"x", map[string]any{"llm.request.type": "completion"}, engine.OpTextCompletion},
		{"tools/call x", map[string]any{"mcp.method.name": "tools/call"}, engine.OpExecuteTool},
		{"chat gpt-4o", map[string]any{"gen_ai.request.model": "gpt-4o"}, engine.OpChat},
		{"ChatCompletion", map[string]any{"llm.model_name": "gpt-4o"}, engine.OpChat},
		{"openai.embeddings", map[string]any{"gen_ai.system": "openai"}, engine.OpEmbeddings},
		{"chat with support", nil, ""}, // nothing says that a model is involved
		{"my call", map[string]any{"gen_ai.request.model": "m", "gen_ai.usage.output_tokens": 3}, engine.OpChat},
		{"GET /", nil, ""},
	} {
		require.Equal(t, c.want, mapOne(t, c.name, c.attrs).Operation, "%s %v", c.name, c.attrs)
	}
}

func TestRootChainIsAWorkflow(t *testing.T) {
	td, s := request(t, "x", map[string]any{"openinference.span.kind": "CHAIN", "input.value": `{"q": 1}`})
	s.SetParentSpanID(pcommon.SpanID{})
	got := newMapper(t, nil).Spans(td, now).Spans[0]
	require.Equal(t, engine.OpInvokeWorkflow, got.Operation)
	require.True(t, got.Parent.IsZero())
	require.Equal(t, []engine.Message{text1("user", `{"q": 1}`)}, got.Input)
}

func TestToolAgentAndRetrievalSpans(t *testing.T) {
	tool := mapOne(t, "execute_tool lookup", map[string]any{
		"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "lookup", "gen_ai.tool.type": "function", "gen_ai.tool.call.id": "c1",
		"gen_ai.tool.call.arguments": map[string]any{"id": 7}, "gen_ai.tool.call.result": "found",
	})
	require.Equal(t, engine.Tool{Name: "lookup", Type: "function", CallID: "c1", Arguments: `{"id":7}`, Result: "found"}, tool.Tool)

	traceloop := mapOne(t, "lookup.tool", map[string]any{
		"traceloop.span.kind": "tool", "traceloop.entity.name": "lookup", "traceloop.workflow.name": "support",
		"traceloop.entity.input": `{"id": 7}`, "traceloop.entity.output": "found",
	})
	require.Equal(t, engine.Tool{Name: "lookup", Arguments: `{"id": 7}`, Result: "found"}, traceloop.Tool)
	require.Equal(t, "support", traceloop.Workflow)
	require.Empty(t, traceloop.Input)

	agent := mapOne(t, "a", map[string]any{"traceloop.span.kind": "agent", "traceloop.entity.name": "planner", "traceloop.entity.version": 3})
	require.Equal(t, engine.Agent{Name: "planner", Version: "3"}, agent.Agent)

	retrieval := mapOne(t, "retrieval", map[string]any{
		"gen_ai.operation.name": "retrieval", "gen_ai.data_source.id": "kb", "gen_ai.request.top_k": 3, "gen_ai.retrieval.query.text": "refunds",
		"gen_ai.retrieval.documents": `[{"id":"d1","score":0.9},{"id":2,"score":"0.5","content":"text"}]`,
	})
	require.Equal(t, engine.Retrieval{DataSource: "kb", Query: "refunds", TopK: 3,
		Documents: []engine.Document{{ID: "d1", Score: 0.9}, {ID: "2", Score: 0.5, Text: "text"}}}, retrieval.Retrieval)

	flat := mapOne(t, "r", map[string]any{
		"openinference.span.kind": "RETRIEVER", "input.value": "refunds",
		"retrieval.documents.1.document.content": "second", "retrieval.documents.0.document.id": "d1", "retrieval.documents.0.document.score": 0.7,
	})
	require.Equal(t, "refunds", flat.Retrieval.Query)
	require.Equal(t, []engine.Document{{ID: "d1", Score: 0.7}, {Text: "second"}}, flat.Retrieval.Documents)
}

func TestMessageParts(t *testing.T) {
	got := mapOne(t, "chat m", map[string]any{"gen_ai.operation.name": "chat", "gen_ai.input.messages": `[
		{"role":"assistant","parts":[{"type":"reasoning","content":"hm"},{"type":"tool_call","id":"c1","name":"f","arguments":{"a":1}}]},
		{"role":"tool","parts":[{"type":"tool_call_response","id":"c1","response":"r1"},{"type":"tool_call_response","id":"c2","result":{"b":2}}]},
		{"role":"user","parts":[{"type":"blob","mime_type":"image/png","content":"AAAA"},{"type":"uri","modality":"image","uri":"http://x"}]},
		{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"x"}}]},
		{"role":"assistant","content":null,"tool_calls":[{"id":"c3","type":"function","function":{"name":"g","arguments":"{}"}}]},
		{"role":"tool","tool_call_id":"c3","content":"r3"}]`})
	require.Equal(t, []engine.Message{
		{Role: "assistant", Parts: []engine.Part{{Kind: engine.PartReasoning, Text: "hm"}, {Kind: engine.PartToolCall, ID: "c1", Name: "f", Text: `{"a":1}`}}},
		{Role: "tool", Parts: []engine.Part{{Kind: engine.PartToolResponse, ID: "c1", Text: "r1"}, {Kind: engine.PartToolResponse, ID: "c2", Text: `{"b":2}`}}},
		{Role: "user", Parts: []engine.Part{{Kind: engine.PartMedia, Name: "image/png"}, {Kind: engine.PartMedia, Name: "image"}}},
		{Role: "user", Parts: []engine.Part{{Kind: engine.PartText, Text: "a"}, {Kind: engine.PartMedia, Name: "image_url"}}},
		{Role: "assistant", Parts: []engine.Part{{Kind: engine.PartToolCall, ID: "c3", Name: "g", Text: "{}"}}},
		{Role: "tool", Parts: []engine.Part{{Kind: engine.PartToolResponse, ID: "c3", Text: "r3"}}},
	}, got.Input)
}

func TestFlatToolCallsAndContents(t *testing.T) {
	got := mapOne(t, "ChatCompletion", map[string]any{
		"openinference.span.kind":                                                        "LLM",
		"llm.input_messages.0.message.role":                                              "user",
		"llm.input_messages.0.message.contents.0.message_content.type":                   "text",
		"llm.input_messages.0.message.contents.0.message_content.text":                   "look",
		"llm.input_messages.0.message.contents.1.message_content.type":                   "image",
		"llm.output_messages.0.message.role":                                             "assistant",
		"llm.output_messages.0.message.tool_calls.0.tool_call.id":                        "c1",
		"llm.output_messages.0.message.tool_calls.0.tool_call.function.name":             "f",
		"llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments":        "{}",
		"llm.output_messages.4000000.message.tool_calls.4000000.tool_call.function.name": "sparse",
	})
	require.Equal(t, []engine.Part{{Kind: engine.PartText, Text: "look"}, {Kind: engine.PartMedia, Name: "image"}}, got.Input[0].Parts)
	require.Equal(t, []engine.Part{{Kind: engine.PartToolCall, ID: "c1", Name: "f", Text: "{}"}}, got.Output[0].Parts)
	require.Equal(t, "sparse", got.Output[1].Parts[0].Name)

	legacy := mapOne(t, "openai.chat", map[string]any{
		"llm.request.type": "chat", "gen_ai.prompt.0.role": "tool", "gen_ai.prompt.0.content": "r", "gen_ai.prompt.0.tool_call_id": "c1",
		"gen_ai.prompt.1.content":               `[{"type":"text","text":"listed"}]`,
		"gen_ai.completion.0.tool_calls.0.name": "f", "gen_ai.completion.0.tool_calls.0.arguments": `{"x":1}`,
	})
	require.Equal(t, []engine.Part{{Kind: engine.PartToolResponse, ID: "c1", Text: "r"}}, legacy.Input[0].Parts)
	require.Equal(t, text1("user", "listed"), legacy.Input[1])
	require.Equal(t, []engine.Part{{Kind: engine.PartToolCall, Name: "f", Text: `{"x":1}`}}, legacy.Output[0].Parts)
}

// Clients cut long attributes in the middle; what is left is still worth reading.
func TestMalformedMessagesAreOneText(t *testing.T) {
	for _, raw := range []string{
		`[{"role":"user","parts":[{"type":"text","content":"cut off he`, `[1,2]`, `{"a":`, `[{"role":"user"}] trailing`, `[`, `plain`, `{"unknown":"shape"}`,
		strings.Repeat(`[`, 5000), strings.Repeat(`{"message":`, 5000), strings.Repeat(`{"content":[`, 5000), `[{"role":"user","parts":"x"}]`,
	} {
		got := mapOne(t, "chat m", map[string]any{"gen_ai.operation.name": "chat", "gen_ai.input.messages": raw})
		require.Equal(t, []engine.Message{text1("user", raw)}, got.Input)
	}
}

func TestFailure(t *testing.T) {
	td, s := request(t, "ChatCompletion", map[string]any{"openinference.span.kind": "LLM"})
	s.Status().SetCode(ptrace.StatusCodeError)
	s.Status().SetMessage("NotFoundError: Error code: 404")
	ev := s.Events().AppendEmpty()
	ev.SetName("exception")
	ev.Attributes().PutStr("exception.type", "openai.NotFoundError")
	ev.Attributes().PutStr("exception.message", "Error code: 404")
	m := newMapper(t, nil)
	got := m.Spans(td, now).Spans[0]
	require.True(t, got.Failed)
	require.Equal(t, "NotFoundError", got.ErrorType)
	require.Equal(t, "Error code: 404", got.ErrorMessage)

	s.Attributes().PutStr("error.type", "timeout")
	require.Equal(t, "timeout", m.Spans(td, now).Spans[0].ErrorType)

	td, s = request(t, "x", nil)
	s.Status().SetCode(ptrace.StatusCodeError)
	require.Equal(t, "error", m.Spans(td, now).Spans[0].ErrorType)

	// An exception that the application handled is no failure.
	td, s = request(t, "x", nil)
	s.Events().AppendEmpty().SetName("exception")
	require.False(t, m.Spans(td, now).Spans[0].Failed)
}

func TestResource(t *testing.T) {
	td, s := request(t, "x", map[string]any{"tenant.id": "t-span"})
	r := td.ResourceSpans().At(0).Resource().Attributes()
	r.PutStr("service.version", "1.2")
	r.PutStr("deployment.environment", "production")
	r.PutStr("cloud.region", "eu-1")
	r.PutStr("tenant.id", "t-resource")
	m := newMapper(t, nil)
	got := m.Spans(td, now).Spans[0]
	require.Equal(t, []string{"checkout", "1.2", "production", "eu-1", "t-span"}, []string{got.Service, got.ServiceVersion, got.Environment, got.Region, got.Tenant})
	s.Attributes().Clear()
	require.Equal(t, "t-resource", m.Spans(td, now).Spans[0].Tenant)
	r.Clear()
	require.Equal(t, UnknownService, m.Spans(td, now).Spans[0].Service)
}

func TestBadSpansAreRefusedWithTheFieldNamedAndTheRestIsKept(t *testing.T) {
	td, good := request(t, "good", nil)
	spans := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	add := func(change func(ptrace.Span)) {
		s := spans.AppendEmpty()
		good.CopyTo(s)
		change(s)
	}
	at := pcommon.NewTimestampFromTime
	add(func(s ptrace.Span) { s.SetTraceID(pcommon.TraceID{}) })
	add(func(s ptrace.Span) { s.SetSpanID(pcommon.SpanID{}) })
	add(func(s ptrace.Span) { s.SetStartTimestamp(0) })
	add(func(s ptrace.Span) { s.SetStartTimestamp(at(now.AddDate(-11, 0, 0))) })
	add(func(s ptrace.Span) { s.SetStartTimestamp(at(now.Add(25 * time.Hour))) })
	add(func(s ptrace.Span) { s.SetStartTimestamp(math.MaxUint64) })
	add(func(s ptrace.Span) { s.SetEndTimestamp(math.MaxUint64) })
	add(func(s ptrace.Span) { s.SetName("also good"); s.SetParentSpanID(pcommon.SpanID{}) })

	res := newMapper(t, nil).Spans(td, now)
	require.Len(t, res.Spans, 2)
	require.Equal(t, "also good", res.Spans[1].Name)
	var reasons []Reason
	for i, r := range res.Rejected {
		require.Equal(t, i+1, r.Index)
		reasons = append(reasons, r.Reason)
	}
	require.Equal(t, []Reason{ReasonTraceID, ReasonSpanID, ReasonStartTime, ReasonStartTime, ReasonStartTime, ReasonStartTime, ReasonEndTime}, reasons)
	require.Contains(t, res.Rejected[2].Error(), "start_time_unix_nano is 0")
	require.Contains(t, res.Rejected[2].Error(), "record 3 (span 0200000000000000)")
}

func TestNegativeDurationBecomesZero(t *testing.T) {
	td, s := request(t, "x", nil)
	s.SetEndTimestamp(s.StartTimestamp() - 5)
	res := newMapper(t, nil).Spans(td, now)
	require.Equal(t, res.Spans[0].Start, res.Spans[0].End)
	require.Equal(t, 1, res.Stats.Reversed)
}

func TestFirstTokenComesAsAttributeOrAsEvent(t *testing.T) {
	event := func(s ptrace.Span, name string, after time.Duration) {
		ev := s.Events().AppendEmpty()
		ev.SetName(name)
		ev.SetTimestamp(s.StartTimestamp() + pcommon.Timestamp(after))
	}
	td, s := request(t, "chat m", nil)
	s.SetEndTimestamp(s.StartTimestamp() + pcommon.Timestamp(3*time.Second))
	event(s, "First Token Stream Event", 4*time.Second) // of a wrong clock
	event(s, "llm.content.completion.chunk", 300*time.Millisecond)
	event(s, "llm.content.completion.chunk", 400*time.Millisecond)
	require.Equal(t, 300*time.Millisecond, newMapper(t, nil).Spans(td, now).Spans[0].TimeToFirstChunk)

	s.Attributes().PutDouble("gen_ai.response.time_to_first_chunk", 0.2)
	require.Equal(t, 200*time.Millisecond, newMapper(t, nil).Spans(td, now).Spans[0].TimeToFirstChunk)
}

func TestNumbersThatCannotBeAreIgnored(t *testing.T) {
	td, _ := request(t, "chat m", map[string]any{
		"gen_ai.usage.input_tokens": math.NaN(), "gen_ai.usage.output_tokens": -5, "gen_ai.usage.cost": math.Inf(1),
		"gen_ai.response.time_to_first_chunk": math.Inf(-1), "gen_ai.usage.reasoning.output_tokens": int64(math.MaxInt64),
		"gen_ai.usage.cache_read.input_tokens": "many", "gen_ai.usage.cache_creation.input_tokens": "12",
		"gen_ai.usage.prompt_tokens": 8,
	})
	res := newMapper(t, nil).Spans(td, now)
	require.Equal(t, engine.Usage{Input: 8, CacheCreation: 12}, res.Spans[0].Usage, "a value of no use does not hide an older name's")
	require.Zero(t, res.Spans[0].TimeToFirstChunk)
	require.Equal(t, 6, res.Stats.Ignored)
}

func TestLongTextsAreCutAtARune(t *testing.T) {
	td, _ := request(t, strings.Repeat("n", 40), map[string]any{
		"gen_ai.operation.name": "chat", "gen_ai.input.messages": `[{"role":"user","parts":[{"type":"text","content":"` + strings.Repeat("é", 20) + `"}]}]`,
		"user.id": strings.Repeat("u", 11),
	})
	res := newMapper(t, func(l *Limits) { l.MaxTextBytes, l.MaxNameBytes = 15, 10 }).Spans(td, now)
	s := res.Spans[0]
	require.Equal(t, "ééééééé…[cut 26 bytes]", s.Input[0].Text())
	require.Equal(t, "uuuuuuuuuu…[cut 1 bytes]", s.User)
	require.Equal(t, 3, res.Stats.Cut)
}

func TestListsKeepTheNewestMessages(t *testing.T) {
	td, _ := request(t, "chat", map[string]any{"gen_ai.input.messages": `["a","b","c"]`, "gen_ai.retrieval.documents": `["a","b","c"]`,
		"gen_ai.output.messages": `[{"role":"assistant","parts":["a","b","c"]}]`})
	res := newMapper(t, func(l *Limits) { l.MaxMessages, l.MaxParts, l.MaxDocuments = 2, 2, 2 }).Spans(td, now)
	require.Equal(t, []engine.Message{text1("user", "b"), text1("user", "c")}, res.Spans[0].Input)
	require.Len(t, res.Spans[0].Output[0].Parts, 2)
	require.Len(t, res.Spans[0].Retrieval.Documents, 2)
	require.Equal(t, 3, res.Stats.Cut)
}

func TestInvalidUTF8IsReplaced(t *testing.T) {
	td, _ := request(t, "a\xffb", map[string]any{"gen_ai.request.model": "m\xc3", "gen_ai.input.messages": "[\"q\xff\"]"})
	res := newMapper(t, nil).Spans(td, now)
	s := res.Spans[0]
	require.Equal(t, "a\uFFFDb", s.Name)
	require.True(t, utf8.ValidString(s.Model))
	require.Equal(t, "q\uFFFD", s.Input[0].Text())
	require.Equal(t, 3, res.Stats.Repaired)
}

func TestDuplicatesPassThrough(t *testing.T) {
	td, s := request(t, "x", nil)
	s.CopyTo(td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().AppendEmpty())
	require.Len(t, newMapper(t, nil).Spans(td, now).Spans, 2)
}

func TestSpanEvents(t *testing.T) {
	td, s := request(t, "chat m", map[string]any{"gen_ai.operation.name": "chat"})
	event := func(name string, attrs map[string]any) {
		ev := s.Events().AppendEmpty()
		ev.SetName(name)
		ev.SetTimestamp(s.StartTimestamp() + 5)
		require.NoError(t, ev.Attributes().FromRaw(attrs))
	}
	event("gen_ai.system.message", map[string]any{"gen_ai.event.content": `{"role":"system","content":"be brief"}`})
	event("gen_ai.user.message", map[string]any{"content": "hi"})
	event("gen_ai.user.message", map[string]any{"gen_ai.system": "openai"}) // content is switched off
	event("gen_ai.choice", map[string]any{"gen_ai.event.content": `{"index":0,"finish_reason":"stop","message":{"content":"hello"}}`})
	event("gen_ai.evaluation.result", map[string]any{"gen_ai.evaluation.name": "relevance", "gen_ai.evaluation.score.value": 0.25, "gen_ai.response.id": "r1"})
	event("gen_ai.evaluation.result", map[string]any{"gen_ai.evaluation.score.value": 1})
	event("something.else", nil)

	res := newMapper(t, nil).Spans(td, now)
	got := res.Spans[0]
	require.Equal(t, []engine.Message{text1("system", "be brief")}, got.System)
	require.Equal(t, []engine.Message{text1("user", "hi")}, got.Input)
	require.Equal(t, "hello", got.Output[0].Text())
	require.Equal(t, []string{"stop"}, got.FinishReasons)
	require.Equal(t, []engine.Evaluation{{TraceID: got.TraceID, SpanID: got.SpanID, At: got.Start.Add(5), Name: "relevance", Score: 0.25, HasScore: true, ResponseID: "r1"}}, got.Evaluations)
	require.Equal(t, 1, res.Stats.Ignored)

	s.Attributes().PutStr("gen_ai.input.messages", "from the attribute")
	require.Equal(t, []engine.Message{text1("user", "from the attribute")}, newMapper(t, nil).Spans(td, now).Spans[0].Input, "content is not doubled")
}

func logRequest(records ...func(plog.LogRecord)) plog.Logs {
	ld := plog.NewLogs()
	sl := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
	for _, change := range records {
		r := sl.LogRecords().AppendEmpty()
		r.SetTraceID(pcommon.TraceID{1})
		r.SetSpanID(pcommon.SpanID{2})
		r.SetObservedTimestamp(pcommon.NewTimestampFromTime(now))
		change(r)
	}
	return ld
}

func record(t *testing.T, name string, body any, attrs map[string]any) func(plog.LogRecord) {
	return func(r plog.LogRecord) {
		r.SetEventName(name)
		require.NoError(t, r.Body().FromRaw(body))
		require.NoError(t, r.Attributes().FromRaw(attrs))
	}
}

func TestLogRecordsOfOneSpanBecomeOneContent(t *testing.T) {
	call := map[string]any{"id": "c1", "type": "function", "function": map[string]any{"name": "f", "arguments": `{"a":1}`}}
	res := newMapper(t, nil).Logs(logRequest(
		record(t, "gen_ai.system.message", map[string]any{"content": "be brief"}, nil),
		record(t, "gen_ai.user.message", map[string]any{"content": "hi"}, nil),
		record(t, "gen_ai.assistant.message", map[string]any{"tool_calls": []any{call}}, nil),
		record(t, "", map[string]any{"id": "c1", "content": "result"}, map[string]any{"event.name": "gen_ai.tool.message"}),
		record(t, "gen_ai.choice", `{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"hello"}}`, nil),
		record(t, "gen_ai.user.message", map[string]any{}, nil),
		record(t, "application.log", "unrelated", nil),
	), now)
	require.Empty(t, res.Rejected)
	require.Equal(t, 1, res.Stats.Skipped)
	done := text1("assistant", "hello")
	done.FinishReason = "stop"
	require.Equal(t, []engine.Content{{
		TraceID: engine.TraceID{1}, SpanID: engine.SpanID{2}, At: now,
		System: []engine.Message{text1("system", "be brief")},
		Input: []engine.Message{
			text1("user", "hi"),
			{Role: "assistant", Parts: []engine.Part{{Kind: engine.PartToolCall, ID: "c1", Name: "f", Text: `{"a":1}`}}},
			{Role: "tool", Parts: []engine.Part{{Kind: engine.PartToolResponse, ID: "c1", Text: "result"}}},
		},
		Output: []engine.Message{done},
	}}, res.Contents)
}

func TestOperationDetailsAndEvaluationsAsLogRecords(t *testing.T) {
	res := newMapper(t, nil).Logs(logRequest(
		record(t, "gen_ai.client.inference.operation.details", nil, map[string]any{
			"gen_ai.input.messages":  []any{map[string]any{"role": "user", "parts": []any{map[string]any{"type": "text", "content": "hi"}}}},
			"gen_ai.output.messages": `[{"role":"assistant","parts":[{"type":"text","content":"hello"}],"finish_reason":"stop"}]`,
		}),
		record(t, "gen_ai.evaluation.result", nil, map[string]any{"gen_ai.evaluation.name": "toxicity", "gen_ai.evaluation.score.label": "fail", "gen_ai.evaluation.explanation": "why", "error.type": "timeout"}),
	), now)
	require.Equal(t, []engine.Message{text1("user", "hi")}, res.Contents[0].Input)
	require.Equal(t, "stop", res.Contents[0].Output[0].FinishReason)
	require.Equal(t, []engine.Evaluation{{TraceID: engine.TraceID{1}, SpanID: engine.SpanID{2}, At: now, Name: "toxicity", Label: "fail", Explanation: "why", ErrorType: "timeout"}}, res.Evaluations)
}

func TestBadLogRecordsAreRefused(t *testing.T) {
	user := record(t, "gen_ai.user.message", "hi", nil)
	res := newMapper(t, nil).Logs(logRequest(
		func(r plog.LogRecord) { user(r); r.SetTraceID(pcommon.TraceID{}) },
		func(r plog.LogRecord) { user(r); r.SetSpanID(pcommon.SpanID{}) },
		func(r plog.LogRecord) { user(r); r.SetTimestamp(math.MaxUint64) },
		func(r plog.LogRecord) { user(r); r.SetTimestamp(1) },
		record(t, "gen_ai.evaluation.result", nil, nil),
		func(r plog.LogRecord) { user(r); r.SetObservedTimestamp(0) },
	), now)
	var reasons []Reason
	for _, r := range res.Rejected {
		reasons = append(reasons, r.Reason)
	}
	require.Equal(t, []Reason{ReasonTraceID, ReasonSpanID, ReasonTime, ReasonTime, ReasonEvaluation}, reasons)
	require.Equal(t, now, res.Contents[0].At, "a record without a time is as old as its arrival")
}

func TestLimitsAreValidated(t *testing.T) {
	for _, change := range []func(*Limits){
		func(l *Limits) { l.MaxTextBytes = 0 }, func(l *Limits) { l.MaxParts = -1 }, func(l *Limits) { l.MaxAge = 0 },
	} {
		l := DefaultLimits()
		change(&l)
		_, err := New(l)
		require.Equal(t, engine.CodeInvalid, engine.ErrorCode(err))
	}
}
