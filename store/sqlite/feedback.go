package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/store"
)

// AddFeedback keeps a person's word. Feedback with a known id changes nothing, so that a repeated call does no harm.
// It is CodeInvalid without an id, without a subject, or with a verdict that does not exist.
func (s *Store) AddFeedback(ctx context.Context, f engine.Feedback) error {
	row, err := store.NewFeedbackRow(f)
	if err != nil {
		return storeError(err, "add feedback")
	}
	if _, err := s.write.ExecContext(ctx, `
		INSERT INTO feedback (id, at, incident_id, body) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
		row.ID, row.At, row.IncidentID, row.Body); err != nil {
		return storeError(err, "add feedback %s", f.ID)
	}
	return nil
}

// Feedback returns a page, newest first, of the feedback on one incident, or of all when incidentID is "". The limit is 1 to
// 1000, 0 meaning 100; a cursor or limit that is not valid is CodeInvalid.
func (s *Store) Feedback(ctx context.Context, incidentID, cursor string, limit int) (engine.Page[engine.Feedback], error) {
	l, err := store.ListFeedback(incidentID, cursor, limit)
	if err != nil {
		return engine.Page[engine.Feedback]{}, storeError(err, "list feedback")
	}
	page, err := readPage(ctx, s.read, l)
	if err != nil {
		return engine.Page[engine.Feedback]{}, storeError(err, "list feedback")
	}
	return page, nil
}

// UndoFeedback marks feedback as taken back and returns it; what was taken back before stays as it is. CodeNotFound when there is none.
func (s *Store) UndoFeedback(ctx context.Context, id string, at time.Time, by string) (f engine.Feedback, err error) {
	err = s.transact(ctx, func(tx *sql.Tx) error {
		var body []byte
		if err := tx.QueryRowContext(ctx, `SELECT body FROM feedback WHERE id = ?`, store.Text(id)).Scan(&body); err != nil {
			return err
		}
		var row store.FeedbackRow
		if f, row, err = store.UndoFeedback(body, at, by); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE feedback SET body = ? WHERE id = ?`, row.Body, row.ID)
		return err
	})
	if err != nil {
		return engine.Feedback{}, storeError(err, "feedback %.64q", id)
	}
	return f, nil
}
