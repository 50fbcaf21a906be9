package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/store"
)

// Unrouted returns up to n alerts whose receivers are not decided yet, in the order in which they were committed.
func (s *Store) Unrouted(ctx context.Context, n int) (alerts []engine.Alert, err error) {
	err = s.call(ctx, func(ctx context.Context) error {
		if n < 0 {
			return engine.Errorf(engine.CodeInvalid, "%d alerts: want 0 or more", n)
		}
		alerts, err = query(ctx, s, store.ReadAll[engine.Alert], `SELECT body FROM alerts WHERE NOT routed ORDER BY seq LIMIT $1`, n)
		return err
	}, "unrouted alerts")
	return alerts, err
}

// Route decides who gets an alert. One that is routed already stays as it is; an unknown one is CodeNotFound, a delivery
// without a receiver or in an unknown state CodeInvalid.
func (s *Store) Route(ctx context.Context, alertID string, to []engine.Delivery) error {
	return s.call(ctx, func(ctx context.Context) error {
		rows, err := store.DeliveryRows(alertID, to)
		if err != nil {
			return err
		}
		return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return s.route(ctx, tx, alertID, rows) })
	}, "route alert %.64q", alertID)
}

func (s *Store) route(ctx context.Context, tx pgx.Tx, alertID string, rows []store.DeliveryRow) error {
	var seq int64
	var routed bool
	err := tx.QueryRow(ctx, `SELECT seq, routed FROM alerts WHERE id = $1 FOR UPDATE`, store.Text(alertID)).Scan(&seq, &routed)
	if err != nil || routed {
		return err
	}
	if _, err := tx.Exec(ctx, `UPDATE alerts SET routed = true WHERE seq = $1`, seq); err != nil {
		return err
	}
	for _, d := range rows {
		if _, err := tx.Exec(ctx, `
			INSERT INTO deliveries (id, alert, receiver, state, attempts, next, changed, error)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO NOTHING`,
			d.ID, seq, d.Receiver, d.State, d.Attempts, d.Next, d.Changed, d.Error); err != nil {
			return err
		}
	}
	return s.dropDead(ctx, tx)
}

// Due returns up to n waiting deliveries with Next <= now, earliest first, and those of one time in the order of their
// alerts. Instances that ask at the same time are given the same ones.
func (s *Store) Due(ctx context.Context, now time.Time, n int) (due []engine.Delivery, err error) {
	err = s.call(ctx, func(ctx context.Context) error {
		if n < 0 {
			return engine.Errorf(engine.CodeInvalid, "%d deliveries: want 0 or more", n)
		}
		due, err = query(ctx, s, store.ReadDeliveries, numbered(store.DueDeliveries), store.Nanos(now), n)
		return err
	}, "due deliveries")
	return due, err
}

// SaveDelivery stores how a delivery stands after an attempt. What was delivered stays so, and what is dead can only turn
// out to be delivered, whoever says what in which order. A delivery that is not there is CodeNotFound.
func (s *Store) SaveDelivery(ctx context.Context, d engine.Delivery) error {
	return s.call(ctx, func(ctx context.Context) error {
		row, err := store.NewDeliveryRow(d.Alert.ID, d)
		if err != nil {
			return err
		}
		return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			var state string
			if err := tx.QueryRow(ctx, `SELECT state FROM deliveries WHERE id = $1 FOR UPDATE`, row.ID).Scan(&state); err != nil {
				return err
			}
			if state == string(engine.DeliveryDelivered) || state == string(engine.DeliveryDead) && d.State != engine.DeliveryDelivered {
				return nil
			}
			if _, err := tx.Exec(ctx, `UPDATE deliveries SET state = $1, attempts = $2, next = $3, changed = $4, error = $5 WHERE id = $6`,
				row.State, row.Attempts, row.Next, row.Changed, row.Error, row.ID); err != nil {
				return err
			}
			return s.dropDead(ctx, tx)
		})
	}, "delivery of alert %.64q to %.64q", d.Alert.ID, d.Receiver)
}

