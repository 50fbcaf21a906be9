package postgres

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/store"
)

// Prune deletes, in one transaction, incidents resolved before the given time, and anomalies, feedback, markers, memos of
// receivers and alerts from before it; incidents that are not resolved and alerts that somebody is still to get stay. It
// returns how many records it deleted: 0 at once while another instance prunes.
func (s *Store) Prune(ctx context.Context, before time.Time) (deleted int, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var alone bool
		if err := tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))`,
			s.lockName("prune")).Scan(&alone); err != nil || !alone {
			return err
		}
		deleted, err = deleteBefore(ctx, tx, store.Nanos(before))
		return err
	})
	if err != nil {
		return 0, storeError(err, "prune before %s", before.UTC().Format(time.RFC3339))
	}
	return deleted, nil
}

func deleteBefore(ctx context.Context, tx pgx.Tx, cut int64) (int, error) {
	total := 0
	for _, statement := range []string{
		`DELETE FROM incidents WHERE status = '` + string(engine.StatusResolved) + `' AND resolved_at < $1`,
		`DELETE FROM anomalies WHERE at < $1`,
		`DELETE FROM feedback WHERE at < $1`,
		`DELETE FROM markers WHERE at < $1`,
		`DELETE FROM alerts WHERE at < $1 AND ` + store.ClosedAlerts,
		`DELETE FROM receiver_memos WHERE at < $1 OR at < (
			SELECT at FROM receiver_memos ORDER BY at DESC LIMIT 1 OFFSET ` + strconv.Itoa(store.MaxReceiverMemos-1) + `)`,
	} {
		done, err := tx.Exec(ctx, statement, cut)
		if err != nil {
			return 0, err
		}
		total += int(done.RowsAffected())
	}
	return total, nil
}
