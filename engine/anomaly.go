package engine

import (
	"cmp"
	"strings"
	"time"
)

// AnomalyType names what is wrong. The set is open towards readers of alerts; each type has one detector that owns it.
type AnomalyType string

// The anomaly types.
const (
	LatencySpike        AnomalyType = "latency_spike"
	ErrorRate           AnomalyType = "error_rate"
	Traffic             AnomalyType = "traffic"
	TokenAbuse          AnomalyType = "token_abuse"
	CostOverrun         AnomalyType = "cost_overrun"
	SecurityPattern     AnomalyType = "security_pattern"
	SemanticNovelty     AnomalyType = "semantic_novelty"
	TopicDrift          AnomalyType = "topic_drift"
	PromptInjection     AnomalyType = "prompt_injection"
	Jailbreak           AnomalyType = "jailbreak"
	UngroundedResponse  AnomalyType = "ungrounded_response"
	RetrievalIrrelevant AnomalyType = "retrieval_irrelevance"
	AgentTrajectory     AnomalyType = "agent_trajectory"
	ModelRegression     AnomalyType = "model_regression"
	EdgeDegradation     AnomalyType = "edge_degradation"
	PolicyViolation     AnomalyType = "policy_violation"
	PIIExposure         AnomalyType = "pii_exposure"
)

// Severity orders what to look at first.
type Severity string

// The severities, mildest first.
const (
	SeverityLow      Severity = "low"
	SeverityMedium   Severity = "medium"
	SeverityHigh     Severity = "high"
	SeverityCritical Severity = "critical"
)

// Severities lists them, mildest first.
var Severities = [...]Severity{SeverityLow, SeverityMedium, SeverityHigh, SeverityCritical}

// Rank is 0 for low to 3 for critical, and -1 for an unknown severity.
func (s Severity) Rank() int {
	for i, v := range Severities {
		if s == v {
			return i
		}
	}
	return -1
}

// Subject is the thing that an anomaly, an incident or a cause is about, such as {"user", "u-17"} or {"provider", "acme"}.
type Subject struct {
	Kind  string `json:"kind"`
	Value string `json:"value"`
}

// The kinds of subject. They are also the dimensions by which evidence is sliced.
const (
	SubjectService        = "service"
	SubjectServiceVersion = "service_version"
	SubjectOperation      = "operation"
	SubjectProvider       = "provider"
	SubjectModel          = "model"
	SubjectModelVersion   = "model_version"
	SubjectAgent          = "agent"
	SubjectAgentVersion   = "agent_version" // value "agent@version"
	SubjectTool           = "tool"
	SubjectUser           = "user"
	SubjectTenant         = "tenant"
	SubjectAPIKey         = "api_key"
	SubjectRegion         = "region"
	SubjectErrorType      = "error_type"
	SubjectTopic          = "topic"
	SubjectPromptVersion  = "prompt_version"
	SubjectSession        = "session"
	SubjectSource         = "source"    // network address
	SubjectSignature      = "signature" // of an attack, as a guard names it
)

// SeriesKey identifies the baseline that a span belongs to. Fields are "" where the data has none.
type SeriesKey struct {
	Service   string    `json:"service"`
	Operation Operation `json:"operation,omitempty"`
	Model     string    `json:"model,omitempty"` // as asked for, so that a new version meets its predecessor's baseline
	Agent     string    `json:"agent,omitempty"`
	Tool      string    `json:"tool,omitempty"`
	Region    string    `json:"region,omitempty"`
}

// Series is the key of the baseline that the span belongs to. Spans without a GenAI operation are told apart by their name.
func (s *Span) Series() SeriesKey {
	k := SeriesKey{Service: s.Service, Operation: s.Operation, Model: s.Model, Agent: s.Agent.Name, Tool: s.Tool.Name, Region: s.Region}
	if k.Model == "" {
		k.Model = s.ResponseModel
	}
	if k.Operation == "" {
		k.Operation = Operation(s.Name)
	}
	return k
}

// String names the series as a person would: "checkout chat gpt-4o".
func (k SeriesKey) String() string {
	out := k.Service
	for _, part := range []string{string(k.Operation), k.Model, k.Tool, k.Agent, k.Region} {
		if part != "" {
			out += " " + part
		}
	}
	return out
}

// Effect is how large a deviation is, in the unit that a reader thinks in.
type Effect struct {
	Baseline float64 `json:"baseline"`
	Current  float64 `json:"current"`
	Unit     string  `json:"unit"` // "s", "tokens", "ratio", "requests", "similarity", "calls", "proportion"
}

// UnitProportion is the unit of what a trace does or does not, of which the current value is 1 or 0; of many traces it is their proportion.
const UnitProportion = "proportion"

// Ratio is current over baseline, 0 when the baseline is 0.
func (e Effect) Ratio() float64 {
	if e.Baseline == 0 {
		return 0
	}
	return e.Current / e.Baseline
}

