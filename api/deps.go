package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/llm-sentinel/llm-sentinel/api/hook"
	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Deps is what the API works through. All of the first block are needed. Errors of all of them reach the caller by their engine.Code; those without one are logged and answered with 500.
type Deps struct {
	Scorer     engine.Scorer
	Sink       engine.Sink
	Decoder    Decoder
	Listing    Listing
	Lifecycle  Lifecycle
	Feedbacks  Feedbacks
	Trends     Trends
	Services   Services
	Health     HealthReporter
	Keys       Keys
	Gatherer   prometheus.Gatherer
	Registerer prometheus.Registerer

	OTLP        http.Handler       // serves /v1/traces, /v1/logs and /v1/metrics; without it these routes do not exist
	Markers     Markers            // without it there is nothing at /markers
	Hooks       *hook.Receiver     // without it all webhooks are refused
	DeadLetters engine.DeadLetters // without it there is nothing at /deliveries: no receivers are configured
	Stream      *Hub               // without it there is nothing at /stream
}

// Markers lists change markers: those with from <= At < to, oldest first and by id where times are the same.
type Markers interface {
	Markers(ctx context.Context, from, to time.Time) ([]engine.ChangeMarker, error)
}

// Decoder reads one OTLP trace export request. Spans that cannot be used are left out and named in rejections; an error
// means that nothing could be read. It bounds what it decompresses.
type Decoder interface {
	// DecodeTraces takes a media type without parameters ("application/json" or "application/x-protobuf"), an encoding
	// ("" or "gzip") and the body as sent.
	DecodeTraces(contentType, contentEncoding string, body []byte) (spans []engine.Span, rejections []string, err error)
}

// Listing reads what the engine found.
type Listing interface {
	Anomalies(ctx context.Context, q engine.AnomalyQuery) (engine.Page[engine.Anomaly], error)
	Incidents(ctx context.Context, q engine.IncidentQuery) (engine.Page[engine.Incident], error)
	// Anomaly and Incident return engine.CodeNotFound when there is none.
	Anomaly(ctx context.Context, id string) (engine.Anomaly, error)
	Incident(ctx context.Context, id string) (engine.Incident, error)
}

// Lifecycle changes incidents and returns them as they are then. A change that the state does not allow is a conflict.
type Lifecycle interface {
	Acknowledge(ctx context.Context, id, by, note string) (engine.Incident, error)
	Resolve(ctx context.Context, id, by, note string) (engine.Incident, error)
	// Explain gathers the evidence anew and writes the note again.
	Explain(ctx context.Context, id string) (engine.Incident, error)
}

// Feedbacks takes people's words on anomalies and incidents, and lists them newest first.
type Feedbacks interface {
	// AddFeedback returns the word as it is stored. engine.CodeNotFound when there is no such incident or anomaly: it would teach nothing.
	AddFeedback(ctx context.Context, f engine.Feedback) (engine.Feedback, error)
	Feedback(ctx context.Context, cursor string, limit int) (engine.Page[engine.Feedback], error)
	// UndoFeedback is engine.CodeConflict for a word that came with another API key than keyID, "" being none.
	UndoFeedback(ctx context.Context, id, keyID, by string) (engine.Feedback, error)
	Lessons() ([]engine.Lesson, []engine.SeriesThreshold)
}

// Trends tells what users ask, and how baselines moved; of one service, or of all with "".
type Trends interface {
	Trends(service string) ([]engine.Topic, []engine.SeriesTrend)
}

// Services sums up what is known of each service.
type Services interface {
	Services() []engine.ServiceHealth
}

// Keys finds API keys by the SHA-256 of their secret. KeyByHash returns engine.CodeNotFound for an unknown one; a revoked
// key is returned with Revoked set.
type Keys interface {
	KeyByHash(ctx context.Context, hash []byte) (engine.APIKey, error)
	TouchKey(ctx context.Context, id string, at time.Time) error
}

// HealthReporter says how the process fares. It answers at once.
type HealthReporter interface {
	Health() Health
}

func (d Deps) validate() error {
	for _, dep := range []struct {
		name    string
		missing bool
	}{
		{"Scorer", d.Scorer == nil},
		{"Sink", d.Sink == nil},
		{"Decoder", d.Decoder == nil},
		{"Listing", d.Listing == nil},
		{"Lifecycle", d.Lifecycle == nil},
		{"Feedbacks", d.Feedbacks == nil},
		{"Trends", d.Trends == nil},
		{"Services", d.Services == nil},
		{"Health", d.Health == nil},
		{"Keys", d.Keys == nil},
		{"Gatherer", d.Gatherer == nil},
		{"Registerer", d.Registerer == nil},
	} {
		if dep.missing {
			return errors.New("api: new: Deps." + dep.name + " is missing")
		}
	}
	return nil
}
