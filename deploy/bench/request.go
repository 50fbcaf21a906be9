package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// What a request holds.
const (
	spansPerRequest        = 100
	spansPerTrace          = 5
	attributesPerSpan      = 20
	messageBytes           = 1 << 10 // of both message attributes together
	fieldStart        byte = 7<<3 | 1
	fieldEnd          byte = 8<<3 | 1
)

// request is an encoded ExportTraceServiceRequest, of which ids and times are overwritten in place before each use: it would
// otherwise be one trace, repeated.
type request struct {
	body   []byte
	traces []int // offset of each span's trace id
	times  []int // offsets of start and end, fixed64
	base   int64 // what the times are moved by so far, in nanoseconds since 1970
}

// newRequests makes n requests that differ in models, users, texts and durations. The same seed makes the same requests.
func newRequests(n int, seed uint64) ([]*request, error) {
	rng := rand.New(rand.NewPCG(seed, seed))
	out := make([]*request, n)
	for i := range out {
		var err error
		if out[i], err = newRequest(rng); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func newRequest(rng *rand.Rand) (*request, error) {
	now := time.Now()
	r := &request{base: now.UnixNano()}
	td := traces(rng, now)
	var err error
	if r.body, err = ptraceotlp.NewExportRequestFromTraces(td).MarshalProto(); err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	from := 0 // where the span begins, or a little before
	for _, s := range td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
		id := s.TraceID()
		fields := [][]byte{
			id[:],
			binary.LittleEndian.AppendUint64([]byte{fieldStart}, uint64(s.StartTimestamp())),
			binary.LittleEndian.AppendUint64([]byte{fieldEnd}, uint64(s.EndTimestamp())),
		}
		var ends [3]int
		for i, f := range fields { // in whatever order the encoder writes them
			at := bytes.Index(r.body[from:], f)
			if at < 0 {
				return nil, fmt.Errorf("field %x not found in the encoded request", f)
			}
			ends[i] = from + at + len(f)
		}
		r.traces = append(r.traces, ends[0]-len(id))
		r.times = append(r.times, ends[1]-8, ends[2]-8)
		from = max(ends[0], ends[1], ends[2])
	}
	return r, nil
}

// renew gives the request's traces ids that were never used, and moves its times to now. serial is different in each call.
func (r *request) renew(serial uint64, now time.Time) {
	for i, at := range r.traces {
		trace := serial*(spansPerRequest/spansPerTrace) + uint64(i/spansPerTrace)
		id := r.body[at : at+16]
		binary.BigEndian.PutUint64(id, mix(trace))
		binary.BigEndian.PutUint64(id[8:], mix(^trace))
	}
	shift := uint64(now.UnixNano() - r.base)
	r.base = now.UnixNano()
	for _, at := range r.times {
		field := r.body[at : at+8]
		binary.LittleEndian.PutUint64(field, binary.LittleEndian.Uint64(field)+shift)
	}
}

// mix scatters numbers over all 64 bits (the finaliser of SplitMix64): samplers go by the bits of ids.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// traces is one request of an assistant: traces of an agent's span with calls of a model below it. Every span has
// attributesPerSpan attributes, of which two hold messageBytes of messages.
func traces(rng *rand.Rand, now time.Time) ptrace.Traces {
	models := []string{"gpt-4o", "gpt-4o-mini", "claude-sonnet-4", "mistral-large"}
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "assistant")
	rs.Resource().Attributes().PutStr("service.version", "1.4.2")
	rs.Resource().Attributes().PutStr("cloud.region", "eu-central-1")
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	var root ptrace.Span
	var trace pcommon.TraceID
	for i := range spansPerRequest {
		s := spans.AppendEmpty()
		var id pcommon.SpanID
		binary.BigEndian.PutUint64(id[:], rng.Uint64()|1)
		s.SetSpanID(id)
		operation := "chat"
		if i%spansPerTrace == 0 {
			root, operation = s, "invoke_agent"
			binary.BigEndian.PutUint64(trace[:], rng.Uint64()|1)
			binary.BigEndian.PutUint64(trace[8:], rng.Uint64()|1)
		} else {
			s.SetParentSpanID(root.SpanID())
		}
		s.SetTraceID(trace)
		model := models[rng.IntN(len(models))]
		s.SetName(operation + " " + model)
		s.SetKind(ptrace.SpanKindClient)
		took := time.Duration((0.5 + rng.ExpFloat64()) * float64(400*time.Millisecond))
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-took)))
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(now))
		describe(s.Attributes(), rng, operation, model)
	}
	return td
}

func describe(a pcommon.Map, rng *rand.Rand, operation, model string) {
	const answerBytes = messageBytes / 4
	a.EnsureCapacity(attributesPerSpan)
	a.PutStr("gen_ai.operation.name", operation)
	a.PutStr("gen_ai.provider.name", "openai")
	a.PutStr("gen_ai.request.model", model)
	a.PutStr("gen_ai.response.model", model+"-2026-08-06")
	a.PutStr("gen_ai.response.id", fmt.Sprintf("chatcmpl-%016x", rng.Uint64()))
	a.PutEmptySlice("gen_ai.response.finish_reasons").AppendEmpty().SetStr("stop")
	a.PutInt("gen_ai.usage.input_tokens", 200+rng.Int64N(200))
	a.PutInt("gen_ai.usage.output_tokens", 40+rng.Int64N(60))
	a.PutDouble("gen_ai.request.temperature", 0.2)
	a.PutInt("gen_ai.request.max_tokens", 512)
	a.PutStr("gen_ai.agent.name", "helpdesk")
	a.PutStr("gen_ai.conversation.id", fmt.Sprintf("conversation-%d", rng.IntN(5_000)))
	a.PutStr("user.id", fmt.Sprintf("user-%d", rng.IntN(1_000)))
	a.PutStr("tenant.id", fmt.Sprintf("tenant-%d", rng.IntN(20)))
	a.PutStr("server.address", "models.example.com")
	a.PutInt("server.port", 443)
	a.PutStr("http.request.method", "POST")
	a.PutBool("app.stream", true)
	a.PutStr("gen_ai.input.messages", message(rng, "user", "", messageBytes-answerBytes))
	a.PutStr("gen_ai.output.messages", message(rng, "assistant", `,"finish_reason":"stop"`, answerBytes))
}

// message is a list of one message in JSON, of size bytes.
func message(rng *rand.Rand, role, more string, size int) string {
	words := strings.Fields("the order was placed on Monday and should have come yesterday but where is it now please look what can be done about a refund")
	head, tail := `[{"role":"`+role+`","parts":[{"type":"text","content":"`, `"}]`+more+`}]`
	text := make([]byte, 0, size)
	for len(text) < size-len(head)-len(tail) {
		text = append(append(text, words[rng.IntN(len(words))]...), ' ')
	}
	return head + string(text[:size-len(head)-len(tail)]) + tail
}
