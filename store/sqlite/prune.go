package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/store"
)

// Prune deletes, in one transaction, incidents resolved before the given time, and anomalies, feedback, markers, memos of
// receivers and alerts from before it; incidents that are not resolved and alerts that somebody is still to get stay. While the file is above MaxBytes it then goes on, oldest first. It
// gives the space back to the file system and returns how many records it deleted.
func (s *Store) Prune(ctx context.Context, before time.Time) (int, error) {
	cut := store.Nanos(before)
	deleted, err := s.pruneBefore(ctx, cut)
	if err != nil {
		return 0, storeError(err, "prune before %s", before.UTC().Format(time.RFC3339))
	}
	if err := s.vacuum(ctx); err != nil {
		return deleted, storeError(err, "prune: give space back")
	}
	more, err := s.pruneToSize(ctx)
	deleted += more
	if err != nil {
		return deleted, storeError(err, "prune to %d bytes", s.cfg.MaxBytes)
	}
	return deleted, nil
}

func (s *Store) pruneBefore(ctx context.Context, cut int64) (int, error) {
	total := 0
	err := s.transact(ctx, func(tx *sql.Tx) error {
		for _, statement := range []string{
			`DELETE FROM incidents WHERE status = '` + string(engine.StatusResolved) + `' AND resolved_at < ?`,
			`DELETE FROM anomalies WHERE at < ?`,
			`DELETE FROM feedback WHERE at < ?`,
			`DELETE FROM markers WHERE at < ?`,
			`DELETE FROM alerts WHERE at < ? AND ` + store.ClosedAlerts,
			`DELETE FROM receiver_memos WHERE at < ? OR at < (
				SELECT at FROM receiver_memos ORDER BY at DESC LIMIT 1 OFFSET ` + fmt.Sprint(store.MaxReceiverMemos-1) + `)`,
		} {
			result, err := tx.ExecContext(ctx, statement, cut)
			if err != nil {
				return err
			}
			n, err := result.RowsAffected()
			if err != nil {
				return err
			}
			total += int(n)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return total, nil
}

func (s *Store) pruneToSize(ctx context.Context) (int, error) {
	total := 0
	for s.cfg.MaxBytes > 0 {
		size, err := s.size(ctx)
		if err != nil || size <= s.cfg.MaxBytes {
			return total, err
		}
		cut, err := s.nextCut(ctx)
		if err != nil {
			return total, err
		}
		n, err := s.pruneBefore(ctx, cut)
		if err != nil {
			return total, err
		}
		if n == 0 { // what remains may not be deleted: incidents that are not resolved, open deliveries, snapshots, keys, the backlog
			s.log.WarnContext(ctx, "file stays above its bound", "bytes", size, "max_bytes", s.cfg.MaxBytes)
			return total, nil
		}
		total += n
		if err := s.vacuum(ctx); err != nil {
			return total, err
		}
	}
	return total, nil
}

// nextCut is the time just behind the oldest tenth of what may be deleted, and before everything when nothing may.
func (s *Store) nextCut(ctx context.Context) (int64, error) {
	var cut int64
	err := s.write.QueryRowContext(ctx, `
		WITH prunable AS (
			SELECT at FROM anomalies
			UNION ALL SELECT resolved_at FROM incidents WHERE status = '`+string(engine.StatusResolved)+`'
			UNION ALL SELECT at FROM feedback
			UNION ALL SELECT at FROM markers
			UNION ALL SELECT at FROM alerts WHERE `+store.ClosedAlerts+`
			UNION ALL SELECT at FROM receiver_memos)
		SELECT at FROM prunable ORDER BY at LIMIT 1 OFFSET (SELECT count(*) / 10 FROM prunable)`).Scan(&cut)
	if errors.Is(err, sql.ErrNoRows) {
		return math.MinInt64, nil
	}
	return min(cut, math.MaxInt64-1) + 1, err
}

// size is the size of the database file once the write-ahead log is in it.
func (s *Store) size(ctx context.Context) (int64, error) {
	var pages, pageSize int64
	if err := s.write.QueryRowContext(ctx, `PRAGMA page_count`).Scan(&pages); err != nil {
		return 0, err
	}
	if err := s.write.QueryRowContext(ctx, `PRAGMA page_size`).Scan(&pageSize); err != nil {
		return 0, err
	}
	return pages * pageSize, nil
}

// vacuum gives the free pages back. The statement frees a page at each step, so its rows are read to the end.
func (s *Store) vacuum(ctx context.Context) error {
	rows, err := s.write.QueryContext(ctx, `PRAGMA incremental_vacuum`)
	if err != nil {
		return err
	}
	for rows.Next() {
	}
	return errors.Join(rows.Err(), rows.Close())
}
