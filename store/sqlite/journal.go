package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/store"
)

// Record saves the anomalies, incidents, alerts and events of e in one transaction. An anomaly or incident whose id is known is
// replaced, an alert or event is left out. An id that is empty, a severity or status that does not exist, and what JSON cannot hold
// are CodeInvalid, and then nothing is saved.
func (s *Store) Record(ctx context.Context, e engine.Entry) error {
	rows, err := store.RowsOf(e)
	if err == nil {
		err = s.transact(ctx, func(tx *sql.Tx) error {
			if err := saveIncidents(ctx, tx, rows.Incidents); err != nil {
				return err
			}
			if err := saveAnomalies(ctx, tx, rows.Anomalies); err != nil {
				return err
			}
			if err := saveAlerts(ctx, tx, rows.Alerts); err != nil {
				return err
			}
			return saveEvents(ctx, tx, rows.Events)
		})
	}
	if err != nil {
		return storeError(err, "record %d anomalies, %d incidents, %d alerts and %d events",
			len(e.Anomalies), len(e.Incidents), len(e.Alerts), len(e.Events))
	}
	return nil
}

func saveAlerts(ctx context.Context, tx *sql.Tx, alerts []store.AlertRow) error {
	for _, a := range alerts {
		if _, err := tx.ExecContext(ctx, `
			INSERT INTO alerts (id, at, body) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING`,
			a.ID, a.At, a.Body); err != nil {
			return storeError(err, "alert %s", a.ID)
		}
	}
	return nil
}

func saveAnomalies(ctx context.Context, tx *sql.Tx, anomalies []store.AnomalyRow) error {
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
		if _, err := insert.ExecContext(ctx, a.ID, a.At, a.Type, a.Severity, a.Service, a.IncidentID, a.Body); err != nil {
			return storeError(err, "anomaly %s", a.ID)
		}
	}
	return nil
}

func saveIncidents(ctx context.Context, tx *sql.Tx, incidents []store.IncidentRow) error {
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
		if _, err := insert.ExecContext(ctx,
			in.ID, in.Type, in.Severity, in.Status, in.Onset, in.LastSeen, in.ResolvedAt, in.Body); err != nil {
			return storeError(err, "incident %s", in.ID)
		}
		if err := saveServices(ctx, tx, in); err != nil {
			return storeError(err, "services of incident %s", in.ID)
		}
	}
	return nil
}

func saveServices(ctx context.Context, tx *sql.Tx, in store.IncidentRow) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM incident_services WHERE incident_id = ?`, in.ID); err != nil {
		return err
	}
	for _, service := range in.Services {
		if _, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO incident_services (incident_id, service) VALUES (?, ?)`,
			in.ID, service); err != nil {
			return err
		}
	}
	return nil
}

// ActiveIncidents returns, oldest onset first, incidents that are not resolved and those resolved at or after since.
func (s *Store) ActiveIncidents(ctx context.Context, since time.Time) ([]engine.Incident, error) {
	incidents, err := query(ctx, s.read, store.ReadAll[engine.Incident], `
		SELECT body FROM incidents WHERE status IN (?, ?) OR (status = ? AND resolved_at >= ?) ORDER BY onset, id`,
		engine.StatusOpen, engine.StatusAcknowledged, engine.StatusResolved, store.Nanos(since))
	if err != nil {
		return nil, storeError(err, "active incidents")
	}
	return incidents, nil
}

// Anomaly returns one anomaly, or CodeNotFound.
func (s *Store) Anomaly(ctx context.Context, id string) (engine.Anomaly, error) {
	a, err := readOne[engine.Anomaly](ctx, s.read, `SELECT body FROM anomalies WHERE id = ?`, store.Text(id))
	if err != nil {
		return engine.Anomaly{}, storeError(err, "anomaly %.64q", id)
	}
	return a, nil
}

// Anomalies returns a page, newest first. A cursor, limit or severity that is not valid is CodeInvalid.
func (s *Store) Anomalies(ctx context.Context, q engine.AnomalyQuery) (engine.Page[engine.Anomaly], error) {
	l, err := store.ListAnomalies(q)
	if err != nil {
		return engine.Page[engine.Anomaly]{}, storeError(err, "list anomalies")
	}
	page, err := readPage(ctx, s.read, l)
	if err != nil {
		return engine.Page[engine.Anomaly]{}, storeError(err, "list anomalies")
	}
	return page, nil
}

// Incident returns one incident, or CodeNotFound.
func (s *Store) Incident(ctx context.Context, id string) (engine.Incident, error) {
	in, err := readOne[engine.Incident](ctx, s.read, `SELECT body FROM incidents WHERE id = ?`, store.Text(id))
	if err != nil {
		return engine.Incident{}, storeError(err, "incident %.64q", id)
	}
	return in, nil
}

// Incidents returns a page, newest onset first. Service matches any of an incident's services, Type its own type and not
// the symptoms merged into it. A cursor, limit, severity or status that is not valid is CodeInvalid.
func (s *Store) Incidents(ctx context.Context, q engine.IncidentQuery) (engine.Page[engine.Incident], error) {
	l, err := store.ListIncidents(q)
	if err != nil {
		return engine.Page[engine.Incident]{}, storeError(err, "list incidents")
	}
	page, err := readPage(ctx, s.read, l)
	if err != nil {
		return engine.Page[engine.Incident]{}, storeError(err, "list incidents")
	}
	return page, nil
}
