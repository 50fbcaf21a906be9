package genai

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// UnknownService is the service of a span whose client names none.
const UnknownService = "unknown_service"

// Mapper maps requests to the domain. It is safe for concurrent use.
type Mapper struct {
	limits Limits
	rows   []row
	index  map[string]alias
}

// alias is what an attribute name means: a row of the table, and how new the name is among the row's, 1 being the newest.
type alias struct {
	row  int
	rank uint8
}

// New makes a mapper. It fails when the limits make no sense.
func New(limits Limits) (*Mapper, error) {
	if err := limits.Validate(); err != nil {
		return nil, err
	}
	m := &Mapper{limits: limits, rows: table(), index: map[string]alias{}}
	for i, r := range m.rows {
		for rank, n := range r.names {
			m.index[n] = alias{row: i, rank: uint8(rank) + 1}
		}
	}
	return m, nil
}

// Result is what a request held.
type Result struct {
	Spans []engine.Span // with the evaluations that arrived as their events
	// Contents and Evaluations arrived as log records. Contents of one span in one request are one, in order of arrival.
	Contents    []engine.Content
	Evaluations []engine.Evaluation
	Rejected    []Rejection
	Stats       Stats
}

// Rejection is a span or log record that was refused.
type Rejection struct {
	Index  int // position among the spans or log records of the request, from 0
	SpanID engine.SpanID
	Reason Reason
	Detail string // the field and what is wrong with it
}

// Error describes the rejection as a client's log should show it.
func (r Rejection) Error() string {
	if r.SpanID.IsZero() {
		return fmt.Sprintf("record %d: %s", r.Index, r.Detail)
	}
	return fmt.Sprintf("record %d (span %s): %s", r.Index, r.SpanID, r.Detail)
}

// Reason classes rejections; it is the label of a metric.
type Reason string

// The reasons.
const (
	ReasonTraceID    Reason = "trace_id"
	ReasonSpanID     Reason = "span_id"
	ReasonStartTime  Reason = "start_time"
	ReasonEndTime    Reason = "end_time"
	ReasonTime       Reason = "time"
	ReasonEvaluation Reason = "evaluation"
)

// Reasons lists them.
var Reasons = [...]Reason{ReasonTraceID, ReasonSpanID, ReasonStartTime, ReasonEndTime, ReasonTime, ReasonEvaluation}

// Stats counts what was mended on the way.
type Stats struct {
	Cut      int // texts and lists that were longer than their limit
	Ignored  int // numbers that are not finite, negative where that makes no sense, or not numbers at all
	Reversed int // spans that ended before they started and now end at their start
	Repaired int // texts with invalid UTF-8
	Skipped  int // log records that are none of GenAI's events
}

// Spans maps the spans of a request. now is the time of arrival, against which the limits of age are checked.
func (m *Mapper) Spans(td ptrace.Traces, now time.Time) Result {
	// Empty spans cost a client two bytes each, so room is not reserved for whatever number it names.
	const reserved = 256
	res := Result{Spans: make([]engine.Span, 0, min(td.SpanCount(), reserved))}
	d := m.newDraft(&res.Stats)
	window := m.window(now)
	index := -1
	for _, rs := range td.ResourceSpans().All() {
		var base engine.Span
		d.begin(&base)
		d.attributes(rs.Resource().Attributes())
		base.Service = cmp.Or(base.Service, UnknownService)
		shared := d.fields
		for _, ss := range rs.ScopeSpans().All() {
			for _, in := range ss.Spans().All() {
				index++
				if reason, detail := window.checkSpan(in); reason != "" {
					res.Rejected = append(res.Rejected, Rejection{Index: index, SpanID: engine.SpanID(in.SpanID()), Reason: reason, Detail: detail})
					continue
				}
				res.Spans = append(res.Spans, base)
				d.begin(&res.Spans[len(res.Spans)-1])
				d.fields = shared
				d.mapSpan(in)
			}
		}
	}
	return res
}

// window is the stretch of time in which spans are believed, in nanoseconds since 1970.
type window struct {
	from, until pcommon.Timestamp
	limits      *Limits
}

func (m *Mapper) window(now time.Time) window {
	return window{
		from:   pcommon.Timestamp(max(0, now.Add(-m.limits.MaxAge).UnixNano())),
		until:  pcommon.Timestamp(max(0, now.Add(m.limits.MaxAhead).UnixNano())),
		limits: &m.limits,
	}
}

