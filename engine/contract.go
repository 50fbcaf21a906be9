package engine

import (
	"context"
	"io"
	"time"
)

// Sink takes batches in. Consume returns nil when the batch is accepted in memory, and then owns it: b.Done is called
// once its effects are stored. On an error the batch is not taken and Done is never called; an error with code
// CodeFull asks the source to come back later.
type Sink interface {
	Consume(ctx context.Context, b Batch) error
}

// Source reads telemetry from somewhere and feeds it to next until ctx ends. It returns once drained: nothing that it read
// is left unhanded.
type Source interface {
	Run(ctx context.Context, next Sink) error
}

// Scorer judges a trace at once and does not teach: asking twice gives the same answer.
type Scorer interface {
	Score(ctx context.Context, t Trace) (Verdict, error)
}

// Screener is the statistical tier: it sees every span. Observe and Advance are called by one goroutine at a time; Score may
// run beside them.
type Screener interface {
	// Observe takes spans into their series' open windows. A baseline learns from a window when it closes calm.
	Observe(spans []Span)
	// Advance closes the windows that ended before the watermark and returns what they show.
	Advance(watermark time.Time) []Finding
	// Score compares a trace with the baselines and changes nothing. It returns at most one finding a detector, the ones that
	// are still learning among them.
	Score(t *Trace) []Finding
}

// EventScreener watches the events of guards in front of the application, beside what became of the traces that they are about.
// Its methods are called by one goroutine at a time. Where it is a Snapshotter too, what it learnt is kept.
type EventScreener interface {
	// Observe takes events, without what is sensitive in them. Those with a known id count once.
	Observe(events []SecurityEvent)
	// Answered takes a complete trace as it came: what the model answered to a request that a guard may have spoken of. Its texts must
	// not be kept.
	Answered(t *Trace)
	// Advance closes the windows that ended before the watermark and returns what they show. It is called after events were observed
	// too, with a watermark that may be the one before, so that it can tell what needs no closed window. A finding is an incident by
	// itself; findings of one detector about one subject at one second are the same.
	Advance(watermark time.Time) []Finding
}

// Detector owns one anomaly type in complete traces.
type Detector interface {
	// Name is short and stable: it appears in contributions, metrics and the docs.
	Name() string
	// Score never changes state and may be called concurrently with itself and with Learn.
	Score(ctx context.Context, o Observation) ([]Finding, error)
	// Learn is called by the engine for what it holds to be normal, roughly in event-time order. Span texts other than the arguments of
	// tool calls are gone by then; o.Texts has what was embedded.
	Learn(ctx context.Context, o Observation) error
}

// AttackLearner is a semantic Detector that also learns from texts that are known to be attacks. The text is whole and redacted; the kind
// says where it is met.
type AttackLearner interface {
	LearnAttack(kind TextKind, text string)
}

// Observation is a complete trace as detectors see it: its texts redacted, in chunks, embedded where possible. Workflow detectors see
// the trace as it came, without texts, and may keep counts of it only.
type Observation struct {
	Trace *Trace
	Texts []Text
	// Memory is where the vectors of Texts can be compared; nil when the texts could not be embedded.
	Memory Memory
	Place  string // what the memory is called
	Model  Model
	// Findings is, in Learn alone, what the detectors said of the trace when they scored it: a detector whose score needs the texts
	// learns that score.
	Findings []Finding
}

// Own is what a detector said of the trace, by its name, when it was scored. It is for Learn.
func (o Observation) Own(detector string) (Finding, bool) {
	for _, f := range o.Findings {
		if f.Detector == detector {
			return f, true
		}
	}
	return Finding{}, false
}

// Pair names the embedder and the memory. What a detector learns of similarities belongs to a pair: each sees every trace.
func (o *Observation) Pair() string { return o.Model.Name + " in " + o.Place }

// Text is a chunk of text of a span. Vector is nil when it was not embedded.
type Text struct {
	Span      int      // index into Trace.Spans
	Kind      TextKind // where it came from
	Text      string   // redacted
	Chunk     int      // position of the chunk in its text, from 0
	Vector    []float32
	Sensitive []Sensitive // findings in the whole original text, on its first chunk only
}

// Snapshotter writes its state and reads it back: after Restore it answers exactly as before Snapshot.
type Snapshotter interface {
	Snapshot(w io.Writer) error
	Restore(r io.Reader) error
}

// Embedder turns texts into vectors of unit length, one a text, in order. A text without any usable token has the zero vector.
// It may be called concurrently and keeps no reference to texts. A failing call returns no vectors at all.
type Embedder interface {
	Embed(ctx context.Context, texts []string) ([][]float32, error)
	Model() Model
}

// Memory remembers vectors. Implementations are safe for concurrent use; a dimension that differs from the collection's is
// an error with CodeInvalid.
type Memory interface {
	Remember(ctx context.Context, items []Memo) error
	// Nearest returns up to q.K neighbors, most similar first; none when the collection does not exist.
	Nearest(ctx context.Context, q Query) ([]Neighbor, error)
	// Forget deletes what passes the filter and says how many.
	Forget(ctx context.Context, f Filter) (int, error)
}

