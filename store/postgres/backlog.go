package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/store"
)

// Defer puts a trace at the end of the backlog. A trace that waits already is replaced and keeps its place. A trace without
// an id or spans is CodeInvalid; a full backlog is CodeFull.
func (s *Store) Defer(ctx context.Context, d engine.Deferred) error {
	id := d.Trace.ID
	return s.call(ctx, func(ctx context.Context) error {
		body, err := store.EncodeDeferred(d)
		if err != nil {
			return err
		}
		return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return s.enqueue(ctx, tx, id, body) })
	}, "defer trace %s", id)
}

func (s *Store) enqueue(ctx context.Context, tx pgx.Tx, id engine.TraceID, body string) error {
	// One writer at a time: the bound is exact, and the order of the numbers is that of the commits.
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, s.lockName("defer")); err != nil {
		return err
	}
	updated, err := tx.Exec(ctx, `UPDATE deferred SET body = $1 WHERE trace_id = $2`, body, id[:])
	if err != nil || updated.RowsAffected() > 0 {
		return err
	}
	var waiting int
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM deferred`).Scan(&waiting); err != nil {
		return err
	}
	if waiting >= s.cfg.MaxDeferred {
		return engine.Errorf(engine.CodeFull, "%d traces wait, of at most %d", waiting, s.cfg.MaxDeferred)
	}
	_, err = tx.Exec(ctx, `INSERT INTO deferred (trace_id, body) VALUES ($1, $2)`, id[:], body)
	return err
}

// NextDeferred returns up to n waiting traces, in the order in which they were deferred, without removing them.
func (s *Store) NextDeferred(ctx context.Context, n int) (waiting []engine.Deferred, err error) {
	err = s.call(ctx, func(ctx context.Context) error {
		if n < 0 {
			return engine.Errorf(engine.CodeInvalid, "%d traces: want 0 or more", n)
		}
		waiting, err = query(ctx, s, store.ReadDeferred, `SELECT body FROM deferred ORDER BY seq LIMIT $1`, n)
		return err
	}, "next deferred")
	return waiting, err
}

// FinishDeferred takes the traces off the backlog; ids that do not wait are ignored.
func (s *Store) FinishDeferred(ctx context.Context, ids []engine.TraceID) error {
	return s.call(ctx, func(ctx context.Context) error {
		raw := make([][]byte, len(ids))
		for i := range ids {
			raw[i] = ids[i][:]
		}
		_, err := s.pool.Exec(ctx, `DELETE FROM deferred WHERE trace_id = ANY($1)`, raw)
		return err
	}, "finish %d deferred traces", len(ids))
}
