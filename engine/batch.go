package engine

import (
	"cmp"
	"slices"
	"time"
)

// Batch is what a source hands over at once: any mix of the kinds of telemetry that Sentinel reads.
type Batch struct {
	ID string // the same when the batch is delivered again, and no other's; "" where the source cannot tell

	Spans       []Span
	Contents    []Content
	Events      []SecurityEvent
	Markers     []ChangeMarker
	Evaluations []Evaluation

	// Done is called exactly once, from any goroutine, when the effects of the batch are stored (nil) or are known to be
	// lost (the error). A broker source commits its offset or acknowledges then. nil when nobody waits.
	Done func(error)
}

// Content is text of a span that arrived apart from it, as a log record; it is joined by trace and span.
type Content struct {
	TraceID TraceID
	SpanID  SpanID
	At      time.Time
	System  []Message
	Input   []Message
	Output  []Message
}

// SecurityEvent is an event of a guard in front of the application: an LLM firewall, an API gateway, an identity provider.
type SecurityEvent struct {
	ID       string            `json:"id"`
	At       time.Time         `json:"timestamp"`
	Type     string            `json:"type"`
	Severity Severity          `json:"severity"`
	Service  string            `json:"service,omitempty"`
	User     string            `json:"user,omitempty"`
	APIKey   string            `json:"api_key,omitempty"`
	TraceID  TraceID           `json:"trace_id,omitzero"`
	Details  map[string]string `json:"details,omitempty"`
}

// MarkerKind says what changed.
type MarkerKind string

// The kinds of change that explanations know.
const (
	MarkerDeployment    MarkerKind = "deployment"
	MarkerModelVersion  MarkerKind = "model_version"
	MarkerPromptVersion MarkerKind = "prompt_version"
	MarkerRollback      MarkerKind = "rollback"
	MarkerConfiguration MarkerKind = "configuration"
)

// ChangeMarker says that somebody changed something at a time: what explanations look for first.
type ChangeMarker struct {
	ID          string     `json:"id"`
	At          time.Time  `json:"timestamp"`
	Kind        MarkerKind `json:"kind"`
	Service     string     `json:"service"`
	Subject     string     `json:"subject,omitempty"` // what changed: a model, an agent, a prompt; "" is the service itself
	Version     string     `json:"version,omitempty"`
	Previous    string     `json:"previous,omitempty"`
	Description string     `json:"description,omitempty"`
	Source      string     `json:"source,omitempty"` // who told
}

// Evaluation is somebody's judgement of a span, as in the event gen_ai.evaluation.result.
type Evaluation struct {
	TraceID     TraceID   `json:"trace_id"`
	SpanID      SpanID    `json:"span_id"`
	At          time.Time `json:"timestamp"`
	Name        string    `json:"name"`
	Score       float64   `json:"score"`
	HasScore    bool      `json:"has_score"`
	Label       string    `json:"label,omitempty"`
	Explanation string    `json:"explanation,omitempty"`
	ResponseID  string    `json:"response_id,omitempty"`
	ErrorType   string    `json:"error_type,omitempty"`
}

func sortSpans(spans []Span) {
	slices.SortStableFunc(spans, func(a, b Span) int {
		if c := a.Start.Compare(b.Start); c != 0 {
			return c
		}
		// A parent that starts in the same instant as its child comes first.
		return cmp.Or(boolOrder(b.Parent == a.SpanID, a.Parent == b.SpanID), slices.Compare(a.SpanID[:], b.SpanID[:]))
	})
}

func boolOrder(aFirst, bFirst bool) int {
	switch {
	case aFirst && !bFirst:
		return -1
	case bFirst && !aFirst:
		return 1
	}
	return 0
}
