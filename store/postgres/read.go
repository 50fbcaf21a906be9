package postgres

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/store"
)

// query runs a SELECT and read on its rows.
func query[T any](ctx context.Context, s *Store, read func(store.Rows) (T, error), statement string, args ...any) (T, error) {
	var none T
	rows, err := s.pool.Query(ctx, statement, args...)
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

func readPage[T any](ctx context.Context, s *Store, l store.Listing[T]) (engine.Page[T], error) {
	statement, args := l.Statement()
	return query(ctx, s, l.Read, numbered(statement), args...)
}

// numbered has $1, $2 and so on for each question mark.
func numbered(statement string) string {
	var out strings.Builder
	n := 0
	for _, r := range statement {
		if r != '?' {
			out.WriteRune(r)
			continue
		}
		n++
		out.WriteString("$" + strconv.Itoa(n))
	}
	return out.String()
}

// readOne reads the JSON column of the one row that the statement selects; pgx.ErrNoRows when there is none.
func readOne[T any](ctx context.Context, s *Store, statement string, args ...any) (record T, err error) {
	var body []byte
	if err := s.pool.QueryRow(ctx, statement, args...).Scan(&body); err != nil {
		return record, err
	}
	return record, json.Unmarshal(body, &record)
}
