package engine

import (
	"encoding/hex"
	"fmt"
	"time"
)

// TraceID identifies a trace (W3C trace context, 16 bytes). The zero value is invalid.
type TraceID [16]byte

// SpanID identifies a span inside its trace (W3C trace context, 8 bytes). The zero value means "none".
type SpanID [8]byte

// String returns the 32 lower-case hex digits of the id.
func (id TraceID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether the id is unset.
func (id TraceID) IsZero() bool { return id == TraceID{} }

// MarshalText writes the id as hex, so that JSON shows it as every tracing UI does.
func (id TraceID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads 32 hex digits; the empty string is the zero id.
func (id *TraceID) UnmarshalText(text []byte) error { return decodeID(id[:], text, "trace id") }

// String returns the 16 lower-case hex digits of the id.
func (id SpanID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether the id is unset.
func (id SpanID) IsZero() bool { return id == SpanID{} }

// MarshalText writes the id as hex, and the zero id as the empty string.
func (id SpanID) MarshalText() ([]byte, error) {
	if id.IsZero() {
		return nil, nil
	}
	return []byte(id.String()), nil
}

// UnmarshalText reads 16 hex digits; the empty string is the zero id.
func (id *SpanID) UnmarshalText(text []byte) error { return decodeID(id[:], text, "span id") }

func decodeID(dst, text []byte, what string) error {
	if len(text) == 0 {
		clear(dst)
		return nil
	}
	if hex.DecodedLen(len(text)) != len(dst) {
		return fmt.Errorf("%s %q: want %d hex digits", what, text, hex.EncodedLen(len(dst)))
	}
	if _, err := hex.Decode(dst, text); err != nil {
		return fmt.Errorf("%s %q: %w", what, text, err)
	}
	return nil
}

// Operation is what a span does, in the words of OpenTelemetry's gen_ai.operation.name.
// The empty operation marks a span that is not part of a model workflow.
type Operation string

// The operations that the conventions name and that detectors tell apart.
const (
	OpChat            Operation = "chat"
	OpGenerateContent Operation = "generate_content"
	OpTextCompletion  Operation = "text_completion"
	OpEmbeddings      Operation = "embeddings"
	OpRetrieval       Operation = "retrieval"
	OpExecuteTool     Operation = "execute_tool"
	OpCreateAgent     Operation = "create_agent"
	OpInvokeAgent     Operation = "invoke_agent"
	OpInvokeWorkflow  Operation = "invoke_workflow"
)

// IsModelCall reports whether the operation asks a generative model for text.
func (o Operation) IsModelCall() bool {
	return o == OpChat || o == OpGenerateContent || o == OpTextCompletion
}

// Span is one operation of an application, in the terms of this domain and independent of the dialect it arrived in.
// Missing text is "", missing numbers are 0 unless a field says otherwise.
type Span struct {
	TraceID TraceID `json:"trace_id"`
	SpanID  SpanID  `json:"span_id"`
	Parent  SpanID  `json:"parent_span_id,omitzero"`
	Name    string  `json:"name"`

	Service        string `json:"service"` // service.name, "unknown_service" when the client sent none
	ServiceVersion string `json:"service_version,omitempty"`
	Environment    string `json:"environment,omitempty"`
	Region         string `json:"region,omitempty"`

	Start time.Time `json:"start"`
	End   time.Time `json:"end"` // never before Start

	Failed       bool   `json:"failed,omitempty"`
	ErrorType    string `json:"error_type,omitempty"` // a class such as "timeout" or "503"
	ErrorMessage string `json:"error_message,omitempty"`

	Operation     Operation `json:"operation,omitempty"`
	Provider      string    `json:"provider,omitempty"`
	Model         string    `json:"model,omitempty"`          // as asked for
	ResponseModel string    `json:"response_model,omitempty"` // as answered, usually with its version
	ResponseID    string    `json:"response_id,omitempty"`
	FinishReasons []string  `json:"finish_reasons,omitempty"`
	ServerAddress string    `json:"server_address,omitempty"`

	Usage            Usage         `json:"usage,omitzero"`
	TimeToFirstChunk time.Duration `json:"time_to_first_chunk,omitempty"`

	Agent         Agent     `json:"agent,omitzero"`
	Workflow      string    `json:"workflow,omitempty"`
	Tool          Tool      `json:"tool,omitzero"`
	Retrieval     Retrieval `json:"retrieval,omitzero"`
	PromptName    string    `json:"prompt_name,omitempty"`
	PromptVersion string    `json:"prompt_version,omitempty"`

	Conversation string `json:"conversation,omitempty"`
	User         string `json:"user,omitempty"`
	Tenant       string `json:"tenant,omitempty"`
	APIKey       string `json:"api_key,omitempty"` // the key's identifier, never the secret itself

	System []Message `json:"system,omitempty"`
	Input  []Message `json:"input,omitempty"`
	Output []Message `json:"output,omitempty"`

	Evaluations []Evaluation `json:"evaluations,omitempty"`
}

// Duration is how long the span took; never negative.
func (s *Span) Duration() time.Duration { return s.End.Sub(s.Start) }

// Caller is who asked: the key, else the user; the service where neither is known.
func (s *Span) Caller() Subject {
	switch {
	case s.APIKey != "":
		return Subject{SubjectAPIKey, s.APIKey}
	case s.User != "":
		return Subject{SubjectUser, s.User}
	}
	return Subject{SubjectService, s.Service}
}

// Usage is what a model call consumed. Cached and reasoning tokens are part of Input and Output.
type Usage struct {
	Input         int64   `json:"input_tokens,omitempty"`
	Output        int64   `json:"output_tokens,omitempty"`
	CacheRead     int64   `json:"cache_read_tokens,omitempty"`
	CacheCreation int64   `json:"cache_creation_tokens,omitempty"`
	Reasoning     int64   `json:"reasoning_tokens,omitempty"`
	Cost          float64 `json:"cost,omitempty"` // as the client states it, in its currency
}

// Total is input plus output tokens.
func (u Usage) Total() int64 { return u.Input + u.Output }

// Agent names the agent on whose behalf a span ran.
type Agent struct {
	ID      string `json:"id,omitempty"`
	Name    string `json:"name,omitempty"`
	Version string `json:"version,omitempty"`
}

// Tool is one call of a tool by an agent or a model.
type Tool struct {
	Name      string `json:"name,omitempty"`
	Type      string `json:"type,omitempty"`
	CallID    string `json:"call_id,omitempty"`
	Arguments string `json:"arguments,omitempty"`
	Result    string `json:"result,omitempty"`
}

// Retrieval is one search of a data source.
type Retrieval struct {
	DataSource string     `json:"data_source,omitempty"`
	Query      string     `json:"query,omitempty"`
	TopK       int        `json:"top_k,omitempty"`
	Documents  []Document `json:"documents,omitempty"`
}

// Document is one result of a retrieval. Score is as the source gave it, higher meaning nearer.
type Document struct {
	ID    string  `json:"id,omitempty"`
	Score float64 `json:"score,omitempty"`
	Text  string  `json:"text,omitempty"`
}

// Message is one turn of a conversation with a model.
type Message struct {
	Role         string `json:"role"`
	Parts        []Part `json:"parts"`
	FinishReason string `json:"finish_reason,omitempty"`
}

// PartKind says what a part of a message holds.
type PartKind string

// The kinds of message part that are told apart; media keeps no content, only what it was.
const (
	PartText         PartKind = "text"
	PartReasoning    PartKind = "reasoning"
	PartToolCall     PartKind = "tool_call"
	PartToolResponse PartKind = "tool_call_response"
	PartMedia        PartKind = "media"
)

// Part is a piece of a message. Text holds the content, a tool call's arguments or a tool's response.
type Part struct {
	Kind PartKind `json:"type"`
	Text string   `json:"content,omitempty"`
	ID   string   `json:"id,omitempty"`   // tool call id
	Name string   `json:"name,omitempty"` // tool name
}

// Text joins the text parts of the message, a line each.
func (m Message) Text() string {
	if len(m.Parts) == 1 && m.Parts[0].Kind == PartText {
		return m.Parts[0].Text
	}
	var out []byte
	for _, p := range m.Parts {
		if p.Kind != PartText {
			continue
		}
		if len(out) > 0 {
			out = append(out, '\n')
		}
		out = append(out, p.Text...)
	}
	return string(out)
}

// Trace is a set of spans that share a trace id, in order of start. It may be incomplete: Root is -1 when no span without
// a parent has arrived.
type Trace struct {
	ID    TraceID `json:"trace_id"`
	Spans []Span  `json:"spans"`
	Root  int     `json:"-"`
	Late  bool    `json:"late,omitempty"` // an amendment: the trace was already judged without some of these spans
}

// NewTrace orders the spans by start and finds the root.
func NewTrace(id TraceID, spans []Span) Trace {
	t := Trace{ID: id, Spans: spans, Root: -1}
	sortSpans(t.Spans)
	for i := range t.Spans {
		if t.Spans[i].Parent.IsZero() {
			t.Root = i
			break
		}
	}
	return t
}

// Lead is the span that stands for the trace: its root, or its earliest span when the root has not arrived.
// It must not be called on a trace without spans.
func (t *Trace) Lead() *Span {
	if t.Root >= 0 {
		return &t.Spans[t.Root]
	}
	return &t.Spans[0]
}

// Start is the earliest start of its spans.
func (t *Trace) Start() time.Time { return t.Spans[0].Start }

// End is the latest end of its spans.
func (t *Trace) End() time.Time {
	end := t.Spans[0].End
	for i := range t.Spans {
		if t.Spans[i].End.After(end) {
			end = t.Spans[i].End
		}
	}
	return end
}

// Join attaches separately delivered content to its spans. Content of a span that is not there is left out.
func Join(spans []Span, contents []Content) []Span {
	type ref struct {
		trace TraceID
		span  SpanID
	}
	at := make(map[ref]int, len(spans))
	for i := range spans {
		at[ref{spans[i].TraceID, spans[i].SpanID}] = i
	}
	for _, c := range contents {
		if i, ok := at[ref{c.TraceID, c.SpanID}]; ok {
			spans[i].attach(c)
		}
	}
	return spans
}

// Traces groups spans by trace id, in the order in which traces first appear.
func Traces(spans []Span) []Trace {
	byID := make(map[TraceID][]Span)
	var order []TraceID
	for _, s := range spans {
		if _, known := byID[s.TraceID]; !known {
			order = append(order, s.TraceID)
		}
		byID[s.TraceID] = append(byID[s.TraceID], s)
	}
	out := make([]Trace, len(order))
	for i, id := range order {
		out[i] = NewTrace(id, byID[id])
	}
	return out
}
