package postgres

import (
	"context"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/store"
)

// ShelveSeries puts states in place of older ones under their ids, all or none.
func (s *Store) ShelveSeries(ctx context.Context, rows []engine.ShelvedSeries) error {
	return s.call(ctx, func(ctx context.Context) error {
		ids, generations, states := make([][]byte, len(rows)), make([]int64, len(rows)), make([][]byte, len(rows))
		for i := range rows {
			ids[i], generations[i], states[i] = rows[i].ID[:], rows[i].Generation, store.Blob(rows[i].State)
		}
		_, err := s.pool.Exec(ctx, `
			INSERT INTO shelved_series (id, generation, state)
			SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bytea[])
			ON CONFLICT (id) DO UPDATE SET generation = excluded.generation, state = excluded.state
			WHERE excluded.generation >= shelved_series.generation`, ids, generations, states)
		return err
	}, "shelve %d series", len(rows))
}

// ShelvedSeries returns the rows that there are under the ids, in any order.
func (s *Store) ShelvedSeries(ctx context.Context, ids []engine.ShelfID) (out []engine.ShelvedSeries, err error) {
	err = s.call(ctx, func(ctx context.Context) error {
		raw := make([][]byte, len(ids))
		for i := range ids {
			raw[i] = ids[i][:]
		}
		out, err = query(ctx, s, store.ReadShelved, `SELECT id, generation, state FROM shelved_series WHERE id = ANY($1)`, raw)
		return err
	}, "shelved series")
	return out, err
}

// NewestSeries calls each with up to n rows, those of the latest generations, the oldest of them first. It reads for as long as ctx
// lasts.
func (s *Store) NewestSeries(ctx context.Context, n int, each func(engine.ShelvedSeries) error) error {
	rows, err := s.pool.Query(ctx, `
		SELECT id, generation, state FROM shelved_series ORDER BY generation
		OFFSET greatest(0, (SELECT count(*) FROM shelved_series) - $1)`, max(n, 0))
	if err != nil {
		return storeError(err, "newest series")
	}
	defer rows.Close()
	if err := store.EachShelved(rows, each); err != nil {
		return storeError(err, "newest series")
	}
	if err := rows.Err(); err != nil {
		return storeError(err, "newest series")
	}
	return nil
}

// TrimSeries keeps up to n rows, those of the latest generations, and returns how many it deleted.
func (s *Store) TrimSeries(ctx context.Context, n int) (deleted int, err error) {
	err = s.call(ctx, func(ctx context.Context) error {
		done, err := s.pool.Exec(ctx, `
			DELETE FROM shelved_series WHERE id IN (
				SELECT id FROM shelved_series ORDER BY generation LIMIT greatest(0, (SELECT count(*) FROM shelved_series) - $1))`, max(n, 0))
		deleted = int(done.RowsAffected())
		return err
	}, "trim series to %d", n)
	return deleted, err
}
