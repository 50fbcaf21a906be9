package pgvector

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// The extension's bounds: of a vector, and of one in an index, in full precision and in half.
const (
	maxDimension     = 16_000
	maxFullDimension = 2_000
	maxHalfDimension = 4_000
)

// collection is a partition.
type collection struct {
	id        int64
	dimension int
}

func (c collection) table() string { return fmt.Sprintf("memos_%d", c.id) }
func (c collection) index() string { return c.table() + "_hnsw" }

// typed is the type that vectors are compared as: in half precision where an index takes no other. What is found is compared
// again in full.
func (c collection) typed() string {
	if c.dimension > maxFullDimension {
		return "halfvec"
	}
	return "vector"
}

// comparable is the expression that an index is over.
func (c collection) comparable(vector string) string {
	return fmt.Sprintf("(%s::%s(%d))", vector, c.typed(), c.dimension)
}

// find looks a collection up; false when nothing was ever remembered in it.
func (m *Memory) find(ctx context.Context, pool *pgxpool.Pool, key engine.Collection) (collection, bool, error) {
	if known, ok := m.known.Load(key); ok {
		return known.(collection), true, nil
	}
	c := collection{dimension: key.Model.Dimension}
	err := pool.QueryRow(ctx, `
		SELECT id FROM collections WHERE purpose = $1 AND kind = $2 AND model = $3 AND model_version = $4 AND dimension = $5`,
		key.Purpose, key.Kind, key.Model.Name, key.Model.Version, key.Model.Dimension).Scan(&c.id)
	if errors.Is(err, pgx.ErrNoRows) {
		return c, false, nil
	}
	if err != nil {
		return c, false, err
	}
	m.known.Store(key, c)
	return c, true, nil
}

// ensure looks a collection up and makes it when it is missing.
func (m *Memory) ensure(ctx context.Context, pool *pgxpool.Pool, key engine.Collection) (collection, error) {
	c, found, err := m.find(ctx, pool, key)
	if found || err != nil {
		return c, err
	}
	if key.Model.Dimension > maxDimension {
		return c, engine.Errorf(engine.CodeInvalid, "model %.64q has %d dimensions: want up to %d", key.Model.Name, key.Model.Dimension, maxDimension)
	}
	if err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return m.create(ctx, tx, key) }); err != nil {
		return c, fmt.Errorf("make collection: %w", err)
	}
	c, _, err = m.find(ctx, pool, key)
	return c, err
}

// create makes the partition beside its table and attaches it then, which keeps neither readers nor writers waiting.
func (m *Memory) create(ctx context.Context, tx pgx.Tx, key engine.Collection) error {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, m.lockName("collections")); err != nil {
		return err
	}
	c := collection{dimension: key.Model.Dimension}
	err := tx.QueryRow(ctx, `
		INSERT INTO collections (purpose, kind, model, model_version, dimension) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT DO NOTHING RETURNING id`,
		key.Purpose, key.Kind, key.Model.Name, key.Model.Version, key.Model.Dimension).Scan(&c.id)
	if errors.Is(err, pgx.ErrNoRows) { // another process was quicker
		return nil
	}
	if err != nil {
		return err
	}
	for _, statement := range []string{
		fmt.Sprintf(`CREATE TABLE %s (LIKE memos INCLUDING ALL)`, c.table()),
		fmt.Sprintf(`ALTER TABLE memos ATTACH PARTITION %s FOR VALUES IN (%d)`, c.table(), c.id),
	} {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}