func (w window) checkSpan(in ptrace.Span) (Reason, string) {
	switch start := in.StartTimestamp(); {
	case in.TraceID().IsEmpty():
		return ReasonTraceID, "trace_id is empty"
	case in.SpanID().IsEmpty():
		return ReasonSpanID, "span_id is empty"
	case start == 0:
		return ReasonStartTime, "start_time_unix_nano is 0"
	case start < w.from:
		return ReasonStartTime, fmt.Sprintf("start_time_unix_nano %d is more than %s ago", start, w.limits.MaxAge)
	case start > w.until:
		return ReasonStartTime, fmt.Sprintf("start_time_unix_nano %d is more than %s in the future", start, w.limits.MaxAhead)
	case in.EndTimestamp() > w.until:
		return ReasonEndTime, fmt.Sprintf("end_time_unix_nano %d is more than %s in the future", in.EndTimestamp(), w.limits.MaxAhead)
	}
	return "", ""
}

// draft is a span in the making. One draft serves a whole request.
type draft struct {
	m      *Mapper
	limits *Limits
	stats  *Stats

	span *engine.Span
	rank []uint8 // for each row, the rank of the name that set it; 0 when none did
	flat [flatLists][]flatAttribute
	json []byte // room for a text that the parser reads; what it returns are copies
	fields
}

// fields are values that need a second look before they reach the span.
type fields struct {
	operation, kind           string
	parameters                string // of the model call, as JSON
	toolParameters            string
	entityName, entityVersion string
	totalTokens, topK         int64
	firstChunk                float64
	system, input, output     attribute
	anyInput, anyOutput       attribute // what these are depends on the operation
	documents                 attribute
	evaluation                engine.Evaluation
}

func (m *Mapper) newDraft(stats *Stats) *draft {
	return &draft{m: m, limits: &m.limits, stats: stats, rank: make([]uint8, len(m.rows))}
}

func (d *draft) begin(span *engine.Span) {
	d.span = span
	clear(d.rank)
	for i := range d.flat {
		d.flat[i] = d.flat[i][:0]
	}
	d.fields = fields{}
}

// attributes reads all attributes in one pass.
func (d *draft) attributes(attrs pcommon.Map) {
	for key, v := range attrs.All() {
		a, ok := d.m.index[key]
		if !ok {
			d.flatAttribute(key, v)
			continue
		}
		if r := d.rank[a.row]; r != 0 && r <= a.rank {
			continue
		}
		if d.m.rows[a.row].read(d, v) {
			d.rank[a.row] = a.rank
		}
	}
}

func (d *draft) mapSpan(in ptrace.Span) {
	s := d.span
	s.TraceID, s.SpanID, s.Parent = engine.TraceID(in.TraceID()), engine.SpanID(in.SpanID()), engine.SpanID(in.ParentSpanID())
	s.Name = d.cleanName(in.Name())
	s.Start, s.End = in.StartTimestamp().AsTime(), in.EndTimestamp().AsTime()
	if in.EndTimestamp() < in.StartTimestamp() {
		d.stats.Reversed++
		s.End = s.Start
	}
	d.attributes(in.Attributes())
	s.Provider = providerName(s.Provider)
	s.TimeToFirstChunk = time.Duration(d.firstChunk * float64(time.Second))
	d.mapModel()
	d.mapUsage()
	d.mapMessages()
	s.Operation = d.operationOf()
	exception := d.mapEvents(in.Events())
	d.mapOperation()
	s.System, s.Input = d.settle(s.System, s.Input)
	s.Output = d.trim(s.Output)
	d.mapFinishReasons()
	d.mapFailure(in.Status(), exception)
}

func (d *draft) mapModel() {
	if d.span.Model == "" && strings.Contains(d.parameters, `"model"`) {
		var p struct {
			Model string `json:"model"`
		}
		if json.Unmarshal([]byte(d.parameters), &p) == nil {
			d.span.Model = d.cleanName(p.Model)
		}
	}
	d.span.Model = cmp.Or(d.span.Model, d.span.ResponseModel)
}

// mapUsage fills in the input of a client that states a total only.
func (d *draft) mapUsage() {
	if u := &d.span.Usage; u.Input == 0 && d.totalTokens > u.Output {
		u.Input = d.totalTokens - u.Output
	}
}

func (d *draft) mapMessages() {
	s := d.span
	s.System = d.messages(d.system, roleSystem)
	if s.Input = d.messages(d.input, roleUser); len(s.Input) == 0 {
		s.Input = d.flatMessages(flatInput, roleUser)
	}
	if s.Output = d.messages(d.output, roleAssistant); len(s.Output) == 0 {
		s.Output = d.flatMessages(flatOutput, roleAssistant)
	}
	if s.Retrieval.Documents = d.parseDocuments(); len(s.Retrieval.Documents) == 0 {
		s.Retrieval.Documents = d.flatDocuments()
	}
}

