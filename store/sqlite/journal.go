package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Record saves the anomalies and incidents of e in one transaction, replacing those whose id is known. An id that is empty,
// a severity or status that does not exist, and what JSON cannot hold are CodeInvalid, and then nothing is saved.
func (s *Store) Record(ctx context.Context, e engine.Entry) error {
	err := s.transact(ctx, func(tx *sql.Tx) error {
		if err := saveIncidents(ctx, tx, e.Incidents); err != nil {
			return err
		}
		return saveAnomalies(ctx, tx, e.Anomalies)
	})
	if err != nil {
		return storeError(err, "record %d anomalies and %d incidents", len(e.Anomalies), len(e.Incidents))
	}
	return nil
}

func saveAnomalies(ctx context.Context, tx *sql.Tx, anomalies []engine.Anomaly) error {
	if len(anomalies) == 0 {
		return nil
	}
	insert, err := tx.PrepareContext(ctx, `
		INSERT INTO anomalies (id, at, type, severity, service, incident_id, body) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET at = excluded.at, type = excluded.type, severity = excluded.severity,
			service = excluded.service, incident_id = excluded.incident_id, body = excluded.body`)
	if err != nil {
		return err
	}
	defer insert.Close()
	for _, a := range anomalies {
		if err := requireID("anomaly", a.ID); err != nil {
			return err
		}
		if a.Severity.Rank() < 0 {
			return engine.Errorf(engine.CodeInvalid, "anomaly %s: severity %.64q", a.ID, a.Severity)
		}
		a.At = a.At.UTC()
		body, err := encode(a)
		if err != nil {
			return storeError(err, "anomaly %s", a.ID)
		}
		if _, err := insert.ExecContext(ctx, a.ID, nanos(a.At), a.Type, a.Severity.Rank(), a.Service, a.IncidentID, body); err != nil {
			return storeError(err, "anomaly %s", a.ID)
		}
	}
	return nil
}

func saveIncidents(ctx context.Context, tx *sql.Tx, incidents []engine.Incident) error {
	if len(incidents) == 0 {
		return nil
	}
	insert, err := tx.PrepareContext(ctx, `
		INSERT INTO incidents (id, type, severity, status, onset, last_seen, resolved_at, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET type = excluded.type, severity = excluded.severity, status = excluded.status,
			onset = excluded.onset, last_seen = excluded.last_seen, resolved_at = excluded.resolved_at, body = excluded.body`)
	if err != nil {
		return err
	}
	defer insert.Close()
	for _, in := range incidents {
		if err := saveIncident(ctx, tx, insert, in); err != nil {
			return err
		}
	}
	return nil
}

func saveIncident(ctx context.Context, tx *sql.Tx, insert *sql.Stmt, in engine.Incident) error {
	if err := requireID("incident", in.ID); err != nil {
		return err
	}
	if in.Severity.Rank() < 0 {
		return engine.Errorf(engine.CodeInvalid, "incident %s: severity %.64q", in.ID, in.Severity)
	}
	if !validStatus(in.Status) {
		return engine.Errorf(engine.CodeInvalid, "incident %s: status %.64q", in.ID, in.Status)
	}
	if in.Status == engine.StatusResolved && in.ResolvedAt == nil {
		return engine.Errorf(engine.CodeInvalid, "incident %s: resolved without a time", in.ID)
	}
	in.Onset, in.LastSeen, in.DetectedAt = in.Onset.UTC(), in.LastSeen.UTC(), in.DetectedAt.UTC()
	if in.ResolvedAt != nil {
		at := in.ResolvedAt.UTC()
		in.ResolvedAt = &at
	}
	body, err := encode(in)
	if err != nil {
		return storeError(err, "incident %s", in.ID)
	}
	if _, err := insert.ExecContext(ctx, in.ID, in.Type, in.Severity.Rank(), in.Status,
		nanos(in.Onset), nanos(in.LastSeen), optionalNanos(in.ResolvedAt), body); err != nil {
		return storeError(err, "incident %s", in.ID)
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM incident_services WHERE incident_id = ?`, in.ID); err != nil {
		return storeError(err, "services of incident %s", in.ID)
	}
	for _, service := range in.Services {
		if _, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO incident_services (incident_id, service) VALUES (?, ?)`,
			in.ID, service); err != nil {
			return storeError(err, "services of incident %s", in.ID)
		}
	}
	return nil
}