// Redactor replaces sensitive data in a text by typed placeholders and says what it replaced. It is pure and concurrent.
type Redactor interface {
	Redact(text string) (string, []Sensitive)
}

// Explainer writes the note of an incident from its evidence and nothing else. It returns an explanation even when the
// language model fails, then with Fallback set; an error means that not even the deterministic note could be written.
type Explainer interface {
	Explain(ctx context.Context, in Incident, ev Evidence) (Explanation, error)
}

// Notifier delivers one alert. An error that is not Permanent may be retried; a.ID stays the same.
type Notifier interface {
	Notify(ctx context.Context, a Alert) error
}

// Journal is where the pipeline writes what it found. Record is one transaction: all or nothing. An error with CodeInvalid or
// CodeTooLarge, or a Permanent one, says that it can never take the entry; after any other the entry is tried again.
type Journal interface {
	Record(ctx context.Context, e Entry) error
	// ActiveIncidents returns incidents that are not resolved, and those resolved at or after since (for re-raise).
	ActiveIncidents(ctx context.Context, since time.Time) ([]Incident, error)
}

// Entry is a set of changes that belong together. Saving an anomaly or incident with a known id replaces it; an alert with a known id
// and an event with a known number are left out.
type Entry struct {
	Anomalies []Anomaly
	Incidents []Incident
	Alerts    []Alert       // go to the Outbox
	Events    []LoggedEvent // go to the EventLog
}

// EventLog keeps security events, without what is sensitive in them, from the Entry that records them until a snapshot holds what they
// taught: after a crash they are observed again.
type EventLog interface {
	// LoggedEvents returns the events in the order of their numbers.
	LoggedEvents(ctx context.Context) ([]LoggedEvent, error)
	// ForgetEvents deletes those with a number up to last.
	ForgetEvents(ctx context.Context, last int64) error
}

// LoggedEvent is an event with its place in the EventLog. Numbers grow, and may have gaps.
type LoggedEvent struct {
	Number int64         `json:"number"`
	Event  SecurityEvent `json:"event"`
}

// MarkerLog keeps change markers. Adding a marker with a known id changes nothing.
type MarkerLog interface {
	AddMarkers(ctx context.Context, markers []ChangeMarker) error
	// Markers returns those with from <= At < to, oldest first.
	Markers(ctx context.Context, from, to time.Time) ([]ChangeMarker, error)
}

// SnapshotStore keeps the latest snapshot under each name. Load returns CodeNotFound when there is none.
type SnapshotStore interface {
	SaveSnapshot(ctx context.Context, name string, at time.Time, data []byte) error
	LoadSnapshot(ctx context.Context, name string) (data []byte, at time.Time, err error)
}

// Shelf keeps the states of series under their ids. It may be called concurrently.
type Shelf interface {
	// ShelveSeries puts states in place of what is there under their ids, all or none.
	ShelveSeries(ctx context.Context, rows []ShelvedSeries) error
	// ShelvedSeries returns those that are there, in any order. They stay.
	ShelvedSeries(ctx context.Context, ids []ShelfID) ([]ShelvedSeries, error)
	// NewestSeries calls each with up to n, those of the latest generations, in ascending order of generations. It ends with the first
	// error that each returns.
	NewestSeries(ctx context.Context, n int, each func(ShelvedSeries) error) error
	// TrimSeries keeps up to n, those of the latest generations, deletes the others and says how many.
	TrimSeries(ctx context.Context, n int) (int, error)
}

// ShelvedSeries is the state of a series. What State holds is known to the Screener alone.
type ShelvedSeries struct {
	ID         ShelfID
	Generation int64 // ascending in the order of last use; a row is never replaced by one of an earlier generation
	State      []byte
}

// ShelfID is the name of a series on the shelf.
type ShelfID [16]byte

// SeriesKeeper is a Screener with more series than one snapshot can hold: it keeps them on a Shelf, a row each, and its snapshot has
// the rest.
type SeriesKeeper interface {
	Snapshotter
	// Save writes the series that changed before the latest Snapshot, as they were then. After an error the next ones have them too.
	Save(ctx context.Context) error
	// Load reads back as many series as there is room for.
	Load(ctx context.Context) error
	// Fetch reads the series that were seen again after they had left memory, and returns what went wrong since the last call.
	Fetch(ctx context.Context) error
	// Crowded reports whether many series wait for the next snapshot.
	Crowded() bool
}

// Backlog keeps flagged traces that wait for the semantic tier when its queue is full, oldest first.
type Backlog interface {
	Defer(ctx context.Context, t Deferred) error
	// NextDeferred returns up to n waiting traces without removing them.
	NextDeferred(ctx context.Context, n int) ([]Deferred, error)
	FinishDeferred(ctx context.Context, ids []TraceID) error
}

// Deferred is a flagged trace, already redacted, with what screening said of it.
type Deferred struct {
	Trace    Trace     `json:"trace"`
	Findings []Finding `json:"findings"`
}
