package agentruns

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// stepTime is what each step takes: no recorded time is known, so times carry no meaning but the length of the run.
const stepTime = time.Second

// rootSpan is the id of the span of the whole run; that of step i is stepSpan(i).
var rootSpan = engine.SpanID{7: 1}

func stepSpan(i int) engine.SpanID {
	var id engine.SpanID
	binary.BigEndian.PutUint64(id[:], uint64(i)+2)
	return id
}

// stepOf is the index of the step that a span is, false for none.
func (r run) stepOf(id engine.SpanID) (int, bool) {
	n := binary.BigEndian.Uint64(id[:])
	if n < 2 || n-2 >= uint64(len(r.Steps)) {
		return 0, false
	}
	return int(n - 2), true
}

// trace is the run as an instrumented application would have sent it: a span of the run, and below it one a model call, with the
// conversation so far as its input, and one a tool call. What a user says is input of the next model call and has no span.
func (r run) trace(start time.Time) engine.Trace {
	sum := sha256.Sum256([]byte(r.ID))
	id := engine.TraceID(sum[:16])
	spans := []engine.Span{r.root(id, start)}
	var history []engine.Message
	if r.Steps[0].Kind != kindUser {
		// A run that begins with an agent works on a task that was typed in. Where a user talks, the task is hidden from the agent.
		history = append(history, message("user", engine.PartText, "", r.Task))
	}
	for i, s := range r.Steps {
		begin := start.Add(time.Duration(i) * stepTime)
		span := engine.Span{
			TraceID: id, SpanID: stepSpan(i), Parent: rootSpan, Service: r.Source, Conversation: r.ID,
			Agent: engine.Agent{Name: s.Agent}, Start: begin, End: begin.Add(stepTime),
		}
		switch s.Kind {
		case kindUser:
			history = append(history, message("user", engine.PartText, "", s.Output))
			continue
		case kindModel:
			span.Operation = engine.OpChat
			if s.Name != s.Agent {
				span.Model = s.Name
			}
			span.Input = slices.Clone(history)
			span.Output = []engine.Message{reply(s.Output)}
			history = append(history, span.Output...)
		case kindTool:
			span.Operation = engine.OpExecuteTool
			span.Tool = engine.Tool{Name: s.Name, Type: "function", Arguments: s.Input, Result: s.Output}
			history = append(history, message("tool", engine.PartToolResponse, s.Name, s.Output))
		}
		if span.ErrorMessage = s.failure(); span.ErrorMessage != "" {
			span.Failed, span.ErrorType = true, s.Kind+"_error"
		}
		span.Name = strings.TrimSpace(string(span.Operation) + " " + s.Name)
		spans = append(spans, span)
	}
	return engine.NewTrace(id, spans)
}

// root is the span of the whole run: of its agent, or of a workflow when several agents work together.
func (r run) root(id engine.TraceID, start time.Time) engine.Span {
	span := engine.Span{
		TraceID: id, SpanID: rootSpan, Service: r.Source, Conversation: r.ID,
		Start: start, End: start.Add(time.Duration(len(r.Steps)) * stepTime),
	}
	var agents []string
	for _, s := range r.Steps {
		if s.Kind == kindModel && !slices.Contains(agents, s.Agent) {
			agents = append(agents, s.Agent)
		}
	}
	if len(agents) == 1 {
		span.Operation, span.Agent.Name = engine.OpInvokeAgent, agents[0]
		span.Name = string(span.Operation) + " " + agents[0]
	} else {
		span.Operation, span.Workflow = engine.OpInvokeWorkflow, r.Source
		span.Name = string(span.Operation) + " " + r.Source
	}
	return span
}

// reply is what a model said: text, or tool calls where it is a list of them.
func reply(output string) engine.Message {
	var calls []struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	}
	if err := json.Unmarshal([]byte(output), &calls); err != nil || len(calls) == 0 || calls[0].Name == "" {
		return message("assistant", engine.PartText, "", output)
	}
	m := engine.Message{Role: "assistant"}
	for _, c := range calls {
		m.Parts = append(m.Parts, engine.Part{Kind: engine.PartToolCall, Name: c.Name, Text: c.Arguments})
	}
	return m
}

func message(role string, kind engine.PartKind, name, text string) engine.Message {
	return engine.Message{Role: role, Parts: []engine.Part{{Kind: kind, Name: name, Text: text}}}
}

// badExit is how a tool that runs code says that the code failed, where the data has no error of its own.
var badExit = regexp.MustCompile(`^exitcode: [1-9][0-9]*[^\n]*`)

// failure is the error of a step, empty for none.
func (s step) failure() string {
	if s.Error != "" || s.Kind != kindTool {
		return s.Error
	}
	return badExit.FindString(s.Output)
}
