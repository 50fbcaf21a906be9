package notify

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Message is an alert as it is published: docs/schemas/incident.alerts.schema.json. The fields down to Recommendations are
// the platform's contract, the ones after it are Sentinel's own. Two messages of the same alert are equal; only an escalation
// shows the incident as it is then.
type Message struct {
	AlertID          string             `json:"alert_id"` // UUID; receivers tell repeated deliveries by it
	Timestamp        time.Time          `json:"timestamp"`
	Severity         engine.Severity    `json:"severity"`
	AnomalyType      engine.AnomalyType `json:"anomaly_type"`
	AffectedServices []string           `json:"affected_services"`
	Metrics          Metrics            `json:"metrics"`
	Context          Context            `json:"context"`
	Recommendations  []string           `json:"recommendations"`

	IncidentID      string        `json:"incident_id"`
	Fingerprint     string        `json:"fingerprint"`
	Change          string        `json:"change"` // what happened to the incident
	Status          engine.Status `json:"status"`
	Raised          int           `json:"raised"` // 1, and one more each time the incident came back
	Title           string        `json:"title"`
	Score           float64       `json:"score"` // above 1 is anomalous
	Explanation     string        `json:"explanation"`
	Cause           *Cause        `json:"cause,omitempty"`
	Evidence        []Evidence    `json:"evidence"`
	EvidenceLeftOut int           `json:"evidence_left_out,omitempty"` // pieces beyond the bound
	Traces          []string      `json:"traces,omitempty"`            // a sample of abnormal traces
}

// Metrics is how far the incident is from normal.
type Metrics struct {
	Baseline  float64 `json:"baseline"`
	Current   float64 `json:"current"`
	Deviation float64 `json:"deviation"` // current over baseline; 0 when the baseline is 0
	Unit      string  `json:"unit,omitempty"`
}

// Context is what the incident touches.
type Context struct {
	TimeWindow    string `json:"time_window"` // how long the abnormal has lasted, such as "5m"
	AffectedUsers int    `json:"affected_users"`
	ModelVersion  string `json:"model_version"` // "" where none is involved
}

// Cause is the likeliest hypothesis.
type Cause struct {
	Kind       string  `json:"kind"`
	Value      string  `json:"value"`
	Statement  string  `json:"statement"`
	Confidence float64 `json:"confidence"` // in [0, 1]
}

// Evidence is one piece that the explanation rests on.
type Evidence struct {
	ID      string `json:"id"`
	Text    string `json:"text"`
	TraceID string `json:"trace_id,omitempty"`
	SpanID  string `json:"span_id,omitempty"`
}

// Bounds of a message, in bytes and entries. Together they keep its JSON below MaxMessageBytes, whatever the incident holds.
const (
	maxName            = 256
	maxSentence        = 600
	maxExplanation     = 4096
	maxServices        = 50
	maxRecommendations = 10
	maxEvidence        = 20
	maxTraces          = 8

	// MaxMessageBytes is above the JSON of any message: it fits PagerDuty's 512 KiB and Kafka's 1 MiB.
	MaxMessageBytes = 384 << 10
)

// cutMarker ends a text that was longer than its bound.
const cutMarker = "…[cut]"

// alertNamespace is where the UUIDs of alerts live (RFC 9562, version 5).
var alertNamespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/llm-sentinel/llm-sentinel/alert"))

// AlertID is the UUID under which an alert is published: a function of its id in the store.
func AlertID(id string) string { return uuid.NewSHA1(alertNamespace, []byte(id)).String() }

// MessageOf makes the published form of an alert.
func MessageOf(a engine.Alert) Message {
	a = whole(a)
	in := a.Incident
	m := Message{
		AlertID:          AlertID(a.ID),
		Timestamp:        changedAt(in),
		Severity:         in.Severity,
		AnomalyType:      engine.AnomalyType(cut(string(in.Type), maxName)),
		AffectedServices: cutAll(in.Services, maxServices, maxName),
		Metrics: Metrics{
			Baseline: finite(in.Effect.Baseline), Current: finite(in.Effect.Current),
			Deviation: finite(in.Effect.Ratio()), Unit: cut(in.Effect.Unit, maxName),
		},
		Context: Context{
			TimeWindow: lasted(in), AffectedUsers: max(0, in.Users), ModelVersion: cut(modelVersion(in), maxName),
		},
		Recommendations: []string{},
		IncidentID:      cut(in.ID, maxName),
		Fingerprint:     cut(in.Fingerprint, 2*maxName),
		Change:          cut(a.Change, maxName),
		Status:          in.Status,
		Raised:          in.Raised,
		Title:           cut(in.Title, maxSentence),
		Score:           finite(in.Score),
		Evidence:        []Evidence{},
	}
	if x := in.Explanation; x != nil {
		m.Explanation = cut(x.Summary, maxExplanation)
		if len(x.Hypotheses) > 0 {
			likeliest := x.Hypotheses[0]
			m.Cause = &Cause{
				Kind: cut(likeliest.Cause.Kind, maxName), Value: cut(likeliest.Cause.Value, maxName),
				Statement: cut(likeliest.Statement, maxSentence), Confidence: min(1, max(0, finite(likeliest.Confidence))),
			}
		}
		for _, r := range x.Recommendations[:min(len(x.Recommendations), maxRecommendations)] {
			m.Recommendations = append(m.Recommendations, cut(r.Text, maxSentence))
		}
	}
	if a.Anomaly != nil && a.Anomaly.IncidentID != "" {
		m.IncidentID = cut(a.Anomaly.IncidentID, maxName)
	}
	m.Evidence, m.EvidenceLeftOut = evidence(in)
	for _, id := range in.Traces[:min(len(in.Traces), maxTraces)] {
		m.Traces = append(m.Traces, id.String())
	}
	return m
}

