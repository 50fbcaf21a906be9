package custom

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
)

// trace is a row as an application would have sent it, from a user of its own: a prompt as a call of a model, a document as what a
// retrieval returned, a response as the work of an agent that retrieved its context.
func (d *definition) trace(r row, end time.Time) engine.Trace {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %q %q %q", r.Line, r.Text, r.Context, r.Response))
	id := engine.TraceID(sum[:16])
	span := func(number byte, parent engine.SpanID, op engine.Operation) engine.Span {
		return engine.Span{
			TraceID: id, SpanID: engine.SpanID{7: number}, Parent: parent, Name: string(op), Operation: op,
			Service: d.Name, User: hex.EncodeToString(sum[16:24]), Start: end.Add(-time.Second), End: end,
		}
	}
	var none engine.SpanID
	if d.Task == string(engine.UngroundedResponse) {
		root := span(1, none, engine.OpInvokeAgent)
		retrieval := span(2, root.SpanID, engine.OpRetrieval)
		retrieval.Retrieval = engine.Retrieval{Query: r.Question, Documents: []engine.Document{{Text: r.Context}}}
		chat := span(3, root.SpanID, engine.OpChat)
		if r.Question != "" {
			chat.Input = evals.Said("user", r.Question)
		}
		chat.Output = evals.Said("assistant", r.Response)
		return engine.NewTrace(id, []engine.Span{root, retrieval, chat})
	}
	var s engine.Span
	switch r.Kind {
	case kindDocument:
		s = span(1, none, engine.OpRetrieval)
		s.Retrieval = engine.Retrieval{Documents: []engine.Document{{Text: r.Text}}}
	case kindTool:
		s = span(1, none, engine.OpExecuteTool)
		s.Tool.Result = r.Text
	default:
		s = span(1, none, engine.OpChat)
		s.Input = evals.Said("user", r.Text)
	}
	return engine.NewTrace(id, []engine.Span{s})
}
