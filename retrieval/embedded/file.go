package embedded

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // registers the driver

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/retrieval"
)

//go:embed migrations/*.sql
var migrations embed.FS

// file is the SQLite file behind a memory. Its single connection makes calls wait for one another.
type file struct {
	db  *sql.DB
	ids map[engine.Collection]int64 // of the collections in the file
}

func openFile(ctx context.Context, cfg Config) (*file, error) {
	if err := os.MkdirAll(filepath.Dir(cfg.Path), 0o700); err != nil {
		return nil, err
	}
	// SQLite would make the file readable for everybody.
	f, err := os.OpenFile(cfg.Path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	q := url.Values{
		"_busy_timeout": {fmt.Sprint(cfg.BusyTimeout.Milliseconds())},
		"_auto_vacuum":  {"full"},
		"_txlock":       {"immediate"},
		// A power failure may take the last memos along, which traffic brings again, but never damages the file.
		"_pragma": {"journal_mode(WAL)", "foreign_keys(1)", "synchronous(NORMAL)", "journal_size_limit(67108864)"},
	}
	path := (&url.URL{Path: filepath.ToSlash(cfg.Path)}).EscapedPath()
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: path, RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	out := &file{db: db, ids: map[engine.Collection]int64{}}
	if err := out.prepare(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return out, nil
}

func (f *file) prepare(ctx context.Context) error {
	if err := f.migrate(ctx); err != nil {
		return err
	}
	rows, err := f.db.QueryContext(ctx, `SELECT id, purpose, kind, model, model_version, dimension FROM collections`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var key engine.Collection
		if err := rows.Scan(&id, &key.Purpose, &key.Kind, &key.Model.Name, &key.Model.Version, &key.Model.Dimension); err != nil {
			return err
		}
		f.ids[key] = id
	}
	return rows.Err()
}

// migrate brings the schema up to date.
func (f *file) migrate(ctx context.Context) error {
	_, err := retrieval.Migrate(ctx, goose.DialectSQLite3, f.db, migrations)
	return err
}

// load reads a collection; nil when the file does not have it.
func (f *file) load(ctx context.Context, key engine.Collection) (*collection, error) {
	id, known := f.ids[key]
	if !known {
		return nil, nil
	}
	rows, err := f.db.QueryContext(ctx, `
		SELECT id, vector, text, service, operation, version, region, family, source, at
		FROM memos WHERE collection = ? ORDER BY rowid`, id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	c := newCollection(key)
	vector := make([]float32, 0, key.Model.Dimension)
	for rows.Next() {
		var m engine.Memo
		var raw sql.RawBytes
		var at int64
		if err := rows.Scan(&m.ID, &raw, &m.Text, &m.Service, &m.Operation, &m.Version, &m.Region, &m.Family, &m.Source, &at); err != nil {
			return nil, err
		}
		if m.Vector, err = decodeVector(vector[:0], raw, key.Model.Dimension); err != nil {
			return nil, fmt.Errorf("memo %q: %w", m.ID, err)
		}
		// The bounds of a scan rest on it.
		if l := length(m.Vector); l > maxLength || l < 1/maxLength {
			return nil, engine.Errorf(engine.CodeInternal, "memo %q: stored vector has length %g, want 1", m.ID, l)
		}
		m.At = retrieval.Time(at)
		c.put(m)
	}
	return c, rows.Err()
}

// change is what one write does to one collection.
type change struct {
	key    engine.Collection
	put    map[string]engine.Memo
	remove []string
}

// apply writes the changes in one transaction.
func (f *file) apply(ctx context.Context, changes []change) error {
	tx, err := f.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	made := map[engine.Collection]int64{}
	for _, ch := range changes {
		if err := f.applyOne(ctx, tx, ch, made); err != nil {
			return errors.Join(err, ignoreDone(tx.Rollback()))
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	for key, id := range made {
		f.ids[key] = id
	}
	return nil
}

func (f *file) applyOne(ctx context.Context, tx *sql.Tx, ch change, made map[engine.Collection]int64) error {
	id, known := f.ids[ch.key]
	if !known {
		m := ch.key.Model
		if err := tx.QueryRowContext(ctx, `
			INSERT INTO collections (purpose, kind, model, model_version, dimension) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET dimension = dimension RETURNING id`,
			ch.key.Purpose, ch.key.Kind, m.Name, m.Version, m.Dimension).Scan(&id); err != nil {
			return err
		}
		made[ch.key] = id
	}
	if err := insertMemos(ctx, tx, id, ch.put); err != nil {
		return err
	}
	return deleteMemos(ctx, tx, id, ch.remove)
}

func insertMemos(ctx context.Context, tx *sql.Tx, collection int64, memos map[string]engine.Memo) error {
	insert, err := tx.PrepareContext(ctx, `
		INSERT INTO memos (collection, id, vector, text, service, operation, version, region, family, source, at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (collection, id) DO UPDATE SET vector = excluded.vector, text = excluded.text,
			service = excluded.service, operation = excluded.operation, version = excluded.version,
			region = excluded.region, family = excluded.family, source = excluded.source, at = excluded.at`)
	if err != nil {
		return err
	}
	defer insert.Close()
	for id, m := range memos {
		if _, err := insert.ExecContext(ctx, collection, id, encodeVector(m.Vector), m.Text, m.Service, m.Operation,
			m.Version, m.Region, m.Family, m.Source, retrieval.Nanos(m.At)); err != nil {
			return fmt.Errorf("memo %q: %w", id, err)
		}
	}
	return nil
}

func deleteMemos(ctx context.Context, tx *sql.Tx, collection int64, ids []string) error {
	remove, err := tx.PrepareContext(ctx, `DELETE FROM memos WHERE collection = ? AND id = ?`)
	if err != nil {
		return err
	}
	defer remove.Close()
	for _, id := range ids {
		if _, err := remove.ExecContext(ctx, collection, id); err != nil {
			return fmt.Errorf("memo %q: %w", id, err)
		}
	}
	return nil
}

// ignoreDone drops the error of rolling back what the context's end has rolled back already.
func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}
