package relevance

import (
	"crypto/sha256"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
)

// trace is the search as an application would have sent it: an agent that is asked retrieves one document.
func (s search) trace(start time.Time) engine.Trace {
	sum := sha256.Sum256([]byte(s.Question + "\x00" + s.Document))
	id := engine.TraceID(sum[:16])
	root, retrieval := engine.SpanID{7: 1}, engine.SpanID{7: 2}
	span := func(span, parent engine.SpanID, op engine.Operation) engine.Span {
		return engine.Span{
			TraceID: id, SpanID: span, Parent: parent, Name: string(op), Operation: op,
			Service: "relevance", Agent: engine.Agent{Name: "searcher"}, Start: start, End: start.Add(time.Second),
		}
	}
	spans := []engine.Span{span(root, engine.SpanID{}, engine.OpInvokeAgent), span(retrieval, root, engine.OpRetrieval)}
	spans[0].Input = evals.Said("user", s.Question)
	spans[1].Retrieval = engine.Retrieval{
		DataSource: "documents", Query: s.Question, TopK: 1, Documents: []engine.Document{{ID: "found", Text: s.Document}},
	}
	return engine.NewTrace(id, spans)
}
