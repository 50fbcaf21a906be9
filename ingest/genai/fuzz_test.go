package genai

import (
	"math"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// FuzzGenAI gives any value to any name that the table or the prefixes know, on a span, in its events and in a log record.
func FuzzGenAI(f *testing.F) {
	m := newMapper(f, func(l *Limits) {
		l.MaxTextBytes, l.MaxNameBytes, l.MaxMessages, l.MaxParts, l.MaxDocuments = 64, 16, 3, 3, 3
	})
	var names []string
	for n := range m.index {
		names = append(names, n)
	}
	for _, p := range prefixes {
		for _, rest := range []string{"0.role", "0.message.content", "1.tool_calls.0.function.name", "1.message.contents.2.message_content.text", "7.document.score"} {
			names = append(names, p.prefix+rest)
		}
	}
	slices.Sort(names)
	events := []string{"exception", "gen_ai.evaluation.result", "gen_ai.choice", "gen_ai.tool.message", "gen_ai.client.inference.operation.details"}
	f.Add(uint16(0), uint16(40), "chat", int64(3), 0.5, uint8(0))
	f.Add(uint16(10), uint16(20), `[{"role":"user","parts":[{"type":"text","content":"x"}]}]`, int64(-3), math.NaN(), uint8(1))
	f.Add(uint16(77), uint16(3), `{"messages":[{"role":"tool","content":[{"type":"blob"}]}]}`, int64(math.MaxInt64), math.Inf(1), uint8(2))
	f.Fuzz(func(t *testing.T, a, b uint16, s string, i int64, x float64, shape uint8) {
		td, span := request(t, s, nil)
		put := func(attrs pcommon.Map) {
			one, other := names[int(a)%len(names)], names[int(b)%len(names)]
			switch shape % 4 {
			case 0:
				attrs.PutStr(one, s)
				attrs.PutInt(other, i)
			case 1:
				attrs.PutDouble(one, x)
				attrs.PutStr(other, s)
			case 2:
				list := attrs.PutEmptySlice(one)
				list.AppendEmpty().SetStr(s)
				list.AppendEmpty().SetDouble(x)
				attrs.PutEmptyBytes(other).FromRaw([]byte(s))
			case 3:
				object := attrs.PutEmptySlice(one).AppendEmpty().SetEmptyMap()
				object.PutStr("role", s)
				object.PutDouble("score", x)
				object.PutEmptySlice("parts").AppendEmpty().SetEmptyMap().PutStr("content", s)
				attrs.PutEmpty(other)
			}
		}
		put(span.Attributes())
		ev := span.Events().AppendEmpty()
		ev.SetName(events[int(shape)%len(events)])
		put(ev.Attributes())

		res := m.Spans(td, now)
		require.Len(t, res.Spans, 1)
		check(t, &res.Spans[0])

		logs := m.Logs(logRequest(func(r plog.LogRecord) {
			r.SetEventName(events[int(shape)%len(events)])
			put(r.Attributes())
			r.Attributes().CopyTo(r.Body().SetEmptyMap())
		}), now)
		for _, c := range logs.Contents {
			checkMessages(t, c.System, c.Input, c.Output)
		}
	})
}

// check holds a span against what the engine relies on.
func check(t *testing.T, s *engine.Span) {
	require.False(t, s.End.Before(s.Start))
	for _, text := range []string{s.Name, s.Service, s.Model, s.User, s.ErrorMessage, s.Tool.Arguments, s.Retrieval.Query, string(s.Operation)} {
		require.True(t, utf8.ValidString(text))
	}
	for _, n := range []int64{s.Usage.Input, s.Usage.Output, s.Usage.CacheRead, s.Usage.CacheCreation, s.Usage.Reasoning} {
		require.GreaterOrEqual(t, n, int64(0))
		require.LessOrEqual(t, n, int64(maxCount))
	}
	require.True(t, finite(s.Usage.Cost) && s.Usage.Cost >= 0)
	require.GreaterOrEqual(t, int64(s.TimeToFirstChunk), int64(0))
	require.LessOrEqual(t, len(s.Retrieval.Documents), 3)
	for _, d := range s.Retrieval.Documents {
		require.True(t, finite(d.Score))
	}
	for _, e := range s.Evaluations {
		require.True(t, finite(e.Score))
	}
	checkMessages(t, s.System, s.Input, s.Output)
}

func checkMessages(t *testing.T, lists ...[]engine.Message) {
	for _, list := range lists {
		require.LessOrEqual(t, len(list), 3)
		for _, m := range list {
			require.LessOrEqual(t, len(m.Parts), 4) // a text beside the list
			for _, p := range m.Parts {
				require.NotEmpty(t, p.Kind)
				require.True(t, utf8.ValidString(p.Text))
				require.LessOrEqual(t, len(p.Text), 64*4+64)
			}
		}
	}
}