func validStatus(s engine.Status) bool {
	return s == engine.StatusOpen || s == engine.StatusAcknowledged || s == engine.StatusResolved
}

// ActiveIncidents returns, oldest onset first, incidents that are not resolved and those resolved at or after since.
func (s *Store) ActiveIncidents(ctx context.Context, since time.Time) ([]engine.Incident, error) {
	incidents, err := decodeAll[engine.Incident](ctx, s.read, `
		SELECT body FROM incidents WHERE status IN (?, ?) OR (status = ? AND resolved_at >= ?) ORDER BY onset, id`,
		engine.StatusOpen, engine.StatusAcknowledged, engine.StatusResolved, nanos(since))
	if err != nil {
		return nil, storeError(err, "active incidents")
	}
	return incidents, nil
}

// Anomaly returns one anomaly, or CodeNotFound.
func (s *Store) Anomaly(ctx context.Context, id string) (engine.Anomaly, error) {
	a, err := decodeOne[engine.Anomaly](ctx, s.read, `SELECT body FROM anomalies WHERE id = ?`, id)
	if err != nil {
		return engine.Anomaly{}, storeError(err, "anomaly %.64q", id)
	}
	return a, nil
}

// Anomalies returns a page, newest first. A cursor, limit or severity that is not valid is CodeInvalid.
func (s *Store) Anomalies(ctx context.Context, q engine.AnomalyQuery) (engine.Page[engine.Anomaly], error) {
	l := listing{table: "anomalies", time: "at"}
	l.between("at", "at", q.From, q.To)
	if q.Service != "" {
		l.filter("service = ?", q.Service)
	}
	if q.Type != "" {
		l.filter("type = ?", q.Type)
	}
	if q.IncidentID != "" {
		l.filter("incident_id = ?", q.IncidentID)
	}
	if err := l.severity(q.MinSeverity); err != nil {
		return engine.Page[engine.Anomaly]{}, storeError(err, "list anomalies")
	}
	page, err := readPage[engine.Anomaly](ctx, s.read, l, q.Cursor, q.Limit)
	if err != nil {
		return engine.Page[engine.Anomaly]{}, storeError(err, "list anomalies")
	}
	return page, nil
}

// Incident returns one incident, or CodeNotFound.
func (s *Store) Incident(ctx context.Context, id string) (engine.Incident, error) {
	in, err := decodeOne[engine.Incident](ctx, s.read, `SELECT body FROM incidents WHERE id = ?`, id)
	if err != nil {
		return engine.Incident{}, storeError(err, "incident %.64q", id)
	}
	return in, nil
}

// Incidents returns a page, newest onset first. Service matches any of an incident's services, Type its own type and not
// the symptoms merged into it. A cursor, limit, severity or status that is not valid is CodeInvalid.
func (s *Store) Incidents(ctx context.Context, q engine.IncidentQuery) (engine.Page[engine.Incident], error) {
	l := listing{table: "incidents", time: "onset"}
	l.between("last_seen", "onset", q.From, q.To)
	if q.Service != "" {
		l.filter("EXISTS (SELECT 1 FROM incident_services WHERE incident_id = id AND service = ?)", q.Service)
	}
	if q.Type != "" {
		l.filter("type = ?", q.Type)
	}
	if q.Status != "" {
		if !validStatus(q.Status) {
			err := engine.Errorf(engine.CodeInvalid, "status %.64q: want open, acknowledged or resolved", q.Status)
			return engine.Page[engine.Incident]{}, storeError(err, "list incidents")
		}
		l.filter("status = ?", q.Status)
	}
	if err := l.severity(q.MinSeverity); err != nil {
		return engine.Page[engine.Incident]{}, storeError(err, "list incidents")
	}
	page, err := readPage[engine.Incident](ctx, s.read, l, q.Cursor, q.Limit)
	if err != nil {
		return engine.Page[engine.Incident]{}, storeError(err, "list incidents")
	}
	return page, nil
}
