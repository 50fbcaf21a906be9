package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/store"
)

// AddMarkers keeps the markers, all or none. A marker with a known id changes nothing; one without an id is CodeInvalid.
func (s *Store) AddMarkers(ctx context.Context, markers []engine.ChangeMarker) error {
	rows, err := store.MarkerRows(markers)
	if err == nil {
		err = s.transact(ctx, func(tx *sql.Tx) error {
			for _, m := range rows {
				if _, err := tx.ExecContext(ctx, `
					INSERT INTO markers (id, at, body) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING`, m.ID, m.At, m.Body); err != nil {
					return storeError(err, "marker %s", m.ID)
				}
			}
			return nil
		})
	}
	if err != nil {
		return storeError(err, "add %d markers", len(markers))
	}
	return nil
}

// Markers returns those with from <= At < to, oldest first.
func (s *Store) Markers(ctx context.Context, from, to time.Time) ([]engine.ChangeMarker, error) {
	markers, err := query(ctx, s.read, store.ReadAll[engine.ChangeMarker],
		`SELECT body FROM markers WHERE at >= ? AND at < ? ORDER BY at, id`, store.Nanos(from), store.Nanos(to))
	if err != nil {
		return nil, storeError(err, "list markers")
	}
	return markers, nil
}
