package groundedness

import (
	"crypto/sha256"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// judgedAt is when every judged trace begins; what is learnt came before, one trace a minute. Times carry no meaning.
var judgedAt = time.Date(2025, 1, 8, 12, 0, 0, 0, time.UTC)

// trace is the sample as an application would have sent it: an agent retrieves the context and a model answers from it.
func (s sample) trace(start time.Time) engine.Trace {
	sum := sha256.Sum256([]byte(s.ID))
	id := engine.TraceID(sum[:16])
	root, retrieval, chat := engine.SpanID{7: 1}, engine.SpanID{7: 2}, engine.SpanID{7: 3}
	agent := engine.Agent{Name: "answerer"}
	span := func(span, parent engine.SpanID, op engine.Operation, from, to time.Duration) engine.Span {
		return engine.Span{
			TraceID: id, SpanID: span, Parent: parent, Name: string(op), Operation: op,
			Service: "groundedness-" + s.Task, Agent: agent, Start: start.Add(from), End: start.Add(to),
		}
	}
	spans := []engine.Span{
		span(root, engine.SpanID{}, engine.OpInvokeAgent, 0, 2*time.Second),
		span(retrieval, root, engine.OpRetrieval, 0, time.Second),
		span(chat, root, engine.OpChat, time.Second, 2*time.Second),
	}
	spans[1].Retrieval = engine.Retrieval{
		DataSource: "context", Query: s.Question, TopK: 1, Documents: []engine.Document{{ID: "context", Text: s.Context}},
	}
	if s.Question != "" {
		spans[2].Input = []engine.Message{message("user", s.Question)}
	}
	spans[2].Output = []engine.Message{message("assistant", s.Response)}
	return engine.NewTrace(id, spans)
}

func message(role, text string) engine.Message {
	return engine.Message{Role: role, Parts: []engine.Part{{Kind: engine.PartText, Text: text}}}
}

// history is the spans of samples that came before judgedAt.
func (all samples) history(which []int) []engine.Span {
	var out []engine.Span
	for k, i := range which {
		out = append(out, all[i].trace(judgedAt.Add(-time.Duration(len(which)-k)*time.Minute)).Spans...)
	}
	return out
}
