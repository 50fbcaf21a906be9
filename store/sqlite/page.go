package sqlite

import (
	"context"
	"database/sql"
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
	if err != nil || len(raw) <= 8 {
		return cursor{}, engine.Errorf(engine.CodeInvalid, "cursor %.64q: not one that a listing gave out", text)
	}
	return cursor{at: int64(binary.BigEndian.Uint64(raw)), id: string(raw[8:])}, nil
}

// listing builds the query of one page of JSON records, newest first.
type listing struct {
	table string
	time  string // the column that orders the listing, together with id
	where []string
	args  []any
}

func (l *listing) filter(condition string, args ...any) {
	l.where = append(l.where, condition)
	l.args = append(l.args, args...)
}

// between restricts a column to from <= column < to, where a zero time does not restrict.
func (l *listing) between(fromColumn, toColumn string, from, to time.Time) {
	if !from.IsZero() {
		l.filter(fromColumn+" >= ?", nanos(from))
	}
	if !to.IsZero() {
		l.filter(toColumn+" < ?", nanos(to))
	}
}

func (l *listing) severity(least engine.Severity) error {
	if least == "" {
		return nil
	}
	if least.Rank() < 0 {
		return engine.Errorf(engine.CodeInvalid, "severity %.64q: want low, medium, high or critical", least)
	}
	l.filter("severity >= ?", least.Rank())
	return nil
}

func readPage[T any](ctx context.Context, db *sql.DB, l listing, after string, limit int) (engine.Page[T], error) {
	page := engine.Page[T]{Items: []T{}}
	if limit == 0 {
		limit = defaultLimit
	}
	if limit < 1 || limit > maxLimit {
		return page, engine.Errorf(engine.CodeInvalid, "limit %d: want 1 to %d", limit, maxLimit)
	}
	if after != "" {
		c, err := parseCursor(after)
		if err != nil {
			return page, err
		}
		l.filter("("+l.time+", id) < (?, ?)", c.at, c.id)
	}
	query := "SELECT " + l.time + ", id, body FROM " + l.table
	if len(l.where) > 0 {
		query += " WHERE " + strings.Join(l.where, " AND ")
	}
	query += " ORDER BY " + l.time + " DESC, id DESC LIMIT ?"
	rows, err := db.QueryContext(ctx, query, append(l.args, limit+1)...) // one more tells whether a page follows
	if err != nil {
		return page, err
	}
	defer rows.Close()
	var last cursor
	for rows.Next() {
		if len(page.Items) == limit {
			page.Next = last.String()
			break
		}
		var body sql.RawBytes
		if err := rows.Scan(&last.at, &last.id, &body); err != nil {
			return page, err
		}
		var item T
		if err := json.Unmarshal(body, &item); err != nil {
			return page, err
		}
		page.Items = append(page.Items, item)
	}
	return page, rows.Err()
}
