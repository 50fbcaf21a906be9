package store

import (
	"crypto/sha256"
	"encoding/json"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Rows are what a query answered, of database/sql or of pgx. Whoever asked closes them and looks whether they ended in an
// error.
type Rows interface {
	Next() bool
	Scan(columns ...any) error
}

// ReadAll reads rows of one JSON column.
func ReadAll[T any](rows Rows) ([]T, error) {
	var records []T
	for rows.Next() {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return nil, err
		}
		var record T
		if err := json.Unmarshal(body, &record); err != nil {
			return nil, err
		}
		records = append(records, record)
	}
	return records, nil
}

// AnomalyRow has the columns of an anomaly.
type AnomalyRow struct {
	ID         string
	At         int64
	Type       string
	Severity   int
	Service    string
	IncidentID string
	Body       string
}

// NewAnomalyRow returns CodeInvalid for an anomaly without an id, with an unknown severity or with what JSON cannot hold.
func NewAnomalyRow(a engine.Anomaly) (AnomalyRow, error) {
	if err := RequireID("anomaly", a.ID); err != nil {
		return AnomalyRow{}, err
	}
	if a.Severity.Rank() < 0 {
		return AnomalyRow{}, engine.Errorf(engine.CodeInvalid, "anomaly %s: severity %.64q", a.ID, a.Severity)
	}
	a.At = a.At.UTC()
	body, err := encode("anomaly", a.ID, a)
	return AnomalyRow{
		ID: a.ID, At: Nanos(a.At), Type: Text(string(a.Type)), Severity: a.Severity.Rank(),
		Service: Text(a.Service), IncidentID: Text(a.IncidentID), Body: body,
	}, err
}

// IncidentRow has the columns of an incident, and its services, which are rows of their own.
type IncidentRow struct {
	ID         string
	Type       string
	Severity   int
	Status     string
	Onset      int64
	LastSeen   int64
	ResolvedAt *int64
	Services   []string
	Body       string
}

// NewIncidentRow returns CodeInvalid for an incident without an id, with an unknown severity or status, resolved at no time,
// or with what JSON cannot hold.
func NewIncidentRow(in engine.Incident) (IncidentRow, error) {
	if err := RequireID("incident", in.ID); err != nil {
		return IncidentRow{}, err
	}
	switch {
	case in.Severity.Rank() < 0:
		return IncidentRow{}, engine.Errorf(engine.CodeInvalid, "incident %s: severity %.64q", in.ID, in.Severity)
	case !validStatus(in.Status):
		return IncidentRow{}, engine.Errorf(engine.CodeInvalid, "incident %s: status %.64q", in.ID, in.Status)
	case in.Status == engine.StatusResolved && in.ResolvedAt == nil:
		return IncidentRow{}, engine.Errorf(engine.CodeInvalid, "incident %s: resolved without a time", in.ID)
	}
	in.Onset, in.LastSeen, in.DetectedAt = in.Onset.UTC(), in.LastSeen.UTC(), in.DetectedAt.UTC()
	if in.ResolvedAt != nil {
		at := in.ResolvedAt.UTC()
		in.ResolvedAt = &at
	}
	body, err := encode("incident", in.ID, in)
	row := IncidentRow{
		ID: in.ID, Type: Text(string(in.Type)), Severity: in.Severity.Rank(), Status: string(in.Status),
		Onset: Nanos(in.Onset), LastSeen: Nanos(in.LastSeen), ResolvedAt: OptionalNanos(in.ResolvedAt),
		Services: make([]string, len(in.Services)), Body: body,
	}
	for i, service := range in.Services {
		row.Services[i] = Text(service)
	}
	return row, err
}

func validStatus(s engine.Status) bool {
	return s == engine.StatusOpen || s == engine.StatusAcknowledged || s == engine.StatusResolved
}

// EntryRows are the rows of an entry.
type EntryRows struct {
	Anomalies []AnomalyRow
	Incidents []IncidentRow
	Alerts    []AlertRow
	Events    []EventRow
}

// RowsOf makes the rows of an entry, or the error of the first record that cannot be stored.
func RowsOf(e engine.Entry) (rows EntryRows, err error) {
	if rows.Incidents, err = rowsOf(e.Incidents, NewIncidentRow); err != nil {
		return EntryRows{}, err
	}
	if rows.Anomalies, err = rowsOf(e.Anomalies, NewAnomalyRow); err != nil {
		return EntryRows{}, err
	}
	if rows.Alerts, err = rowsOf(e.Alerts, NewAlertRow); err != nil {
		return EntryRows{}, err
	}
	if rows.Events, err = rowsOf(e.Events, NewEventRow); err != nil {
		return EntryRows{}, err
	}
	return rows, nil
}