// changedAt is when what the alert tells happened. It is taken from the incident, so that it is the same in every delivery.
func changedAt(in engine.Incident) time.Time {
	at := in.LastSeen
	if n := len(in.Timeline); n > 0 {
		at = in.Timeline[n-1].At
	}
	return at.UTC()
}

func lasted(in engine.Incident) string {
	from, to := in.Onset, in.LastSeen
	if in.Evidence != nil && in.Evidence.To.After(in.Evidence.From) {
		from, to = in.Evidence.From, in.Evidence.To
	}
	text := max(0, to.Sub(from)).Round(time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// modelVersion is the version that the incident is about: as its subject, else as its likeliest cause, else as what most of
// the abnormal has in common, else as the latest change.
func modelVersion(in engine.Incident) string {
	isModel := func(s engine.Subject) bool {
		return s.Kind == engine.SubjectModelVersion || s.Kind == engine.SubjectModel
	}
	if isModel(in.Subject) {
		return in.Subject.Value
	}
	if x := in.Explanation; x != nil && len(x.Hypotheses) > 0 && isModel(x.Hypotheses[0].Cause) {
		return x.Hypotheses[0].Cause.Value
	}
	if in.Evidence == nil {
		return ""
	}
	for _, kind := range []string{engine.SubjectModelVersion, engine.SubjectModel} {
		for _, s := range in.Evidence.Slices {
			if s.Kind == kind && s.AbnormalShare > 0.5 {
				return s.Value
			}
		}
	}
	for _, marker := range slices.Backward(in.Evidence.Markers) {
		if marker.Kind == engine.MarkerModelVersion {
			return marker.Version
		}
	}
	return ""
}

// evidence lists what the note cites; before there is a note, what was found.
func evidence(in engine.Incident) (pieces []Evidence, leftOut int) {
	pieces = []Evidence{}
	add := func(id, text, trace, span string) {
		if len(pieces) == maxEvidence {
			leftOut++
			return
		}
		pieces = append(pieces, Evidence{ID: cut(id, maxName), Text: cut(text, maxSentence), TraceID: cut(trace, maxName), SpanID: cut(span, maxName)})
	}
	switch {
	case in.Explanation != nil:
		for _, c := range in.Explanation.Citations {
			add(c.ID, c.Text, c.TraceID, c.SpanID)
		}
	case in.Evidence != nil:
		for _, c := range in.Evidence.Changes {
			text := fmt.Sprintf("%s of %s went from %.4g to %.4g %s", c.What, c.Series, c.Effect.Baseline, c.Effect.Current, c.Effect.Unit)
			add(fmt.Sprintf("E%d", len(pieces)+1), strings.TrimSpace(text), c.TraceID, c.SpanID)
		}
		for _, marker := range in.Evidence.Markers {
			text := strings.Join(strings.Fields(fmt.Sprintf("%s of %s %s %s at %s",
				strings.ReplaceAll(string(marker.Kind), "_", " "), marker.Service, marker.Subject, marker.Version, marker.At.UTC().Format(time.RFC3339))), " ")
			add(fmt.Sprintf("E%d", len(pieces)+1), text, "", "")
		}
	}
	return pieces, leftOut
}

// cut bounds a text to n bytes and makes it valid UTF-8.
func cut(s string, n int) string {
	if len(s) > n {
		end := n - len(cutMarker)
		for end > 0 && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end] + cutMarker
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

func cutAll(list []string, entries, bytes int) []string {
	out := make([]string, 0, min(len(list), entries))
	for _, s := range list[:min(len(list), entries)] {
		out = append(out, cut(s, bytes))
	}
	return out
}

// finite keeps out what JSON cannot hold.
func finite(x float64) float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return 0
	}
	return x
}
