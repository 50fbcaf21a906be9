package pgvector

import (
	"context"
	"embed"
	"errors"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	pgxvector "github.com/pgvector/pgvector-go/pgx"
	"github.com/pressly/goose/v3"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/retrieval"
)

//go:embed migrations/*.sql
var migrations embed.FS

// server returns the pool, once the schema and the extension are as they should be. Callers wait for the one that sees to that.
func (m *Memory) server(ctx context.Context) (*pgxpool.Pool, error) {
	select {
	case m.preparing <- struct{}{}:
		defer func() { <-m.preparing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if m.pool != nil {
		return m.pool, nil
	}
	if m.closed {
		return nil, engine.Errorf(engine.CodeUnavailable, "the memory is closed")
	}
	cfg, err := m.cfg.pool()
	if err != nil {
		return nil, err
	}
	if err := m.migrate(ctx, cfg.ConnConfig); err != nil {
		return nil, err
	}
	cfg.AfterConnect = m.equip
	m.pool, err = pgxpool.NewWithConfig(ctx, cfg)
	return m.pool, err
}

// migrate brings the schema up to date and sets the search path of the connections to come. Instances that start at the same
// time do so one after the other, under a lock of the session that ends with the connection.
func (m *Memory) migrate(ctx context.Context, server *pgx.ConnConfig) (err error) {
	conn, err := pgx.ConnectConfig(ctx, server)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock(hashtextextended($1, 0))`, m.lockName("migrate")); err != nil {
		return err
	}
	if err := m.makeSchema(ctx, conn); err != nil {
		return err
	}
	types, err := m.makeExtension(ctx, conn)
	if err != nil {
		return err
	}
	server.RuntimeParams["search_path"] = pgx.Identifier{m.cfg.Schema}.Sanitize() + ", " + pgx.Identifier{types}.Sanitize()
	return m.applyMigrations(ctx, server)
}

// checkEncoding refuses a database that cannot hold every text.
func checkEncoding(ctx context.Context, conn *pgx.Conn) error {
	var encoding string
	if err := conn.QueryRow(ctx, `SELECT current_setting('server_encoding')`).Scan(&encoding); err != nil {
		return err
	}
	if encoding != "UTF8" {
		return engine.Errorf(engine.CodeInvalid, "the database is encoded in %s: want UTF8", encoding)
	}
	return nil
}

// makeSchema asks first, since making what is there needs a right that the service can do without.
func (m *Memory) makeSchema(ctx context.Context, conn *pgx.Conn) error {
	if err := checkEncoding(ctx, conn); err != nil {
		return err
	}
	var there bool
	if err := conn.QueryRow(ctx, `SELECT to_regnamespace($1) IS NOT NULL`, m.cfg.Schema).Scan(&there); err != nil || there {
		return err
	}
	_, err := conn.Exec(ctx, `CREATE SCHEMA `+pgx.Identifier{m.cfg.Schema}.Sanitize())
	return err
}

// extension is the schema that the extension is in, "" where there is none. Before version 0.8 it could not go on through an index when a
// filter has left too little.
func extension(ctx context.Context, conn *pgx.Conn) (schema string, err error) {
	var version string
	var recent bool
	err = conn.QueryRow(ctx, `
		SELECT n.nspname, e.extversion, string_to_array(substring(e.extversion FROM '^[0-9.]*[0-9]'), '.')::int[] >= '{0,8}'
		FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
		WHERE e.extname = 'vector'`).Scan(&schema, &version, &recent)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return "", nil
	case err != nil:
		return "", err
	case !recent:
		return "", engine.Errorf(engine.CodeInvalid, "the extension vector is of version %s: want 0.8 or newer", version)
	}
	return schema, nil
}

// makeExtension returns the schema of the extension, which is the one of this memory when it had to be made.
func (m *Memory) makeExtension(ctx context.Context, conn *pgx.Conn) (string, error) {
	schema, err := extension(ctx, conn)
	if err != nil || schema != "" {
		return schema, err
	}
	if _, err := conn.Exec(ctx, `CREATE EXTENSION vector SCHEMA `+pgx.Identifier{m.cfg.Schema}.Sanitize()); err != nil {
		return "", engine.Errorf(engine.CodeInvalid,
			"the database lacks the extension vector; a role that may has to CREATE EXTENSION vector in it: %w", err)
	}
	return extension(ctx, conn)
}

// applyMigrations records them in a table of their own, since the store may keep its tables in the same schema.
func (m *Memory) applyMigrations(ctx context.Context, server *pgx.ConnConfig) (err error) {
	db := stdlib.OpenDB(*server)
	defer func() { err = errors.Join(err, db.Close()) }()
	done, err := retrieval.Migrate(ctx, goose.DialectPostgres, db, migrations, goose.WithTableName("goose_memory_version"))
	if err != nil {
		return err
	}
	for _, r := range done {
		m.log.InfoContext(ctx, "schema migrated", "schema", m.cfg.Schema, "version", r.Source.Version, "took", r.Duration)
	}
	return nil
}

// staging is where a write puts its rows before they are sorted into their collections. It belongs to one connection.
const staging = `CREATE TEMPORARY TABLE staged_memos (
	collection bigint, id text, embedding vector, text text, service text, operation text, version text, region text,
	family text, source text, at bigint
) ON COMMIT DELETE ROWS`

// equip makes a connection ready for use.
func (m *Memory) equip(ctx context.Context, conn *pgx.Conn) error {
	if err := pgxvector.RegisterTypes(ctx, conn); err != nil {
		return err
	}
	var settings pgx.Batch
	for name, value := range map[string]string{
		"hnsw.ef_search":       strconv.Itoa(m.cfg.EfSearch),
		"hnsw.iterative_scan":  "relaxed_order", // what is found is put in order anyway
		"hnsw.max_scan_tuples": strconv.Itoa(m.cfg.MaxScanTuples),
		"plan_cache_mode":      "force_custom_plan", // whether the index serves depends on the limit and the filter
		// Both take longer to begin than what they could save.
		"jit":                             "off",
		"max_parallel_workers_per_gather": "0",
	} {
		settings.Queue(`SELECT set_config($1, $2, false)`, name, value)
	}
	settings.Queue(staging)
	return conn.SendBatch(ctx, &settings).Close()
}

// lockName is what an advisory lock is for; its number is hashtextextended(name, 0). Schemas have locks of their own.
func (m *Memory) lockName(job string) string {
	return "llm-sentinel/" + m.cfg.Schema + "/memory/" + job
}
