package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"math"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

var (
	earliest = time.Unix(0, math.MinInt64)
	latest   = time.Unix(0, math.MaxInt64)
)

// nanos is the column of a time: the nearest one that 64 bits of nanoseconds express.
func nanos(t time.Time) int64 {
	switch {
	case t.Before(earliest):
		return math.MinInt64
	case t.After(latest):
		return math.MaxInt64
	}
	return t.UnixNano()
}

func optionalNanos(t *time.Time) sql.NullInt64 {
	if t == nil {
		return sql.NullInt64{}
	}
	return sql.NullInt64{Int64: nanos(*t), Valid: true}
}

func fromNanos(n int64) time.Time { return time.Unix(0, n).UTC() }

func fromOptionalNanos(n sql.NullInt64) *time.Time {
	if !n.Valid {
		return nil
	}
	t := fromNanos(n.Int64)
	return &t
}

// encode makes the JSON of a record. What JSON cannot hold (NaN, infinities, years past 9999) is the caller's fault.
func encode(record any) (string, error) {
	body, err := json.Marshal(record)
	if err != nil {
		return "", engine.Errorf(engine.CodeInvalid, "%w", err)
	}
	return string(body), nil
}

// decodeAll reads rows of one JSON column.
func decodeAll[T any](ctx context.Context, db *sql.DB, query string, args ...any) (records []T, err error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var body sql.RawBytes
		if err := rows.Scan(&body); err != nil {
			return nil, err
		}
		var record T
		if err := json.Unmarshal(body, &record); err != nil {
			return nil, err
		}
		records = append(records, record)
	}
	return records, rows.Err()
}

// decodeOne reads the JSON column of the one row that query selects; sql.ErrNoRows when there is none.
func decodeOne[T any](ctx context.Context, db *sql.DB, query string, args ...any) (record T, err error) {
	var body []byte
	if err := db.QueryRowContext(ctx, query, args...).Scan(&body); err != nil {
		return record, err
	}
	return record, json.Unmarshal(body, &record)
}

func requireID(what, id string) error {
	if id == "" {
		return engine.Errorf(engine.CodeInvalid, "%s without an id", what)
	}
	return nil
}