// quantities names what the effect of an anomaly type measures.
var quantities = map[AnomalyType]string{
	LatencySpike: "latency", ErrorRate: "error proportion", TokenAbuse: "tokens", CostOverrun: "cost", Traffic: "requests",
	ModelRegression: "time relative to the version before", AgentTrajectory: "calls of one tool in a run",
	SecurityPattern: "security events", TopicDrift: "share of what users ask", SemanticNovelty: "similarity to what is normal", Jailbreak: "probability of an attack",
	UngroundedResponse: "unsupported share of answers", RetrievalIrrelevant: "similarity of what was searched for and found",
	PromptInjection: "probability of an attack",
}

// Quantity is what the effect of an anomaly of this type measures, in words.
func (t AnomalyType) Quantity() string {
	return cmp.Or(quantities[t], strings.ReplaceAll(string(t), "_", " "))
}

// Finding is what one detector says about one observation.
type Finding struct {
	Type     AnomalyType   `json:"type"`
	Detector string        `json:"detector"`
	At       time.Time     `json:"at"`               // event time: the end of the span, trace or window
	Window   time.Duration `json:"window,omitempty"` // 0 for a single span or trace
	Series   SeriesKey     `json:"series"`
	Subject  Subject       `json:"subject,omitzero"` // whom it is about, where the detector knows
	TraceID  TraceID       `json:"trace_id,omitzero"`
	SpanID   SpanID        `json:"span_id,omitzero"` // the most abnormal span
	Spans    []SpanID      `json:"spans,omitempty"`  // all abnormal spans of the trace, a bounded list
	Traces   []TraceID     `json:"traces,omitempty"` // a bounded sample of a window's abnormal traces
	P        float64       `json:"p"`                // p-value against calm history, in (0, 1]
	Raw      float64       `json:"-"`                // the detector's own score before calibration, more is stranger; 0 from one without
	Effect   Effect        `json:"effect"`
	Material bool          `json:"material"` // the effect is above the detector's minimum: significant and relevant
	Learning bool          `json:"learning"` // too little history: said, never counted
	// Threshold is the score that its series must exceed where people's feedback raised it, 0 for the usual 1.
	Threshold float64   `json:"threshold,omitempty"`
	Reason    string    `json:"reason"` // one sentence with its figures
	Excerpt   string    `json:"excerpt,omitempty"`
	Nearest   *Neighbor `json:"nearest,omitempty"` // nearest normal example, for semantic detectors
	Known     *Neighbor `json:"known,omitempty"`   // the known attack that it resembles
}

// quantity is what the effect of the finding measures, in words: of several types some detectors count traces.
func (f *Finding) quantity() string {
	if f.Effect.Unit == UnitProportion {
		return "proportion of answers"
	}
	return f.Type.Quantity()
}

// Contribution is one detector's share in a verdict.
type Contribution struct {
	Finding
	Score float64 `json:"score"` // log p / log α of this detector alone
	Share float64 `json:"share"` // of the verdict's score, all shares adding up to 1
}

// Verdict is the judgement of one trace.
type Verdict struct {
	TraceID       TraceID        `json:"trace_id"`
	Score         float64        `json:"score"` // log p / log α; above 1 is anomalous
	P             float64        `json:"p"`     // combined
	Alpha         float64        `json:"alpha"`
	Anomalous     bool           `json:"anomalous"`
	Severity      Severity       `json:"severity,omitempty"`
	Type          AnomalyType    `json:"type,omitempty"` // when anomalous: of the abnormal contribution nearest to the cause
	Contributions []Contribution `json:"contributions"`
	Learning      []string       `json:"learning,omitempty"` // detectors that have not seen enough
	Reason        string         `json:"reason"`
}

// Anomaly is a verdict or a window's finding that was abnormal, as it is stored and listed.
type Anomaly struct {
	ID         string         `json:"id"`
	IncidentID string         `json:"incident_id,omitempty"`
	Type       AnomalyType    `json:"type"`
	Severity   Severity       `json:"severity"`
	Service    string         `json:"service"`
	Series     SeriesKey      `json:"series"`
	Subject    Subject        `json:"subject,omitzero"`
	At         time.Time      `json:"timestamp"`
	Window     time.Duration  `json:"window,omitempty"`
	Score      float64        `json:"score"`
	P          float64        `json:"p"`
	Alpha      float64        `json:"alpha"`
	Effect     Effect         `json:"effect"`
	TraceID    TraceID        `json:"trace_id,omitzero"`
	SpanID     SpanID         `json:"span_id,omitzero"`
	Traces     []TraceID      `json:"traces,omitempty"`
	Reason     string         `json:"reason"`
	Excerpt    string         `json:"excerpt,omitempty"` // redacted
	Nearest    *Neighbor      `json:"nearest,omitempty"`
	Known      *Neighbor      `json:"known,omitempty"`
	Shares     []Contribution `json:"contributions,omitempty"`
}