// operationOf says what the span does: what the client says, or what name and attributes of a model call imply.
func (d *draft) operationOf() engine.Operation {
	if d.operation != "" {
		if op, ok := operations[strings.ToLower(d.operation)]; ok {
			return op
		}
		return engine.Operation(d.operation)
	}
	if kind := strings.ToLower(d.kind); kind != "" {
		if op, ok := operations[kind]; ok {
			return op
		}
		if steps[kind] && d.span.Parent.IsZero() {
			return engine.OpInvokeWorkflow
		}
		return ""
	}
	s := d.span
	if s.Model == "" && s.Provider == "" {
		return ""
	}
	name := strings.ToLower(s.Name)
	first, _, _ := strings.Cut(name, " ")
	for _, word := range [...]string{first, first[strings.LastIndexByte(first, '.')+1:]} {
		if op, ok := spanNames[word]; ok {
			return op
		}
	}
	if s.Model != "" && (len(s.Output) > 0 || s.Usage.Output > 0) {
		return engine.OpChat
	}
	return ""
}

// mapOperation gives the values whose meaning depends on the operation their place.
func (d *draft) mapOperation() {
	s := d.span
	switch s.Operation {
	case engine.OpExecuteTool:
		s.Tool.Name = cmp.Or(s.Tool.Name, d.entityName)
		s.Tool.Arguments = cmp.Or(s.Tool.Arguments, d.anyText(d.anyInput), d.toolParameters)
		s.Tool.Result = cmp.Or(s.Tool.Result, d.anyText(d.anyOutput))
		return
	case engine.OpRetrieval:
		s.Retrieval.Query = cmp.Or(s.Retrieval.Query, d.anyText(d.anyInput))
		s.Retrieval.TopK = int(min(d.topK, math.MaxInt32))
		return
	case engine.OpInvokeAgent, engine.OpCreateAgent:
		s.Agent.Name = cmp.Or(s.Agent.Name, d.entityName)
		s.Agent.Version = cmp.Or(s.Agent.Version, d.entityVersion)
	case engine.OpInvokeWorkflow:
		s.Workflow = cmp.Or(s.Workflow, d.entityName)
	}
	if len(s.Input) == 0 {
		s.Input = d.anyMessages(d.anyInput, roleUser)
	}
	if len(s.Output) == 0 {
		s.Output = d.anyMessages(d.anyOutput, roleAssistant)
	}
}

func (d *draft) anyText(v attribute) string {
	if v == (attribute{}) {
		return ""
	}
	return d.cleanText(asText(v))
}

// anyMessages reads what a client recorded as the whole input or output. Only that of a model call is a conversation; that of
// other spans is the application's own JSON.
func (d *draft) anyMessages(v attribute, role string) []engine.Message {
	if v == (attribute{}) || isEmpty(v) {
		return nil
	}
	if d.span.Operation.IsModelCall() {
		return d.messages(v, role)
	}
	return []engine.Message{d.textMessage(asText(v), role)}
}

// mapFinishReasons makes the span's reasons and those of its output messages say the same, since clients send either.
func (d *draft) mapFinishReasons() {
	s := d.span
	if len(s.FinishReasons) == 0 {
		from := s.Output
		if raw := d.anyOutput; raw != (attribute{}) && s.Operation.IsModelCall() && !hasFinishReason(from) && strings.Contains(scalar(raw), "finish_reason") {
			from = d.messages(raw, roleAssistant)
		}
		for _, m := range from {
			if m.FinishReason != "" {
				s.FinishReasons = append(s.FinishReasons, m.FinishReason)
			}
		}
	}
	if len(s.FinishReasons) == len(s.Output) && !hasFinishReason(s.Output) {
		for i := range s.Output {
			s.Output[i].FinishReason = s.FinishReasons[i]
		}
	}
}

func hasFinishReason(messages []engine.Message) bool {
	for _, m := range messages {
		if m.FinishReason != "" {
			return true
		}
	}
	return false
}

// mapFailure decides whether the span failed and names the class of error.
func (d *draft) mapFailure(status ptrace.Status, thrown exception) {
	s := d.span
	if status.Code() != ptrace.StatusCodeError && s.ErrorType == "" {
		return
	}
	s.Failed = true
	s.ErrorType = cmp.Or(s.ErrorType, thrown.class, "error")
	message := cmp.Or(status.Message(), thrown.message)
	s.ErrorMessage = d.cleanText(strings.TrimPrefix(message, s.ErrorType+": "))
}

func providerName(s string) string {
	s = strings.ToLower(s)
	return cmp.Or(providers[s], s)
}