// dropDead forgets the oldest dead deliveries beyond the bound. What another instance is at already is left to it.
func (s *Store) dropDead(ctx context.Context, tx pgx.Tx) error {
	done, err := tx.Exec(ctx, `
		DELETE FROM deliveries WHERE id IN (
			SELECT id FROM deliveries WHERE state = 'dead' ORDER BY changed DESC, id DESC OFFSET $1 FOR UPDATE SKIP LOCKED)`, s.cfg.MaxDead)
	if n := done.RowsAffected(); err == nil && n > 0 {
		s.dropped.Add(uint64(n))
		s.log.WarnContext(ctx, "dead deliveries forgotten", "deliveries", n, "max_dead_deliveries", s.cfg.MaxDead)
	}
	return err
}

// DroppedDeliveries is how many dead deliveries this instance has forgotten for want of room since Open.
func (s *Store) DroppedDeliveries() uint64 { return s.dropped.Load() }

// DeadDeliveries returns a page, latest first. The limit is 1 to 1000, 0 meaning 100; a cursor or limit that is not valid is
// CodeInvalid.
func (s *Store) DeadDeliveries(ctx context.Context, cursor string, limit int) (page engine.Page[engine.Delivery], err error) {
	err = s.call(ctx, func(ctx context.Context) error {
		l, err := store.ListDeadDeliveries(cursor, limit)
		if err != nil {
			return err
		}
		page, err = readPage(ctx, s, l)
		return err
	}, "list dead deliveries")
	return page, err
}

// Redeliver makes a dead delivery wait again from now on, with its attempts forgotten. CodeNotFound when it is not dead.
func (s *Store) Redeliver(ctx context.Context, alertID, receiver string, now time.Time) error {
	return s.call(ctx, func(ctx context.Context) error {
		done, err := s.pool.Exec(ctx, `
			UPDATE deliveries SET state = 'waiting', attempts = 0, next = $1, changed = $1, error = '' WHERE id = $2 AND state = 'dead'`,
			store.Nanos(now), store.DeliveryID(alertID, receiver))
		if err == nil && done.RowsAffected() == 0 {
			return engine.Errorf(engine.CodeNotFound, "no such dead delivery")
		}
		return err
	}, "redeliver alert %.64q to %.64q", alertID, receiver)
}

// CountDeliveries returns how many deliveries are in each state; those that were pruned no longer count.
func (s *Store) CountDeliveries(ctx context.Context) (counts map[engine.DeliveryState]int, err error) {
	err = s.call(ctx, func(ctx context.Context) error {
		counts, err = query(ctx, s, store.CountsOf, `SELECT state, count(*) FROM deliveries GROUP BY state`)
		return err
	}, "count deliveries")
	return counts, err
}

// ReceiverMemo returns what was last saved for a receiver under a key, or CodeNotFound.
func (s *Store) ReceiverMemo(ctx context.Context, receiver, key string) (value string, err error) {
	err = s.call(ctx, func(ctx context.Context) error {
		err := s.pool.QueryRow(ctx, `SELECT value FROM receiver_memos WHERE receiver = $1 AND key = $2`,
			store.Text(receiver), store.Text(key)).Scan(&value)
		if errors.Is(err, pgx.ErrNoRows) {
			return engine.Errorf(engine.CodeNotFound, "no such memo")
		}
		return err
	}, "memo %.64q of receiver %.64q", key, receiver)
	return value, err
}

// SaveReceiverMemo remembers a small fact for a receiver, such as which message stands for an incident, until it has not
// been saved for the retention. A value above 16 KiB is CodeTooLarge.
func (s *Store) SaveReceiverMemo(ctx context.Context, receiver, key, value string) error {
	return s.call(ctx, func(ctx context.Context) error {
		if err := store.ValidateMemo(receiver, key, value); err != nil {
			return err
		}
		_, err := s.pool.Exec(ctx, `
			INSERT INTO receiver_memos (receiver, key, at, value) VALUES ($1, $2, $3, $4)
			ON CONFLICT (receiver, key) DO UPDATE SET at = excluded.at, value = excluded.value`,
			receiver, key, store.Nanos(time.Now()), value)
		return err
	}, "save memo %.64q of receiver %.64q", key, receiver)
}
