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

// AddMarkers keeps the markers, all or none. A marker with a known id changes nothing; one without an id is CodeInvalid.
func (s *Store) AddMarkers(ctx context.Context, markers []engine.ChangeMarker) error {
	return s.call(ctx, func(ctx context.Context) error {
		rows, err := store.MarkerRows(markers)
		if err != nil {
			return err
		}
		slices.SortStableFunc(rows, func(a, b store.MarkerRow) int { return cmp.Compare(a.ID, b.ID) }) // as in Record
		statements := &pgx.Batch{}
		for _, m := range rows {
			statements.Queue(`INSERT INTO markers (id, at, body) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING`, m.ID, m.At, m.Body)
		}
		return s.send(ctx, statements)
	}, "add %d markers", len(markers))
}

// Markers returns those with from <= At < to, oldest first.
func (s *Store) Markers(ctx context.Context, from, to time.Time) (markers []engine.ChangeMarker, err error) {
	err = s.call(ctx, func(ctx context.Context) error {
		markers, err = query(ctx, s, store.ReadAll[engine.ChangeMarker],
			`SELECT body FROM markers WHERE at >= $1 AND at < $2 ORDER BY at, id`, store.Nanos(from), store.Nanos(to))
		return err
	}, "list markers")
	return markers, err
}
