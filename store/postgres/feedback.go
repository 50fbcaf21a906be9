package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/store"
)

// AddFeedback keeps a person's word. Feedback with a known id changes nothing, so that a repeated call does no harm.
// It is CodeInvalid without an id, without a subject, or with a verdict that does not exist.
func (s *Store) AddFeedback(ctx context.Context, f engine.Feedback) error {
	return s.call(ctx, func(ctx context.Context) error {
		row, err := store.NewFeedbackRow(f)
		if err != nil {
			return err
		}
		_, err = s.pool.Exec(ctx, `
			INSERT INTO feedback (id, at, incident_id, body) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING`,
			row.ID, row.At, row.IncidentID, row.Body)
		return err
	}, "add feedback %.64q", f.ID)
}

// Feedback returns a page, newest first, of the feedback on one incident, or of all when incidentID is "". The limit is 1 to
// 1000, 0 meaning 100; a cursor or limit that is not valid is CodeInvalid.
func (s *Store) Feedback(ctx context.Context, incidentID, cursor string, limit int) (page engine.Page[engine.Feedback], err error) {
	err = s.call(ctx, func(ctx context.Context) error {
		l, err := store.ListFeedback(incidentID, cursor, limit)
		if err != nil {
			return err
		}
		page, err = readPage(ctx, s, l)
		return err
	}, "list feedback")
	return page, err
}

// UndoFeedback marks feedback as taken back and returns it; what was taken back before stays as it is. CodeNotFound when there is none.
func (s *Store) UndoFeedback(ctx context.Context, id string, at time.Time, by string) (f engine.Feedback, err error) {
	err = s.call(ctx, func(ctx context.Context) error {
		return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			var body []byte
			if err := tx.QueryRow(ctx, `SELECT body FROM feedback WHERE id = $1 FOR UPDATE`, store.Text(id)).Scan(&body); err != nil {
				return err
			}
			var row store.FeedbackRow
			var err error
			if f, row, err = store.UndoFeedback(body, at, by); err != nil {
				return err
			}
			_, err = tx.Exec(ctx, `UPDATE feedback SET body = $1 WHERE id = $2`, row.Body, row.ID)
			return err
		})
	}, "feedback %.64q", id)
	if err != nil {
		return engine.Feedback{}, err
	}
	return f, nil
}
