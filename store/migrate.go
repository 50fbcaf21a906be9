package store

import (
	"context"
	"database/sql"
	"io/fs"

	"github.com/pressly/goose/v3"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Migrate brings a schema up to the latest of the migrations in the folder of that name, and says which it applied. A schema that is newer
// than this program is CodeConflict, and left alone. Package retrieval has its like: two rooms, which do not
// import each other.
func Migrate(ctx context.Context, dialect goose.Dialect, db *sql.DB, embedded fs.FS, options ...goose.ProviderOption) ([]*goose.MigrationResult, error) {
	files, err := fs.Sub(embedded, "migrations")
	if err != nil {
		return nil, err
	}
	options = append(options, goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	p, err := goose.NewProvider(dialect, db, files, options...)
	if err != nil {
		return nil, err
	}
	has, knows, err := p.GetVersions(ctx)
	if err != nil {
		return nil, err
	}
	if has > knows {
		return nil, engine.Errorf(engine.CodeConflict, "schema version %d is newer than this program, which knows %d", has, knows)
	}
	return p.Up(ctx)
}
