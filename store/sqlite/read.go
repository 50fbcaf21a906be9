package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/store"
)

// query runs a SELECT and read on its rows.
func query[T any](ctx context.Context, db *sql.DB, read func(store.Rows) (T, error), statement string, args ...any) (T, error) {
	var none T
	rows, err := db.QueryContext(ctx, statement, args...)
	if err != nil {
		return none, err
	}
	defer rows.Close()
	result, err := read(rows)
	if err != nil {
		return none, err
	}
	return result, rows.Err()
}

func readPage[T any](ctx context.Context, db *sql.DB, l store.Listing[T]) (engine.Page[T], error) {
	statement, args := l.Statement()
	return query(ctx, db, l.Read, statement, args...)
}

// readOne reads the JSON column of the one row that query selects; sql.ErrNoRows when there is none.
func readOne[T any](ctx context.Context, db *sql.DB, query string, args ...any) (record T, err error) {
	var body []byte
	if err := db.QueryRowContext(ctx, query, args...).Scan(&body); err != nil {
		return record, err
	}
	return record, json.Unmarshal(body, &record)
}
