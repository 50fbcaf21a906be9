package sqlite

import (
	"context"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/store"
)

// SaveSnapshot keeps data under name in place of what was there. Data above the configured size is CodeTooLarge.
func (s *Store) SaveSnapshot(ctx context.Context, name string, at time.Time, data []byte) error {
	if err := store.RequireID("snapshot", name); err != nil {
		return storeError(err, "save snapshot")
	}
	if len(data) > s.cfg.MaxSnapshotBytes {
		err := engine.Errorf(engine.CodeTooLarge, "%d bytes, of at most %d", len(data), s.cfg.MaxSnapshotBytes)
		return storeError(err, "save snapshot %s", name)
	}
	if data == nil {
		data = []byte{} // nil would be stored as NULL
	}
	if _, err := s.write.ExecContext(ctx, `
		INSERT INTO snapshots (name, at, data) VALUES (?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET at = excluded.at, data = excluded.data`, name, store.Nanos(at), data); err != nil {
		return storeError(err, "save snapshot %s", name)
	}
	return nil
}

// LoadSnapshot returns the latest data under name and when it was taken, or CodeNotFound.
func (s *Store) LoadSnapshot(ctx context.Context, name string) (data []byte, at time.Time, err error) {
	var taken int64
	err = s.read.QueryRowContext(ctx, `SELECT at, data FROM snapshots WHERE name = ?`, store.Text(name)).Scan(&taken, &data)
	if err != nil {
		return nil, time.Time{}, storeError(err, "load snapshot %s", name)
	}
	return data, store.Time(taken), nil
}
