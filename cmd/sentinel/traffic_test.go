package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// traffic makes the calls of one small assistant: one model, one span a trace. The same arguments give the same calls.
type traffic struct {
	service string
	silent  bool      // without the texts
	at      time.Time // of the next call
	made    uint64
	random  *rand.Rand
}

func newTraffic(service string, begin time.Time) *traffic {
	h := fnv.New64a()
	_, _ = h.Write([]byte(service))
	return &traffic{service: service, at: begin, random: rand.New(rand.NewPCG(h.Sum64(), uint64(begin.Unix())))}
}

var (
	asked  = []string{"How do I return my %s?", "My %s is broken, can I get a new one?", "Where do I pick up a %s?", "Who approves a second %s?"}
	things = []string{"laptop", "badge", "monitor", "phone", "printer", "keyboard", "headset", "docking station"}
)

// calls makes n calls, one every so often, each as an export of its own. change, if any, makes them unusual.
func (f *traffic) calls(n int, every time.Duration, change func(i int, s ptrace.Span)) []ptrace.Traces {
	out := make([]ptrace.Traces, n)
	for i := range out {
		out[i] = f.call()
		if change != nil {
			change(i, spansOf(out[i])[0])
		}
		f.at = f.at.Add(every)
	}
	return out
}

func (f *traffic) call() ptrace.Traces {
	f.made++
	h := fnv.New64a()
	_, _ = fmt.Fprint(h, f.service, f.at.UnixNano())
	var trace pcommon.TraceID
	binary.BigEndian.PutUint64(trace[:8], h.Sum64())
	binary.BigEndian.PutUint64(trace[8:], f.made)
	var span pcommon.SpanID
	copy(span[:], trace[8:])

	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", f.service)
	s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.SetTraceID(trace)
	s.SetSpanID(span)
	s.SetName("chat small-1")
	s.SetKind(ptrace.SpanKindClient)
	s.SetStartTimestamp(pcommon.NewTimestampFromTime(f.at))
	took := time.Duration(float64(time.Second) * math.Exp(0.25*f.random.NormFloat64()))
	s.SetEndTimestamp(pcommon.NewTimestampFromTime(f.at.Add(took)))
	a := s.Attributes()
	a.PutStr("gen_ai.operation.name", "chat")
	a.PutStr("gen_ai.provider.name", "example")
	a.PutStr("gen_ai.request.model", "small-1")
	a.PutStr("user.id", fmt.Sprintf("u-%d", f.random.IntN(40)))
	a.PutInt("gen_ai.usage.input_tokens", 300+f.random.Int64N(200))
	a.PutInt("gen_ai.usage.output_tokens", 80+f.random.Int64N(60))
	if f.silent {
		return td
	}
	text := fmt.Sprintf(asked[f.random.IntN(len(asked))], things[f.random.IntN(len(things))])
	messages, err := json.Marshal([]any{map[string]any{"role": "user", "parts": []any{map[string]string{"type": "text", "content": text}}}})
	if err != nil {
		panic(err) // strings and maps of them
	}
	a.PutStr("gen_ai.input.messages", string(messages))
	return td
}

// failing makes three of four calls fail.
func failing(i int, s ptrace.Span) {
	if i%4 != 0 {
		s.Status().SetCode(ptrace.StatusCodeError)
		s.Attributes().PutStr("error.type", "503")
	}
}

// endless makes a call take a hundred times as long.
func endless(_ int, s ptrace.Span) {
	s.SetEndTimestamp(s.StartTimestamp() + 100*(s.EndTimestamp()-s.StartTimestamp()))
}
