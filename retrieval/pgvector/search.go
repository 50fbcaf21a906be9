package pgvector

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	vector "github.com/pgvector/pgvector-go"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/retrieval"
)

// Nearest returns up to q.K neighbors, most similar first and of equal ones the lesser id first. A vector that has the wrong
// dimension or no direction, and a K below 1, are CodeInvalid.
func (m *Memory) Nearest(ctx context.Context, q engine.Query) ([]engine.Neighbor, error) {
	q, err := retrieval.Prepared(q)
	if err != nil {
		return nil, memoryError(err, "nearest")
	}
	var neighbors []engine.Neighbor
	err = m.call(ctx, func(ctx context.Context, pool *pgxpool.Pool) error {
		c, found, err := m.find(ctx, pool, q.Collection)
		if err != nil || !found {
			return err
		}
		neighbors, err = nearest(ctx, pool, c, q)
		return err
	}, "nearest in %s %s", q.Collection.Purpose, q.Collection.Kind)
	if err != nil {
		return nil, err
	}
	retrieval.Rank(neighbors)
	return neighbors, nil
}

// nearest takes more than it was asked for, since an index gives them in no strict order and perhaps in half precision, and
// compares them again.
func nearest(ctx context.Context, pool *pgxpool.Pool, c collection, q engine.Query) ([]engine.Neighbor, error) {
	where, args := conditions(q.Filter, []any{vector.NewVector(q.Vector), q.K, 2 * q.K})
	rows, err := pool.Query(ctx, fmt.Sprintf(`
		SELECT id, text, service, operation, version, region, family, source, at, -(embedding <#> $1::vector) AS similarity
		FROM (SELECT %s FROM %s%s ORDER BY %s <#> %s LIMIT $3) AS candidates
		ORDER BY similarity DESC, id LIMIT $2`,
		columns, c.table(), where, c.comparable("embedding"), c.comparable("$1::vector")), args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (n engine.Neighbor, err error) {
		item, at := &n.Memo, int64(0)
		item.Collection = q.Collection
		err = row.Scan(&item.ID, &item.Text, &item.Service, &item.Operation, &item.Version, &item.Region, &item.Family, &item.Source,
			&at, &n.Similarity)
		item.At = retrieval.Time(at)
		return n, err
	})
}

// conditions is the filter as a WHERE clause, and its values behind args.
func conditions(f engine.Filter, args []any) (string, []any) {
	var and []string
	add := func(condition string, value any) {
		args = append(args, value)
		and = append(and, fmt.Sprintf(condition, len(args)))
	}
	for _, column := range []struct{ name, value string }{
		{"service", f.Service}, {"operation", f.Operation}, {"version", f.Version}, {"region", f.Region},
	} {
		if column.value != "" {
			add(column.name+" = $%d", column.value)
		}
	}
	if !f.From.IsZero() {
		add("at >= $%d", retrieval.Nanos(f.From))
	}
	if !f.Before.IsZero() {
		add("at < $%d", retrieval.Nanos(f.Before))
	}
	if len(f.IDs) > 0 {
		add("id = ANY($%d)", f.IDs)
	}
	if len(and) == 0 {
		return "", args
	}
	return " WHERE " + strings.Join(and, " AND "), args
}
