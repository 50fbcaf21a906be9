package store

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"strings"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

const (
	defaultLimit = 100
	maxLimit     = 1000
)

// cursor is the place of a row in a listing that is ordered by time and id, newest first. The next page starts behind it,
// so that rows which arrive meanwhile neither repeat nor hide one.
type cursor struct {
	at int64
	id string
}

func (c cursor) String() string {
	raw := binary.BigEndian.AppendUint64(nil, uint64(c.at))
	return base64.RawURLEncoding.EncodeToString(append(raw, c.id...))
}

func parseCursor(text string) (cursor, error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) <= 8 || RequireID("row", string(raw[8:])) != nil {
		return cursor{}, engine.Errorf(engine.CodeInvalid, "cursor %.64q: not one that a listing gave out", text)
	}
	return cursor{at: int64(binary.BigEndian.Uint64(raw)), id: string(raw[8:])}, nil
}

// Listing is the query of one page of records, newest first.
type Listing[T any] struct {
	table   string
	time    string                                   // the column that orders the listing, together with id
	id      string                                   // column
	columns string                                   // what a record is made of
	scan    func(row Rows, before ...any) (T, error) // reads the columns before, and a record from its columns
	where   []string
	args    []any
	limit   int
}

// listRecords lists the JSON records of a table.
func listRecords[T any](table, time string) Listing[T] {
	return Listing[T]{table: table, time: time, id: "id", columns: "body", scan: scanRecord[T]}
}

func scanRecord[T any](row Rows, before ...any) (record T, err error) {
	var body []byte
	if err := row.Scan(append(before, &body)...); err != nil {
		return record, err
	}
	return record, json.Unmarshal(body, &record)
}

// ListAnomalies returns CodeInvalid for a cursor, limit or severity that is not valid.
func ListAnomalies(q engine.AnomalyQuery) (Listing[engine.Anomaly], error) {
	l := listRecords[engine.Anomaly]("anomalies", "at")
	l.between("at", "at", q.From, q.To)
	l.equal("service = ?", q.Service)
	l.equal("type = ?", string(q.Type))
	l.equal("incident_id = ?", q.IncidentID)
	if err := l.severity(q.MinSeverity); err != nil {
		return l, err
	}
	return l, l.page(q.Cursor, q.Limit)
}

// ListIncidents returns CodeInvalid for a cursor, limit, severity or status that is not valid.
func ListIncidents(q engine.IncidentQuery) (Listing[engine.Incident], error) {
	l := listRecords[engine.Incident]("incidents", "onset")
	l.between("last_seen", "onset", q.From, q.To)
	l.equal("EXISTS (SELECT 1 FROM incident_services WHERE incident_id = id AND service = ?)", q.Service)
	l.equal("type = ?", string(q.Type))
	if q.Status != "" && !validStatus(q.Status) {
		return l, engine.Errorf(engine.CodeInvalid, "status %.64q: want open, acknowledged or resolved", q.Status)
	}
	l.equal("status = ?", string(q.Status))
	if err := l.severity(q.MinSeverity); err != nil {
		return l, err
	}
	return l, l.page(q.Cursor, q.Limit)
}

// ListFeedback lists the feedback on one incident, or all when incidentID is "". A cursor or limit that is not valid is
// CodeInvalid.
func ListFeedback(incidentID, cursor string, limit int) (Listing[engine.Feedback], error) {
	l := listRecords[engine.Feedback]("feedback", "at")
	l.equal("incident_id = ?", incidentID)
	return l, l.page(cursor, limit)
}

func (l *Listing[T]) filter(condition string, args ...any) {
	l.where = append(l.where, condition)
	l.args = append(l.args, args...)
}

// equal restricts by a text, where "" does not restrict.
func (l *Listing[T]) equal(condition, text string) {
	if text != "" {
		l.filter(condition, Text(text))
	}
}

// between restricts a column to from <= column < to, where a zero time does not restrict.
func (l *Listing[T]) between(fromColumn, toColumn string, from, to time.Time) {
	if !from.IsZero() {
		l.filter(fromColumn+" >= ?", Nanos(from))
	}
	if !to.IsZero() {
		l.filter(toColumn+" < ?", Nanos(to))
	}
}

func (l *Listing[T]) severity(least engine.Severity) error {
	if least == "" {
		return nil
	}
	if least.Rank() < 0 {
		return engine.Errorf(engine.CodeInvalid, "severity %.64q: want low, medium, high or critical", least)
	}
	l.filter("severity >= ?", least.Rank())
	return nil
}

func (l *Listing[T]) page(after string, limit int) error {
	if limit == 0 {
		limit = defaultLimit
	}
	if limit < 1 || limit > maxLimit {
		return engine.Errorf(engine.CodeInvalid, "limit %d: want 1 to %d", limit, maxLimit)
	}
	l.limit = limit
	if after == "" {
		return nil
	}
	c, err := parseCursor(after)
	if err != nil {
		return err
	}
	l.filter("("+l.time+", "+l.id+") < (?, ?)", c.at, c.id)
	return nil
}

// Statement is the SELECT of the page, with a ? for each argument and no other question mark. Read reads its answer.
func (l Listing[T]) Statement() (statement string, args []any) {
	statement = "SELECT " + l.time + ", " + l.id + ", " + l.columns + " FROM " + l.table
	if len(l.where) > 0 {
		statement += " WHERE " + strings.Join(l.where, " AND ")
	}
	statement += " ORDER BY " + l.time + " DESC, " + l.id + " DESC LIMIT ?"
	return statement, append(l.args, l.limit+1) // one more tells whether a page follows
}

// Read makes the page of what Statement selected.
func (l Listing[T]) Read(rows Rows) (engine.Page[T], error) {
	page := engine.Page[T]{Items: []T{}}
	var last cursor
	for rows.Next() {
		if len(page.Items) == l.limit {
			page.Next = last.String()
			break
		}
		item, err := l.scan(rows, &last.at, &last.id)
		if err != nil {
			return engine.Page[T]{}, err
		}
		page.Items = append(page.Items, item)
	}
	return page, nil
}
