package postgres

import (
	"context"
	"log/slog"
	"net"
	"strconv"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Store is a schema of a PostgreSQL database. It is safe for concurrent use, by several processes too.
type Store struct {
	cfg  Config
	log  *slog.Logger
	pool *pgxpool.Pool

	dropped atomic.Uint64 // dead deliveries
}

// Open connects and brings the schema up to date, making it when it is missing. A server that cannot be reached is
// CodeUnavailable; a schema that a newer version of the program has written is refused with CodeConflict.
func Open(ctx context.Context, cfg Config, logger *slog.Logger) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	poolCfg, err := cfg.pool()
	if err != nil {
		return nil, err
	}
	server := poolCfg.ConnConfig
	where := net.JoinHostPort(server.Host, strconv.Itoa(int(server.Port))) + "/" + server.Database
	pool, err := pgxpool.NewWithConfig(ctx, poolCfg)
	if err != nil {
		return nil, storeError(err, "open %s", where)
	}
	s := &Store{cfg: cfg, log: logger.With("component", "store/postgres"), pool: pool}
	if err := s.migrate(ctx); err != nil {
		pool.Close()
		return nil, storeError(err, "migrate schema %s of %s", cfg.Schema, where)
	}
	return s, nil
}

// Close waits for running calls and closes the connections.
func (s *Store) Close() error {
	s.pool.Close()
	return nil
}

// call runs do within the time that one call may take, and says in its error what was called.
func (s *Store) call(ctx context.Context, do func(ctx context.Context) error, format string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	if err := do(ctx); err != nil {
		return storeError(err, format, args...)
	}
	return nil
}

// send runs the statements in one transaction, in one round trip.
func (s *Store) send(ctx context.Context, statements *pgx.Batch) error {
	if statements.Len() == 0 {
		return nil
	}
	return s.pool.SendBatch(ctx, statements).Close()
}

// lockName is what an advisory lock is for; its number is hashtextextended(name, 0). Schemas have locks of their own.
func (s *Store) lockName(job string) string { return "llm-sentinel/" + s.cfg.Schema + "/" + job }
