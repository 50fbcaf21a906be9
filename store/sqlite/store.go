package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Store is a SQLite file. It is safe for concurrent use.
type Store struct {
	cfg   Config
	log   *slog.Logger
	write *sql.DB // one connection: writers queue here and not inside of SQLite
	read  *sql.DB

	dropped atomic.Uint64 // dead deliveries
}

// Open opens the file, making it when it is missing, and brings its schema up to date. A file that a newer version of the
// program has written is refused with CodeConflict.
func Open(ctx context.Context, cfg Config, logger *slog.Logger) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := create(cfg.Path); err != nil {
		return nil, storeError(err, "open %s", cfg.Path)
	}
	s := &Store{cfg: cfg, log: logger.With("component", "store/sqlite")}
	var err error
	// synchronous=FULL: an acknowledged write also outlives a power failure.
	s.write, err = sql.Open("sqlite", dsn(cfg, "synchronous(FULL)", "journal_size_limit(67108864)"))
	if err != nil {
		return nil, storeError(err, "open %s", cfg.Path)
	}
	s.write.SetMaxOpenConns(1)
	s.read, err = sql.Open("sqlite", dsn(cfg, "query_only(1)"))
	if err != nil {
		return nil, errors.Join(storeError(err, "open %s", cfg.Path), s.write.Close())
	}
	s.read.SetMaxOpenConns(cfg.ReadConnections)
	s.read.SetMaxIdleConns(cfg.ReadConnections)
	if err := s.migrate(ctx); err != nil {
		return nil, errors.Join(storeError(err, "migrate %s", cfg.Path), s.Close())
	}
	return s, nil
}

// Close waits for running calls and closes the file.
func (s *Store) Close() error {
	return errors.Join(s.read.Close(), s.write.Close())
}

// create makes the file beforehand, since SQLite would make it readable for everybody.
func create(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func dsn(cfg Config, pragmas ...string) string {
	q := url.Values{
		"_busy_timeout": {fmt.Sprint(cfg.BusyTimeout.Milliseconds())},
		"_auto_vacuum":  {"incremental"}, // Prune gives pages back to the file system
		"_txlock":       {"immediate"},   // a transaction that will write waits at its start, where it can
		"_pragma":       append([]string{"journal_mode(WAL)", "foreign_keys(1)"}, pragmas...),
	}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: filepath.ToSlash(cfg.Path)}).EscapedPath(), RawQuery: q.Encode()}).String()
}

// migrate brings the schema up to date.
func (s *Store) migrate(ctx context.Context) error {
	done, err := store.Migrate(ctx, goose.DialectSQLite3, s.write, migrations)
	if err != nil {
		return err
	}
	for _, r := range done {
		s.log.InfoContext(ctx, "schema migrated", "version", r.Source.Version, "took", r.Duration)
	}
	return nil
}

// transact runs do in one transaction of the write connection.
func (s *Store) transact(ctx context.Context, do func(tx *sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return errors.Join(err, ignoreDone(tx.Rollback()))
	}
	return tx.Commit()
}

// ignoreDone drops the error of rolling back what the context's end has rolled back already.
func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

// storeError puts the operation and its subject in front of err and gives it a code.
func storeError(err error, format string, args ...any) error {
	code := engine.CodeInternal
	var coded *engine.Error
	var driver *sqlite.Error
	switch {
	case errors.As(err, &coded):
		code = coded.Code
	case errors.Is(err, sql.ErrNoRows):
		return &engine.Error{Code: engine.CodeNotFound, Message: "no " + fmt.Sprintf(format, args...), Err: err}
	case errors.As(err, &driver):
		code = driverCode(driver)
	}
	return engine.Errorf(code, "sqlite: %s: %w", fmt.Sprintf(format, args...), err)
}

func driverCode(err *sqlite.Error) engine.Code {
	switch err.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return engine.CodeConflict
	}
	switch err.Code() & 0xff { // the primary code of an extended one
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR:
		return engine.CodeUnavailable
	case sqlite3.SQLITE_TOOBIG:
		return engine.CodeTooLarge
	}
	return engine.CodeInternal
}
