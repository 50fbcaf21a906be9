package postgres

import (
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Config says where the database is and what bounds its use.
type Config struct {
	// URL is postgres://user:password@host:port/database, with the settings of libpq behind a question mark, or their
	// key=value form. What it leaves out comes from libpq's environment variables, such as PGPASSWORD, and from its defaults.
	URL engine.Secret `yaml:"url"`
	// Schema holds the tables. It is made when it is missing.
	Schema string `yaml:"schema"`
	// MaxConnections is how many connections are open at once, at least 2; calls beyond wait for one.
	MaxConnections int `yaml:"max_connections"`
	// ConnectTimeout is how long making a connection to one host may take.
	ConnectTimeout time.Duration `yaml:"connect_timeout"`
	// Timeout is how long one call may take, waiting for a connection included. Prune is bounded by its context alone.
	Timeout time.Duration `yaml:"timeout"`
	// Retention is how long records are kept: the service calls Prune with now minus Retention.
	Retention time.Duration `yaml:"retention"`
	// MaxDeferred is how many traces the backlog holds before Defer answers with CodeFull.
	MaxDeferred int `yaml:"max_deferred"`
	// MaxDead is how many dead deliveries are kept; beyond, the oldest are forgotten.
	MaxDead int `yaml:"max_dead_deliveries"`
	// MaxSnapshotBytes is the largest snapshot that is taken.
	MaxSnapshotBytes int `yaml:"max_snapshot_bytes"`
}

// DefaultConfig keeps 30 days in the schema sentinel. The URL is for the user to say.
func DefaultConfig() Config {
	return Config{
		Schema:           "sentinel",
		MaxConnections:   10,
		ConnectTimeout:   5 * time.Second,
		Timeout:          15 * time.Second,
		Retention:        30 * 24 * time.Hour,
		MaxDeferred:      10_000,
		MaxDead:          10_000,
		MaxSnapshotBytes: 256 << 20,
	}
}

// Validate says what is wrong with the first setting that is. A password is not part of what it says.
func (c Config) Validate() error {
	switch {
	case c.URL == "":
		return engine.Errorf(engine.CodeInvalid, "postgres: url: want postgres://user:password@host:port/database")
	case !plainName.MatchString(c.Schema) || strings.HasPrefix(c.Schema, "pg_"):
		return engine.Errorf(engine.CodeInvalid,
			"postgres: schema %.64q: want up to 63 lower-case letters, digits and underscores, not pg_ at the beginning", c.Schema)
	case c.MaxConnections < 2 || c.MaxConnections > maxConnections:
		return engine.Errorf(engine.CodeInvalid, "postgres: max_connections %d: want 2 to %d", c.MaxConnections, maxConnections)
	case c.ConnectTimeout <= 0:
		return engine.Errorf(engine.CodeInvalid, "postgres: connect_timeout %s: want more than 0", c.ConnectTimeout)
	case c.Timeout <= 0:
		return engine.Errorf(engine.CodeInvalid, "postgres: timeout %s: want more than 0", c.Timeout)
	case c.Retention <= 0:
		return engine.Errorf(engine.CodeInvalid, "postgres: retention %s: want more than 0", c.Retention)
	case c.MaxDeferred < 1:
		return engine.Errorf(engine.CodeInvalid, "postgres: max_deferred %d: want 1 or more", c.MaxDeferred)
	case c.MaxDead < 1:
		return engine.Errorf(engine.CodeInvalid, "postgres: max_dead_deliveries %d: want 1 or more", c.MaxDead)
	case c.MaxSnapshotBytes < 1 || c.MaxSnapshotBytes > maxBlob:
		return engine.Errorf(engine.CodeInvalid, "postgres: max_snapshot_bytes %d: want 1 to %d", c.MaxSnapshotBytes, maxBlob)
	}
	_, err := c.pool()
	return err
}

const (
	maxConnections = 1000
	maxBlob        = 900 << 20 // below PostgreSQL's own bound of 1 GiB on a value
)

// plainName is a name that the search path reads as it is written.
var plainName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

// pool is how pgx is told all this.
func (c Config) pool() (*pgxpool.Config, error) {
	p, err := pgxpool.ParseConfig(c.URL.Reveal())
	if err != nil {
		return nil, engine.Errorf(engine.CodeInvalid, "postgres: url: %w", err)
	}
	p.MaxConns = int32(c.MaxConnections)
	p.ConnConfig.ConnectTimeout = c.ConnectTimeout
	p.ConnConfig.RuntimeParams["search_path"] = c.Schema
	if p.ConnConfig.RuntimeParams["application_name"] == "" {
		p.ConnConfig.RuntimeParams["application_name"] = "llm-sentinel"
	}
	return p, nil
}
