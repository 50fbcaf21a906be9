package sqlite

import (
	"context"
	"database/sql"
	"strings"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/store"
)

// ShelveSeries puts states in place of older ones under their ids, all or none.
func (s *Store) ShelveSeries(ctx context.Context, rows []engine.ShelvedSeries) error {
	err := s.transact(ctx, func(tx *sql.Tx) error {
		put, err := tx.PrepareContext(ctx, `
			INSERT INTO shelved_series (id, generation, state) VALUES (?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET generation = excluded.generation, state = excluded.state
			WHERE excluded.generation >= generation`)
		if err != nil {
			return err
		}
		defer put.Close()
		for _, row := range rows {
			if _, err := put.ExecContext(ctx, row.ID[:], row.Generation, store.Blob(row.State)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return storeError(err, "shelve %d series", len(rows))
	}
	return nil
}

// ShelvedSeries returns the rows that there are under the ids, in any order.
func (s *Store) ShelvedSeries(ctx context.Context, ids []engine.ShelfID) ([]engine.ShelvedSeries, error) {
	var out []engine.ShelvedSeries
	for len(ids) > 0 {
		some := ids[:min(len(ids), maxVariables)]
		ids = ids[len(some):]
		args := make([]any, len(some))
		for i := range some {
			args[i] = some[i][:]
		}
		rows, err := query(ctx, s.read, store.ReadShelved, `
			SELECT id, generation, state FROM shelved_series WHERE id IN (?`+strings.Repeat(", ?", len(some)-1)+`)`, args...)
		if err != nil {
			return nil, storeError(err, "shelved series")
		}
		out = append(out, rows...)
	}
	return out, nil
}

// maxVariables is how many ids one statement names.
const maxVariables = 500

// NewestSeries calls each with up to n rows, those of the latest generations, the oldest of them first.
func (s *Store) NewestSeries(ctx context.Context, n int, each func(engine.ShelvedSeries) error) error {
	rows, err := s.read.QueryContext(ctx, `
		SELECT id, generation, state FROM shelved_series ORDER BY generation
		LIMIT -1 OFFSET max(0, (SELECT count(*) FROM shelved_series) - ?)`, max(n, 0))
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
func (s *Store) TrimSeries(ctx context.Context, n int) (int, error) {
	result, err := s.write.ExecContext(ctx, `
		DELETE FROM shelved_series WHERE rowid IN (
			SELECT rowid FROM shelved_series ORDER BY generation LIMIT max(0, (SELECT count(*) FROM shelved_series) - ?))`, max(n, 0))
	if err != nil {
		return 0, storeError(err, "trim series to %d", n)
	}
	deleted, err := result.RowsAffected()
	if err != nil {
		return 0, storeError(err, "trim series to %d", n)
	}
	return int(deleted), nil
}
