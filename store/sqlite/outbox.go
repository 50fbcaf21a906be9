package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/store"
)

// Unrouted returns up to n alerts whose receivers are not decided yet, in the order in which they were committed.
func (s *Store) Unrouted(ctx context.Context, n int) ([]engine.Alert, error) {
	if n < 0 {
		return nil, storeError(engine.Errorf(engine.CodeInvalid, "%d alerts: want 0 or more", n), "unrouted alerts")
	}
	alerts, err := query(ctx, s.read, store.ReadAll[engine.Alert], `SELECT body FROM alerts WHERE NOT routed ORDER BY seq LIMIT ?`, n)
	if err != nil {
		return nil, storeError(err, "unrouted alerts")
	}
	return alerts, nil
}

// Route decides who gets an alert. One that is routed already stays as it is; an unknown one is CodeNotFound, a delivery
// without a receiver or in an unknown state CodeInvalid.
func (s *Store) Route(ctx context.Context, alertID string, to []engine.Delivery) error {
	rows, err := store.DeliveryRows(alertID, to)
	if err == nil {
		err = s.transact(ctx, func(tx *sql.Tx) error {
			var seq int64
			var routed bool
			err := tx.QueryRowContext(ctx, `SELECT seq, routed FROM alerts WHERE id = ?`, store.Text(alertID)).Scan(&seq, &routed)
			if err != nil || routed {
				return err
			}
			if _, err := tx.ExecContext(ctx, `UPDATE alerts SET routed = 1 WHERE seq = ?`, seq); err != nil {
				return err
			}
			for _, d := range rows {
				if _, err := tx.ExecContext(ctx, `
					INSERT INTO deliveries (id, alert, receiver, state, attempts, next, changed, error)
					VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
					d.ID, seq, d.Receiver, d.State, d.Attempts, d.Next, d.Changed, d.Error); err != nil {
					return err
				}
			}
			return s.dropDead(ctx, tx)
		})
	}
	if err != nil {
		return storeError(err, "route alert %.64q", alertID)
	}
	return nil
}

// Due returns up to n waiting deliveries with Next <= now, earliest first, and those of one time in the order of their
// alerts.
func (s *Store) Due(ctx context.Context, now time.Time, n int) ([]engine.Delivery, error) {
	if n < 0 {
		return nil, storeError(engine.Errorf(engine.CodeInvalid, "%d deliveries: want 0 or more", n), "due deliveries")
	}
	due, err := query(ctx, s.read, store.ReadDeliveries, store.DueDeliveries, store.Nanos(now), n)
	if err != nil {
		return nil, storeError(err, "due deliveries")
	}
	return due, nil
}

// SaveDelivery stores how a delivery stands after an attempt. What was delivered stays so, and what is dead can only turn
// out to be delivered, whoever says what in which order. A delivery that is not there is CodeNotFound.
func (s *Store) SaveDelivery(ctx context.Context, d engine.Delivery) error {
	row, err := store.NewDeliveryRow(d.Alert.ID, d)
	if err == nil {
		err = s.transact(ctx, func(tx *sql.Tx) error {
			var state string
			if err := tx.QueryRowContext(ctx, `SELECT state FROM deliveries WHERE id = ?`, row.ID).Scan(&state); err != nil {
				return err
			}
			if state == string(engine.DeliveryDelivered) || state == string(engine.DeliveryDead) && d.State != engine.DeliveryDelivered {
				return nil
			}
			if _, err := tx.ExecContext(ctx, `UPDATE deliveries SET state = ?, attempts = ?, next = ?, changed = ?, error = ? WHERE id = ?`,
				row.State, row.Attempts, row.Next, row.Changed, row.Error, row.ID); err != nil {
				return err
			}
			return s.dropDead(ctx, tx)
		})
	}
	if err != nil {
		return storeError(err, "delivery of alert %.64q to %.64q", d.Alert.ID, d.Receiver)
	}
	return nil
}

// dropDead forgets the oldest dead deliveries beyond the bound.
func (s *Store) dropDead(ctx context.Context, tx *sql.Tx) error {
	result, err := tx.ExecContext(ctx, `
		DELETE FROM deliveries WHERE id IN (
			SELECT id FROM deliveries WHERE state = 'dead' ORDER BY changed DESC, id DESC LIMIT -1 OFFSET ?)`, s.cfg.MaxDead)
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if n > 0 {
		s.dropped.Add(uint64(n))
		s.log.WarnContext(ctx, "dead deliveries forgotten", "deliveries", n, "max_dead_deliveries", s.cfg.MaxDead)
	}
	return err
}

// DroppedDeliveries is how many dead deliveries were forgotten for want of room since Open.
func (s *Store) DroppedDeliveries() uint64 { return s.dropped.Load() }

// DeadDeliveries returns a page, latest first. The limit is 1 to 1000, 0 meaning 100; a cursor or limit that is not valid is
// CodeInvalid.
func (s *Store) DeadDeliveries(ctx context.Context, cursor string, limit int) (engine.Page[engine.Delivery], error) {
	l, err := store.ListDeadDeliveries(cursor, limit)
	if err != nil {
		return engine.Page[engine.Delivery]{}, storeError(err, "list dead deliveries")
	}
	page, err := readPage(ctx, s.read, l)
	if err != nil {
		return engine.Page[engine.Delivery]{}, storeError(err, "list dead deliveries")
	}
	return page, nil
}

// Redeliver makes a dead delivery wait again from now on, with its attempts forgotten. CodeNotFound when it is not dead.
func (s *Store) Redeliver(ctx context.Context, alertID, receiver string, now time.Time) error {
	result, err := s.write.ExecContext(ctx, `
		UPDATE deliveries SET state = 'waiting', attempts = 0, next = ?, changed = ?, error = '' WHERE id = ? AND state = 'dead'`,
		store.Nanos(now), store.Nanos(now), store.DeliveryID(alertID, receiver))
	if err == nil {
		var n int64
		if n, err = result.RowsAffected(); err == nil && n == 0 {
			err = engine.Errorf(engine.CodeNotFound, "no such dead delivery")
		}
	}
	if err != nil {
		return storeError(err, "redeliver alert %.64q to %.64q", alertID, receiver)
	}
	return nil
}

// CountDeliveries returns how many deliveries are in each state; those that were pruned no longer count.
func (s *Store) CountDeliveries(ctx context.Context) (map[engine.DeliveryState]int, error) {
	counts, err := query(ctx, s.read, store.CountsOf, `SELECT state, count(*) FROM deliveries GROUP BY state`)
	if err != nil {
		return nil, storeError(err, "count deliveries")
	}
	return counts, nil
}

// ReceiverMemo returns what was last saved for a receiver under a key, or CodeNotFound.
func (s *Store) ReceiverMemo(ctx context.Context, receiver, key string) (string, error) {
	var value string
	err := s.read.QueryRowContext(ctx, `SELECT value FROM receiver_memos WHERE receiver = ? AND key = ?`,
		store.Text(receiver), store.Text(key)).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", engine.Errorf(engine.CodeNotFound, "no memo %.64q of receiver %.64q", key, receiver)
	}
	if err != nil {
		return "", storeError(err, "memo %.64q of receiver %.64q", key, receiver)
	}
	return value, nil
}

// SaveReceiverMemo remembers a small fact for a receiver, such as which message stands for an incident, until it has not
// been saved for the retention. A value above 16 KiB is CodeTooLarge.
func (s *Store) SaveReceiverMemo(ctx context.Context, receiver, key, value string) error {
	err := store.ValidateMemo(receiver, key, value)
	if err == nil {
		_, err = s.write.ExecContext(ctx, `
			INSERT INTO receiver_memos (receiver, key, at, value) VALUES (?, ?, ?, ?)
			ON CONFLICT (receiver, key) DO UPDATE SET at = excluded.at, value = excluded.value`,
			receiver, key, store.Nanos(time.Now()), value)
	}
	if err != nil {
		return storeError(err, "save memo %.64q of receiver %.64q", key, receiver)
	}
	return nil
}
