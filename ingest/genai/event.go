package genai

import (
	"cmp"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// exception is what a span's exception event says.
type exception struct {
	class   string // without its package
	message string
}

// mapEvents reads the events of a span: evaluations, the first token, messages of clients that write content as events, and the last exception,
// which is returned.
func (d *draft) mapEvents(events ptrace.SpanEventSlice) (thrown exception) {
	s := d.span
	hasInput, hasOutput := len(s.Input) > 0, len(s.Output) > 0
	for _, ev := range events.All() {
		kind := eventOf(ev.Name())
		switch kind {
		case eventUnknown:
		case eventException:
			thrown = d.exception(ev.Attributes())
		case eventFirstToken:
			// The attribute says it too, and of several the first counts.
			if at := ev.Timestamp().AsTime(); s.TimeToFirstChunk == 0 && at.After(s.Start) && !at.After(s.End) {
				s.TimeToFirstChunk = at.Sub(s.Start)
			}
		case eventEvaluation:
			e, ok := d.evaluationOf(ev.Attributes())
			if !ok {
				d.stats.Ignored++
				continue
			}
			e.TraceID, e.SpanID, e.At = s.TraceID, s.SpanID, s.End
			if at := ev.Timestamp(); at >= pcommon.NewTimestampFromTime(s.Start) && at <= pcommon.NewTimestampFromTime(s.End) {
				e.At = at.AsTime()
			}
			s.Evaluations = append(s.Evaluations, e)
		default:
			c := d.contentOf(kind, ev.Attributes(), pcommon.Value{})
			s.System = append(s.System, c.System...)
			// Attributes are the newer way: a client that sends both means the same messages.
			if !hasInput {
				s.Input = append(s.Input, c.Input...)
			}
			if !hasOutput {
				s.Output = append(s.Output, c.Output...)
			}
		}
	}
	return thrown
}

func (d *draft) exception(attrs pcommon.Map) exception {
	var out exception
	if v, ok := attrs.Get("exception.type"); ok {
		class := scalar(v)
		out.class = d.cleanName(class[strings.LastIndexByte(class, '.')+1:])
	}
	if v, ok := attrs.Get("exception.message"); ok {
		out.message = scalar(v)
	}
	return out
}

// aside maps the attributes of an event through the table into a draft of its own.
func (d *draft) aside(attrs pcommon.Map) *draft {
	a := d.m.newDraft(d.stats)
	a.begin(&engine.Span{})
	a.attributes(attrs)
	return a
}

// evaluationOf reads the event gen_ai.evaluation.result. It reports false for one without a name.
func (d *draft) evaluationOf(attrs pcommon.Map) (engine.Evaluation, bool) {
	a := d.aside(attrs)
	e := a.evaluation
	e.ResponseID, e.ErrorType = a.span.ResponseID, a.span.ErrorType
	return e, e.Name != ""
}

// contentOf reads the texts of an event. body is the zero value for a span event, whose attributes hold what is the body of a log
// record.
func (d *draft) contentOf(kind event, attrs pcommon.Map, body pcommon.Value) engine.Content {
	var c engine.Content
	if kind == eventDetails {
		a := d.aside(attrs)
		if body != (pcommon.Value{}) && body.Type() == pcommon.ValueTypeMap {
			a.attributes(body.Map())
		}
		a.mapMessages()
		return engine.Content{System: a.span.System, Input: a.span.Input, Output: a.span.Output}
	}
	raw := asBody(attrs, body)
	switch kind {
	case eventSystem:
		c.System = d.eventMessages(raw, roleSystem)
	case eventUser:
		c.Input = d.eventMessages(raw, roleUser)
	case eventAssistant:
		c.Input = d.eventMessages(raw, roleAssistant)
	case eventTool:
		c.Input = d.eventMessages(raw, roleTool)
	case eventChoice:
		c.Output = d.eventMessages(raw, roleAssistant)
	}
	return c
}

func (d *draft) eventMessages(raw, role string) []engine.Message {
	if raw == "" {
		return nil
	}
	messages, ok := d.parseMessages(raw, role)
	if !ok {
		messages = []engine.Message{d.textMessage(raw, role)}
	}
	return messages
}

// asBody is the event's body as text or JSON: of a log record, or of a span event in the attribute gen_ai.event.content or
// spread over its attributes.
func asBody(attrs pcommon.Map, body pcommon.Value) string {
	if body != (pcommon.Value{}) {
		if isEmpty(body) {
			return ""
		}
		return asText(body)
	}
	if v, ok := attrs.Get("gen_ai.event.content"); ok {
		return asText(v)
	}
	for _, key := range [...]string{"content", "message", "tool_calls"} {
		if _, ok := attrs.Get(key); ok {
			return string(appendObject(nil, attrs, 0))
		}
	}
	return "" // content is switched off in the client
}

// Logs maps the log records of a request that are events of GenAI. now is the time of arrival: it stands in for records without
// a time, and the limits of age are checked against it.
func (m *Mapper) Logs(ld plog.Logs, now time.Time) Result {
	var res Result
	d := m.newDraft(&res.Stats)
	d.begin(&engine.Span{})
	window := m.window(now)
	bySpan := map[spanKey]int{}
	index := -1
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, in := range sl.LogRecords().All() {
				index++
				kind := recordKind(in)
				if kind == eventUnknown || kind == eventException || kind == eventFirstToken {
					res.Stats.Skipped++
					continue
				}
				reject := func(reason Reason, detail string) {
					res.Rejected = append(res.Rejected, Rejection{Index: index, SpanID: engine.SpanID(in.SpanID()), Reason: reason, Detail: detail})
				}
				at, detail := window.recordTime(in, now)
				if detail != "" {
					reject(ReasonTime, detail)
					continue
				}
				key := spanKey{engine.TraceID(in.TraceID()), engine.SpanID(in.SpanID())}
				if kind == eventEvaluation {
					e, ok := d.evaluationOf(in.Attributes())
					switch {
					case !ok:
						reject(ReasonEvaluation, "gen_ai.evaluation.name is empty")
					case key.trace.IsZero() && e.ResponseID == "":
						reject(ReasonTraceID, "trace_id is empty, and so is gen_ai.response.id")
					default:
						e.TraceID, e.SpanID, e.At = key.trace, key.span, at
						res.Evaluations = append(res.Evaluations, e)
					}
					continue
				}
				switch {
				case key.trace.IsZero():
					reject(ReasonTraceID, "trace_id is empty")
					continue
				case key.span.IsZero():
					reject(ReasonSpanID, "span_id is empty")
					continue
				}
				c := d.contentOf(kind, in.Attributes(), in.Body())
				if len(c.System)+len(c.Input)+len(c.Output) == 0 {
					continue // content is switched off in the client
				}
				i, known := bySpan[key]
				if !known {
					i = len(res.Contents)
					bySpan[key] = i
					res.Contents = append(res.Contents, engine.Content{TraceID: key.trace, SpanID: key.span, At: at})
				}
				to := &res.Contents[i]
				to.System, to.Input, to.Output = append(to.System, c.System...), append(to.Input, c.Input...), append(to.Output, c.Output...)
			}
		}
	}
	for i := range res.Contents {
		c := &res.Contents[i]
		c.System, c.Input = d.settle(c.System, c.Input)
		c.Output = d.trim(c.Output)
	}
	return res
}

type spanKey struct {
	trace engine.TraceID
	span  engine.SpanID
}

// recordKind is what a log record holds. Older clients name the event in an attribute.
func recordKind(in plog.LogRecord) event {
	name := in.EventName()
	if name == "" {
		if v, ok := in.Attributes().Get("event.name"); ok {
			name = scalar(v)
		}
	}
	return eventOf(name)
}

// recordTime is when the record was written, or observed, or else now. It returns what is wrong with a time out of bounds.
func (w window) recordTime(in plog.LogRecord, now time.Time) (time.Time, string) {
	switch at := cmp.Or(in.Timestamp(), in.ObservedTimestamp()); {
	case at == 0:
		return now, ""
	case at < w.from:
		return time.Time{}, "time_unix_nano is more than " + w.limits.MaxAge.String() + " ago"
	case at > w.until:
		return time.Time{}, "time_unix_nano is more than " + w.limits.MaxAhead.String() + " in the future"
	default:
		return at.AsTime(), ""
	}
}
