package sqlite

import (
	"context"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// AddFeedback keeps a person's word. Feedback with a known id changes nothing, so that a repeated call does no harm.
// It is CodeInvalid without an id, without a subject, or with a verdict that does not exist.
func (s *Store) AddFeedback(ctx context.Context, f engine.Feedback) error {
	if err := requireID("feedback", f.ID); err != nil {
		return storeError(err, "add feedback")
	}
	if f.AnomalyID == "" && f.Incident == "" {
		return storeError(engine.Errorf(engine.CodeInvalid, "want an anomaly or an incident"), "add feedback %s", f.ID)
	}
	if f.Verdict != "true_positive" && f.Verdict != "false_positive" {
		return storeError(engine.Errorf(engine.CodeInvalid, "verdict %.64q: want true_positive or false_positive", f.Verdict),
			"add feedback %s", f.ID)
	}
	f.At = f.At.UTC()
	body, err := encode(f)
	if err != nil {
		return storeError(err, "add feedback %s", f.ID)
	}
	if _, err := s.write.ExecContext(ctx, `
		INSERT INTO feedback (id, at, incident_id, body) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
		f.ID, nanos(f.At), f.Incident, body); err != nil {
		return storeError(err, "add feedback %s", f.ID)
	}
	return nil
}

// Feedback returns a page, newest first, of the feedback on one incident, or of all when incidentID is "". The limit is 1 to
// 1000, 0 meaning 100; a cursor or limit that is not valid is CodeInvalid.
func (s *Store) Feedback(ctx context.Context, incidentID, cursor string, limit int) (engine.Page[engine.Feedback], error) {
	l := listing{table: "feedback", time: "at"}
	if incidentID != "" {
		l.filter("incident_id = ?", incidentID)
	}
	page, err := readPage[engine.Feedback](ctx, s.read, l, cursor, limit)
	if err != nil {
		return engine.Page[engine.Feedback]{}, storeError(err, "list feedback")
	}
	return page, nil
}
