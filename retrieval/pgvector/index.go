package pgvector

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// indexLater makes the index of a collection that has grown, in the background; once, unless the server goes away meanwhile.
func (m *Memory) indexLater(pool *pgxpool.Pool, c collection, items int) {
	if items < m.cfg.IndexFrom || c.dimension > maxHalfDimension {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.indexes[c.id] != nil || m.background.Err() != nil {
		return
	}
	done := make(chan struct{})
	m.indexes[c.id] = done
	go func() {
		defer close(done)
		if again := m.index(m.background, pool, c); again {
			m.mu.Lock()
			defer m.mu.Unlock()
			delete(m.indexes, c.id)
		}
	}()
}

// index makes an index and says what came of it; whether the next write should try again.
func (m *Memory) index(ctx context.Context, pool *pgxpool.Pool, c collection) (again bool) {
	begun := time.Now()
	made, err := m.makeIndex(ctx, pool, c)
	switch {
	case err != nil && (errorCode(err) == engine.CodeUnavailable || ctx.Err() != nil):
		m.log.WarnContext(ctx, "index not made yet", "table", c.table(), "error", err)
		return true
	case err != nil:
		m.log.ErrorContext(ctx, "index not made: searches compare every memo", "table", c.table(), "error", err)
	case made:
		m.log.InfoContext(ctx, "index made", "table", c.table(), "took", time.Since(begun))
	}
	return false
}

// Settle returns when no index is being made any more. Searches need not wait for that; who measures them does.
func (m *Memory) Settle(ctx context.Context) error {
	m.mu.Lock()
	under := slices.Collect(maps.Values(m.indexes))
	m.mu.Unlock()
	for _, done := range under {
		select {
		case <-done:
		case <-ctx.Done():
			return memoryError(ctx.Err(), "settle")
		}
	}
	return nil
}

// makeIndex makes the index beside readers and writers. Instances do so one after the other; an index that one of them has not
// finished is made anew.
func (m *Memory) makeIndex(ctx context.Context, pool *pgxpool.Pool, c collection) (made bool, err error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return false, err
	}
	own := conn.Hijack() // neither the lock nor the memory goes back to the pool
	defer own.Close(context.WithoutCancel(ctx))
	if _, err := own.Exec(ctx, `SELECT pg_advisory_lock(hashtextextended($1, 0))`, m.lockName("index")); err != nil {
		return false, err
	}
	var there, whole bool
	if err := own.QueryRow(ctx, `
		SELECT count(*) > 0, coalesce(bool_and(indisvalid), false) FROM pg_index WHERE indexrelid = to_regclass($1)`,
		c.index()).Scan(&there, &whole); err != nil {
		return false, err
	}
	if whole {
		return false, nil
	}
	statements := []string{
		fmt.Sprintf(`SET maintenance_work_mem = '%dMB'`, m.cfg.IndexMemoryMB),
		fmt.Sprintf(`CREATE INDEX CONCURRENTLY %s ON %s USING hnsw (%s %s_ip_ops) WITH (m = %d, ef_construction = %d)`,
			c.index(), c.table(), c.comparable("embedding"), c.typed(), m.cfg.M, m.cfg.EfConstruction),
		`ANALYZE ` + c.table(),
	}
	if there {
		statements = append([]string{`DROP INDEX CONCURRENTLY ` + c.index()}, statements...)
	}
	for _, s := range statements {
		if _, err := own.Exec(ctx, s); err != nil {
			return false, err
		}
	}
	return true, nil
}
