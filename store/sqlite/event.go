package sqlite

import (
	"context"
	"database/sql"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/store"
)

func saveEvents(ctx context.Context, tx *sql.Tx, events []store.EventRow) error {
	if len(events) == 0 {
		return nil
	}
	insert, err := tx.PrepareContext(ctx, `INSERT INTO logged_events (number, body) VALUES (?, ?) ON CONFLICT (number) DO NOTHING`)
	if err != nil {
		return err
	}
	defer insert.Close()
	for _, e := range events {
		if _, err := insert.ExecContext(ctx, e.Number, e.Body); err != nil {
			return storeError(err, "event %d", e.Number)
		}
	}
	return nil
}

// LoggedEvents returns the events in the order of their numbers.
func (s *Store) LoggedEvents(ctx context.Context) ([]engine.LoggedEvent, error) {
	events, err := query(ctx, s.read, store.ReadAll[engine.LoggedEvent], `SELECT body FROM logged_events ORDER BY number`)
	if err != nil {
		return nil, storeError(err, "logged events")
	}
	return events, nil
}

// ForgetEvents deletes those with a number up to last.
func (s *Store) ForgetEvents(ctx context.Context, last int64) error {
	if _, err := s.write.ExecContext(ctx, `DELETE FROM logged_events WHERE number <= ?`, last); err != nil {
		return storeError(err, "forget events up to %d", last)
	}
	return nil
}
