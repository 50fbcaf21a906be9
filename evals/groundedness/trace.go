package groundedness

import (
	"crypto/sha256"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
)

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
		spans[2].Input = evals.Said("user", s.Question)
	}
	spans[2].Output = evals.Said("assistant", s.Response)
	return engine.NewTrace(id, spans)
}
