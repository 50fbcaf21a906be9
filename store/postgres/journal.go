package postgres

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/store"
)

// Record saves the anomalies and incidents of e in one transaction, replacing those whose id is known. An id that is empty,
// a severity or status that does not exist, and what JSON cannot hold are CodeInvalid, and then nothing is saved.
func (s *Store) Record(ctx context.Context, e engine.Entry) error {
	return s.call(ctx, func(ctx context.Context) error {
		anomalies, incidents, err := store.RowsOf(e)
		if err != nil {
			return err
		}
		// Writers that take their rows in one order cannot wait for each other in a circle. Of two rows with one id the later stands.
		slices.SortStableFunc(anomalies, func(a, b store.AnomalyRow) int { return cmp.Compare(a.ID, b.ID) })
		slices.SortStableFunc(incidents, func(a, b store.IncidentRow) int { return cmp.Compare(a.ID, b.ID) })
		statements := &pgx.Batch{}
		for _, in := range incidents {
			queueIncident(statements, in)
		}
		for _, a := range anomalies {
			queueAnomaly(statements, a)
		}
		return s.send(ctx, statements)
	}, "record %d anomalies and %d incidents", len(e.Anomalies), len(e.Incidents))
}

func queueAnomaly(statements *pgx.Batch, a store.AnomalyRow) {
	statements.Queue(`
		INSERT INTO anomalies (id, at, type, severity, service, incident_id, body) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (id) DO UPDATE SET at = excluded.at, type = excluded.type, severity = excluded.severity,
			service = excluded.service, incident_id = excluded.incident_id, body = excluded.body`,
		a.ID, a.At, a.Type, a.Severity, a.Service, a.IncidentID, a.Body)
}

func queueIncident(statements *pgx.Batch, in store.IncidentRow) {
	statements.Queue(`
		INSERT INTO incidents (id, type, severity, status, onset, last_seen, resolved_at, body) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (id) DO UPDATE SET type = excluded.type, severity = excluded.severity, status = excluded.status,
			onset = excluded.onset, last_seen = excluded.last_seen, resolved_at = excluded.resolved_at, body = excluded.body`,
		in.ID, in.Type, in.Severity, in.Status, in.Onset, in.LastSeen, in.ResolvedAt, in.Body)
	statements.Queue(`DELETE FROM incident_services WHERE incident_id = $1`, in.ID)
	statements.Queue(`
		INSERT INTO incident_services (incident_id, service) SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING`,
		in.ID, in.Services)
}

// ActiveIncidents returns, oldest onset first, incidents that are not resolved and those resolved at or after since.
func (s *Store) ActiveIncidents(ctx context.Context, since time.Time) (incidents []engine.Incident, err error) {
	err = s.call(ctx, func(ctx context.Context) error {
		incidents, err = query(ctx, s, store.ReadAll[engine.Incident], `
			SELECT body FROM incidents WHERE status IN ($1, $2) OR (status = $3 AND resolved_at >= $4) ORDER BY onset, id`,
			engine.StatusOpen, engine.StatusAcknowledged, engine.StatusResolved, store.Nanos(since))
		return err
	}, "active incidents")
	return incidents, err
}

// Anomaly returns one anomaly, or CodeNotFound.
func (s *Store) Anomaly(ctx context.Context, id string) (a engine.Anomaly, err error) {
	err = s.call(ctx, func(ctx context.Context) error {
		a, err = readOne[engine.Anomaly](ctx, s, `SELECT body FROM anomalies WHERE id = $1`, store.Text(id))
		return err
	}, "anomaly %.64q", id)
	return a, err
}

// Anomalies returns a page, newest first. A cursor, limit or severity that is not valid is CodeInvalid.
func (s *Store) Anomalies(ctx context.Context, q engine.AnomalyQuery) (page engine.Page[engine.Anomaly], err error) {
	err = s.call(ctx, func(ctx context.Context) error {
		l, err := store.ListAnomalies(q)
		if err != nil {
			return err
		}
		page, err = readPage(ctx, s, l)
		return err
	}, "list anomalies")
	return page, err
}

// Incident returns one incident, or CodeNotFound.
func (s *Store) Incident(ctx context.Context, id string) (in engine.Incident, err error) {
	err = s.call(ctx, func(ctx context.Context) error {
		in, err = readOne[engine.Incident](ctx, s, `SELECT body FROM incidents WHERE id = $1`, store.Text(id))
		return err
	}, "incident %.64q", id)
	return in, err
}

// Incidents returns a page, newest onset first. Service matches any of an incident's services, Type its own type and not
// the symptoms merged into it. A cursor, limit, severity or status that is not valid is CodeInvalid.
func (s *Store) Incidents(ctx context.Context, q engine.IncidentQuery) (page engine.Page[engine.Incident], err error) {
	err = s.call(ctx, func(ctx context.Context) error {
		l, err := store.ListIncidents(q)
		if err != nil {
			return err
		}
		page, err = readPage(ctx, s, l)
		return err
	}, "list incidents")
	return page, err
}
