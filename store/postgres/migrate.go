package postgres

import (
	"context"
	"embed"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema up to date. Instances that start at the same time do so one after the other, under a lock of the
// session that ends with the connection at the latest.
func (s *Store) migrate(ctx context.Context) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock(hashtextextended($1, 0))`, s.lockName("migrate")); err != nil {
		return err
	}
	err = s.makeSchema(ctx, conn.Conn())
	if err == nil {
		err = s.applyMigrations(ctx)
	}
	// The connection goes back to the pool, and the lock must not go with it.
	if _, unlockErr := conn.Exec(ctx, `SELECT pg_advisory_unlock(hashtextextended($1, 0))`, s.lockName("migrate")); unlockErr != nil {
		return errors.Join(err, unlockErr, conn.Conn().Close(context.WithoutCancel(ctx)))
	}
	return err
}

// makeSchema asks first, since making what is there needs a right that the service can do without.
func (s *Store) makeSchema(ctx context.Context, conn *pgx.Conn) error {
	var encoding string
	var there bool
	if err := conn.QueryRow(ctx, `SELECT current_setting('server_encoding'), to_regnamespace($1) IS NOT NULL`,
		s.cfg.Schema).Scan(&encoding, &there); err != nil {
		return err
	}
	if encoding != "UTF8" {
		return engine.Errorf(engine.CodeInvalid, "the database is encoded in %s: want UTF8", encoding)
	}
	if there {
		return nil
	}
	_, err := conn.Exec(ctx, `CREATE SCHEMA `+pgx.Identifier{s.cfg.Schema}.Sanitize())
	return err
}

func (s *Store) applyMigrations(ctx context.Context) (err error) {
	db := stdlib.OpenDBFromPool(s.pool)
	defer func() { err = errors.Join(err, db.Close()) }()
	done, err := store.Migrate(ctx, goose.DialectPostgres, db, migrations)
	if err != nil {
		return err
	}
	for _, r := range done {
		s.log.InfoContext(ctx, "schema migrated", "schema", s.cfg.Schema, "version", r.Source.Version, "took", r.Duration)
	}
	return nil
}
