package pgvector

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Check says why the database cannot be used now: it does not answer, has another encoding, or can have no extension vector that is
// recent enough. It changes nothing, so whether the role may make what is missing shows when the memory is opened.
func Check(ctx context.Context, cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	pool, err := cfg.pool()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	if err := check(ctx, pool.ConnConfig); err != nil {
		return memoryError(err, "check %s", address(pool.ConnConfig))
	}
	return nil
}

func check(ctx context.Context, server *pgx.ConnConfig) error {
	conn, err := pgx.ConnectConfig(ctx, server)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it was only read
	if err := checkEncoding(ctx, conn); err != nil {
		return err
	}
	schema, err := extension(ctx, conn)
	if err != nil || schema != "" {
		return err
	}
	var available bool
	if err := conn.QueryRow(ctx, `SELECT count(*) > 0 FROM pg_available_extensions WHERE name = 'vector'`).Scan(&available); err != nil {
		return err
	}
	if !available {
		return engine.Errorf(engine.CodeInvalid, "the server does not have the extension vector: install pgvector there")
	}
	return nil
}
