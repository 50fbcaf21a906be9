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

// Record saves the anomalies, incidents, alerts and events of e in one transaction. An anomaly or incident whose id is known is
// replaced, an alert or event is left out. An id that is empty, a severity or status that does not exist, and what JSON cannot hold
// are CodeInvalid, and then nothing is saved.
func (s *Store) Record(ctx context.Context, e engine.Entry) error {
	return s.call(ctx, func(ctx context.Context) error {
		rows, err := store.RowsOf(e)
		if err != nil {
			return err
		}
		// Writers that take their rows in one order cannot wait for each other in a circle. Of two rows with one id the later stands.
		slices.SortStableFunc(rows.Anomalies, func(a, b store.AnomalyRow) int { return cmp.Compare(a.ID, b.ID) })
		slices.SortStableFunc(rows.Incidents, func(a, b store.IncidentRow) int { return cmp.Compare(a.ID, b.ID) })
		statements := &pgx.Batch{}
		if len(rows.Alerts) > 0 { // one writer of alerts at a time: the order of their numbers is that of the commits
			statements.Queue(`SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, s.lockName("alert"))
		}
		for _, in := range rows.Incidents {
			queueIncident(statements, in)
		}
		for _, a := range rows.Anomalies {
			queueAnomaly(statements, a)
		}
		for _, a := range rows.Alerts {
			statements.Queue(`INSERT INTO alerts (id, at, body) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING`,
				a.ID, a.At, a.Body)
		}
		for _, x := range rows.Events {
			statements.Queue(`INSERT INTO logged_events (number, body) VALUES ($1, $2) ON CONFLICT (number) DO NOTHING`, x.Number, x.Body)
		}
		return s.send(ctx, statements)
	}, "record %d anomalies, %d incidents, %d alerts and %d events", len(e.Anomalies), len(e.Incidents), len(e.Alerts), len(e.Events))
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
