package postgres

import (
	"context"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/store"
)

// SaveSnapshot keeps data under name in place of what was there. Data above the configured size is CodeTooLarge.
func (s *Store) SaveSnapshot(ctx context.Context, name string, at time.Time, data []byte) error {
	return s.call(ctx, func(ctx context.Context) error {
		if err := store.RequireID("snapshot", name); err != nil {
			return err
		}
		if len(data) > s.cfg.MaxSnapshotBytes {
			return engine.Errorf(engine.CodeTooLarge, "%d bytes, of at most %d", len(data), s.cfg.MaxSnapshotBytes)
		}
		if data == nil {
			data = []byte{} // nil would be stored as NULL
		}
		_, err := s.pool.Exec(ctx, `
			INSERT INTO snapshots (name, at, data) VALUES ($1, $2, $3)
			ON CONFLICT (name) DO UPDATE SET at = excluded.at, data = excluded.data`, name, store.Nanos(at), data)
		return err
	}, "save snapshot %.64q", name)
}

// LoadSnapshot returns the latest data under name and when it was taken, or CodeNotFound.
func (s *Store) LoadSnapshot(ctx context.Context, name string) (data []byte, at time.Time, err error) {
	err = s.call(ctx, func(ctx context.Context) error {
		var taken int64
		err := s.pool.QueryRow(ctx, `SELECT at, data FROM snapshots WHERE name = $1`, store.Text(name)).Scan(&taken, &data)
		if err == nil {
			at = store.Time(taken)
		}
		return err
	}, "snapshot %.64q", name)
	return data, at, err
}
