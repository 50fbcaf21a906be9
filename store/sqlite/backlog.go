package sqlite

import (
	"context"
	"database/sql"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/store"
)

// Defer puts a trace at the end of the backlog. A trace that waits already is replaced and keeps its place. A trace without
// an id or spans is CodeInvalid; a full backlog is CodeFull.
func (s *Store) Defer(ctx context.Context, d engine.Deferred) error {
	id := d.Trace.ID
	body, err := store.EncodeDeferred(d)
	if err != nil {
		return storeError(err, "defer trace %s", id)
	}
	err = s.transact(ctx, func(tx *sql.Tx) error {
		updated, err := tx.ExecContext(ctx, `UPDATE deferred SET body = ? WHERE trace_id = ?`, body, id[:])
		if err != nil {
			return err
		}
		if n, err := updated.RowsAffected(); err != nil || n > 0 {
			return err
		}
		var waiting int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM deferred`).Scan(&waiting); err != nil {
			return err
		}
		if waiting >= s.cfg.MaxDeferred {
			return engine.Errorf(engine.CodeFull, "%d traces wait, of at most %d", waiting, s.cfg.MaxDeferred)
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO deferred (trace_id, body) VALUES (?, ?)`, id[:], body)
		return err
	})
	if err != nil {
		return storeError(err, "defer trace %s", id)
	}
	return nil
}

// NextDeferred returns up to n waiting traces, in the order in which they were deferred, without removing them.
func (s *Store) NextDeferred(ctx context.Context, n int) ([]engine.Deferred, error) {
	if n < 0 {
		return nil, storeError(engine.Errorf(engine.CodeInvalid, "%d traces: want 0 or more", n), "next deferred")
	}
	waiting, err := query(ctx, s.read, store.ReadDeferred, `SELECT body FROM deferred ORDER BY seq LIMIT ?`, n)
	if err != nil {
		return nil, storeError(err, "next deferred")
	}
	return waiting, nil
}

// FinishDeferred takes the traces off the backlog; ids that do not wait are ignored.
func (s *Store) FinishDeferred(ctx context.Context, ids []engine.TraceID) error {
	err := s.transact(ctx, func(tx *sql.Tx) error {
		for _, id := range ids {
			if _, err := tx.ExecContext(ctx, `DELETE FROM deferred WHERE trace_id = ?`, id[:]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return storeError(err, "finish %d deferred traces", len(ids))
	}
	return nil
}