func rowsOf[T, R any](records []T, rowOf func(T) (R, error)) ([]R, error) {
	rows := make([]R, len(records))
	for i, record := range records {
		var err error
		if rows[i], err = rowOf(record); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// EventRow has the columns of a logged event.
type EventRow struct {
	Number int64
	Body   string
}

// NewEventRow returns CodeInvalid for an event without a number or with what JSON cannot hold.
func NewEventRow(e engine.LoggedEvent) (EventRow, error) {
	if e.Number < 1 {
		return EventRow{}, engine.Errorf(engine.CodeInvalid, "event %.64q: number %d, want 1 or more", e.Event.ID, e.Number)
	}
	e.Event.At = e.Event.At.UTC()
	body, err := encode("event", e.Event.ID, e)
	return EventRow{Number: e.Number, Body: body}, err
}

// FeedbackRow has the columns of feedback.
type FeedbackRow struct {
	ID         string
	At         int64
	IncidentID string
	Body       string
}

// NewFeedbackRow returns CodeInvalid for feedback without an id or a subject, or with an unknown verdict.
func NewFeedbackRow(f engine.Feedback) (FeedbackRow, error) {
	if err := RequireID("feedback", f.ID); err != nil {
		return FeedbackRow{}, err
	}
	if f.AnomalyID == "" && f.Incident == "" {
		return FeedbackRow{}, engine.Errorf(engine.CodeInvalid, "feedback %s: want an anomaly or an incident", f.ID)
	}
	if f.Verdict != engine.TruePositive && f.Verdict != engine.FalsePositive {
		return FeedbackRow{}, engine.Errorf(engine.CodeInvalid,
			"feedback %s: verdict %.64q: want %s or %s", f.ID, f.Verdict, engine.TruePositive, engine.FalsePositive)
	}
	f.At, f.Expires = f.At.UTC(), f.Expires.UTC()
	body, err := encode("feedback", f.ID, f)
	return FeedbackRow{ID: f.ID, At: Nanos(f.At), IncidentID: Text(f.Incident), Body: body}, err
}

// UndoFeedback is the feedback of a body as it is once it is taken back, and its row. What was taken back before stays as it is.
func UndoFeedback(body []byte, at time.Time, by string) (f engine.Feedback, row FeedbackRow, err error) {
	if err := json.Unmarshal(body, &f); err != nil {
		return f, row, err
	}
	if f.Undone == nil {
		at = at.UTC()
		f.Undone, f.UndoneBy = &at, by
	}
	row, err = NewFeedbackRow(f)
	return f, row, err
}

// MarkerRow has the columns of a change marker.
type MarkerRow struct {
	ID   string
	At   int64
	Body string
}

// MarkerRows makes the rows of markers, or CodeInvalid for the first one without an id.
func MarkerRows(markers []engine.ChangeMarker) ([]MarkerRow, error) {
	rows := make([]MarkerRow, len(markers))
	for i, m := range markers {
		if err := RequireID("marker", m.ID); err != nil {
			return nil, err
		}
		m.At = m.At.UTC()
		body, err := encode("marker", m.ID, m)
		if err != nil {
			return nil, err
		}
		rows[i] = MarkerRow{ID: m.ID, At: Nanos(m.At), Body: body}
	}
	return rows, nil
}

// EncodeDeferred makes the JSON of a deferred trace; one without an id or spans is CodeInvalid.
func EncodeDeferred(d engine.Deferred) (string, error) {
	if d.Trace.ID.IsZero() || len(d.Trace.Spans) == 0 {
		return "", engine.Errorf(engine.CodeInvalid, "want an id and spans")
	}
	return encode("trace", d.Trace.ID.String(), d)
}

// ReadDeferred reads rows of the JSON of deferred traces.
func ReadDeferred(rows Rows) ([]engine.Deferred, error) {
	waiting, err := ReadAll[engine.Deferred](rows)
	for i := range waiting {
		t := &waiting[i].Trace
		late := t.Late
		*t = engine.NewTrace(t.ID, t.Spans) // the root is not part of the JSON
		t.Late = late
	}
	return waiting, err
}

// ValidateKey returns CodeInvalid for a key without an id, with a name that is no text, an unknown scope, or a hash that is
// not SHA-256.
func ValidateKey(k engine.APIKey) error {
	if err := RequireID("key", k.ID); err != nil {
		return err
	}
	if k.Name != Text(k.Name) {
		return engine.Errorf(engine.CodeInvalid, "key %s: name %.64q: want UTF-8 without NUL", k.ID, k.Name)
	}
	if len(k.Hash) != sha256.Size {
		return engine.Errorf(engine.CodeInvalid, "key %s: hash of %d bytes, want %d", k.ID, len(k.Hash), sha256.Size)
	}
	if !engine.KnownScope(k.Scope) {
		return engine.Errorf(engine.CodeInvalid, "key %s: scope %.64q: want %s, %s or %s",
			k.ID, k.Scope, engine.ScopeIngest, engine.ScopeRead, engine.ScopeAdmin)
	}
	return nil
}

// KeyColumns are the columns that ScanKey reads, in its order.
const KeyColumns = "id, name, hash, scope, created, last_used, revoked"

// ScanKey reads a row of KeyColumns.
func ScanKey(row interface{ Scan(columns ...any) error }) (engine.APIKey, error) {
	var k engine.APIKey
	var created int64
	var lastUsed, revoked *int64
	if err := row.Scan(&k.ID, &k.Name, &k.Hash, &k.Scope, &created, &lastUsed, &revoked); err != nil {
		return engine.APIKey{}, err
	}
	k.Created, k.LastUsed, k.Revoked = Time(created), OptionalTime(lastUsed), OptionalTime(revoked)
	return k, nil
}

// ReadKeys reads rows of KeyColumns.
func ReadKeys(rows Rows) ([]engine.APIKey, error) {
	var keys []engine.APIKey
	for rows.Next() {
		k, err := ScanKey(rows)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}
