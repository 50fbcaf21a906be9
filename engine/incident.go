package engine

import "time"

// Status is where an incident stands in its life.
type Status string

// The states: open until somebody acknowledges it, resolved by a person or once it has been calm for long enough.
const (
	StatusOpen         Status = "open"
	StatusAcknowledged Status = "acknowledged"
	StatusResolved     Status = "resolved"
)

// Incident is a group of anomalies with one cause, as far as the evidence shows.
type Incident struct {
	ID          string        `json:"id"`
	Fingerprint string        `json:"fingerprint"` // type and subject; the same trouble later has the same one
	Type        AnomalyType   `json:"type"`
	Also        []AnomalyType `json:"also,omitempty"` // symptoms that were merged into it
	Severity    Severity      `json:"severity"`       // the worst since it was last raised
	Status      Status        `json:"status"`
	Title       string        `json:"title"`
	Subject     Subject       `json:"subject"`
	Services    []string      `json:"services"`

	Onset      time.Time  `json:"onset"`     // event time of the earliest anomaly, the first time it was raised
	LastSeen   time.Time  `json:"last_seen"` // event time of the latest
	DetectedAt time.Time  `json:"detected_at"`
	ResolvedAt *time.Time `json:"resolved_at,omitempty"`
	Raised     int        `json:"raised"`  // 1, and one more each time it came back after being resolved
	Changes    int        `json:"changes"` // how many were alerted of

	Score     float64   `json:"score"`
	Alpha     float64   `json:"alpha"`
	Effect    Effect    `json:"effect"`
	Anomalies int       `json:"anomalies"` // since it was last raised
	Traces    []TraceID `json:"traces"`    // a bounded sample
	Users     int       `json:"affected_users"`

	Evidence    *Evidence       `json:"evidence,omitempty"`
	Explanation *Explanation    `json:"explanation,omitempty"`
	Timeline    []TimelineEntry `json:"timeline"`
}

// TimelineEntry is one thing that happened to an incident.
type TimelineEntry struct {
	At    time.Time `json:"at"` // event time for what the engine saw, wall time for what people did
	Event string    `json:"event"`
	By    string    `json:"by,omitempty"`
	Note  string    `json:"note,omitempty"`
}

// Evidence is what the engine found when it looked around an incident. Explanations may claim nothing else.
type Evidence struct {
	Digest   string         `json:"digest"` // of what follows; the same evidence is explained once
	From     time.Time      `json:"from"`   // the interval of the abnormal
	To       time.Time      `json:"to"`
	Before   time.Time      `json:"before"` // start of the calm interval it is compared to; it ends at From
	Changes  []Change       `json:"changes"`
	Slices   []Slice        `json:"slices"` // strongest first
	Markers  []ChangeMarker `json:"markers,omitempty"`
	Abnormal *Example       `json:"abnormal,omitempty"`
	Normal   *Example       `json:"normal,omitempty"` // the nearest normal example beside it
	Known    *Example       `json:"known,omitempty"`  // the known attack that it resembles
	Terms    []string       `json:"terms,omitempty"`  // words that tell the abnormal texts from the normal ones
	Similar  []PastIncident `json:"similar,omitempty"`
}

// Change is one quantity before and during the incident.
type Change struct {
	What    string `json:"what"` // "latency p50", "error proportion", "tokens per call", "tool calls per run"
	Series  string `json:"series"`
	Effect  Effect `json:"effect"`
	TraceID string `json:"trace_id,omitempty"`
	SpanID  string `json:"span_id,omitempty"`
}

// Slice is one value of one dimension, and how the abnormal concentrates in it.
type Slice struct {
	Subject
	Abnormal      int       `json:"abnormal"`       // abnormal spans or traces with this value
	AbnormalShare float64   `json:"abnormal_share"` // of all abnormal
	Total         int       `json:"total"`          // all spans or traces with this value in the interval
	BaselineShare float64   `json:"baseline_share"` // of all traffic in the calm interval
	Rate          float64   `json:"rate"`           // abnormal / total inside the slice
	Rest          int       `json:"rest"`           // all in the interval without this value
	RestRate      float64   `json:"rest_rate"`      // abnormal / total outside it
	New           bool      `json:"new,omitempty"`  // seen in at most 1 % of the calm interval, and first seen near the onset
	FirstSeen     time.Time `json:"first_seen,omitzero"`
}

// Example is one text or span that stands for many.
type Example struct {
	TraceID    TraceID `json:"trace_id,omitzero"`
	SpanID     SpanID  `json:"span_id,omitzero"`
	Text       string  `json:"text"` // redacted, cut to a bounded length
	Similarity float64 `json:"similarity,omitempty"`
	Source     string  `json:"source,omitempty"`
}

// PastIncident is an earlier incident like this one.
type PastIncident struct {
	ID         string    `json:"id"`
	Title      string    `json:"title"`
	At         time.Time `json:"at"`
	Cause      string    `json:"cause,omitempty"`
	Resolution string    `json:"resolution,omitempty"`
	Similarity float64   `json:"similarity"`
}

// Explanation is the note that goes with an incident.
type Explanation struct {
	Summary         string           `json:"summary"`
	Hypotheses      []Hypothesis     `json:"hypotheses"` // likeliest first
	Recommendations []Recommendation `json:"recommendations"`
	Citations       []Citation       `json:"citations"`
	Note            string           `json:"note"`     // the whole as Markdown
	Author          string           `json:"author"`   // "deterministic", or provider and model
	Fallback        string           `json:"fallback"` // why the deterministic note stands where an LLM was asked; "" when not
	PromptVersion   string           `json:"prompt_version,omitempty"`
	EvidenceDigest  string           `json:"evidence_digest"`
	Tokens          int64            `json:"tokens"`
	Cost            float64          `json:"cost"`
	Took            time.Duration    `json:"took"`
	At              time.Time        `json:"at"`
}

// Hypothesis is one possible cause. Confidence is in [0, 1].
type Hypothesis struct {
	Cause      Subject  `json:"cause"`
	Statement  string   `json:"statement"`
	Confidence float64  `json:"confidence"`
	Citations  []string `json:"citations"` // ids of Citation
}

// Recommendation is one thing to do, and why.
type Recommendation struct {
	Text      string   `json:"text"`
	Citations []string `json:"citations"`
}

// Citation is one piece of evidence that a claim rests on.
type Citation struct {
	ID      string `json:"id"` // "E1"
	Text    string `json:"text"`
	TraceID string `json:"trace_id,omitempty"`
	SpanID  string `json:"span_id,omitempty"`
}
