package postgres

import (
	"context"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/store"
)

// LoggedEvents returns the events in the order of their numbers.
func (s *Store) LoggedEvents(ctx context.Context) (events []engine.LoggedEvent, err error) {
	err = s.call(ctx, func(ctx context.Context) error {
		events, err = query(ctx, s, store.ReadAll[engine.LoggedEvent], `SELECT body FROM logged_events ORDER BY number`)
		return err
	}, "logged events")
	return events, err
}

// ForgetEvents deletes those with a number up to last.
func (s *Store) ForgetEvents(ctx context.Context, last int64) error {
	return s.call(ctx, func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, `DELETE FROM logged_events WHERE number <= $1`, last)
		return err
	}, "forget events up to %d", last)
}
