package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// AddMarkers keeps the markers, all or none. A marker with a known id changes nothing; one without an id is CodeInvalid.
func (s *Store) AddMarkers(ctx context.Context, markers []engine.ChangeMarker) error {
	err := s.transact(ctx, func(tx *sql.Tx) error {
		for _, m := range markers {
			if err := requireID("marker", m.ID); err != nil {
				return err
			}
			m.At = m.At.UTC()
			body, err := encode(m)
			if err != nil {
				return storeError(err, "marker %s", m.ID)
			}
			if _, err := tx.ExecContext(ctx, `
				INSERT INTO markers (id, at, body) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING`,
				m.ID, nanos(m.At), body); err != nil {
				return storeError(err, "marker %s", m.ID)
			}
		}
		return nil
	})
	if err != nil {
		return storeError(err, "add %d markers", len(markers))
	}
	return nil
}

// Markers returns those with from <= At < to, oldest first.
func (s *Store) Markers(ctx context.Context, from, to time.Time) ([]engine.ChangeMarker, error) {
	markers, err := decodeAll[engine.ChangeMarker](ctx, s.read,
		`SELECT body FROM markers WHERE at >= ? AND at < ? ORDER BY at, id`, nanos(from), nanos(to))
	if err != nil {
		return nil, storeError(err, "list markers")
	}
	return markers, nil
}
