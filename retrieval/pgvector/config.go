package pgvector

import (
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Config says where the database is, what bounds its use, and how exact a search is.
type Config struct {
	// URL is postgres://user:password@host:port/database, with the settings of libpq behind a question mark, or their
	// key=value form. What it leaves out comes from libpq's environment variables, such as PGPASSWORD, and from its defaults.
	URL engine.Secret `yaml:"url"`
	// Schema holds the tables. It is made when it is missing, and may be that of the store.
	Schema string `yaml:"schema"`
	// MaxConnections is how many connections are open at once, at least 2; calls beyond wait for one. An index is made over one.
	MaxConnections int `yaml:"max_connections"`
	// ConnectTimeout is how long making a connection to one host may take.
	ConnectTimeout time.Duration `yaml:"connect_timeout"`
	// Timeout is how long one call may take, waiting for a connection included.
	Timeout time.Duration `yaml:"timeout"`
	// MaxPerCollection is how many memos a collection holds. Beyond it the oldest make room, and a hundredth of the bound with
	// them, so that not every write has to.
	MaxPerCollection int `yaml:"max_per_collection"`
	// IndexFrom is how many memos a collection has when its index is made. Below it every memo is compared, which is exact.
	IndexFrom int `yaml:"index_from"`
	// IndexMemoryMB is how much memory the server may take to make an index, in MiB. An index that needs more takes much longer.
	IndexMemoryMB int `yaml:"index_memory_mb"`
	// M is the number of links of a vector in the index, EfConstruction how many candidates are looked at for them, EfSearch
	// how many a search looks at. Higher is more exact and slower. M and EfConstruction hold for indexes made from then on.
	M              int `yaml:"m"`
	EfConstruction int `yaml:"ef_construction"`
	EfSearch       int `yaml:"ef_search"`
	// MaxScanTuples is how many memos a search goes through for those that pass its filter.
	MaxScanTuples int `yaml:"max_scan_tuples"`
}

// DefaultConfig uses the schema sentinel. The URL is for the user to say.
func DefaultConfig() Config {
	return Config{
		Schema:           "sentinel",
		MaxConnections:   10,
		ConnectTimeout:   5 * time.Second,
		Timeout:          15 * time.Second,
		MaxPerCollection: 100_000,
		IndexFrom:        5_000,
		IndexMemoryMB:    256,
		M:                16,
		EfConstruction:   64,
		EfSearch:         100,
		MaxScanTuples:    20_000,
	}
}

// Validate says what is wrong with the first setting that is. A password is not part of what it says.
func (c Config) Validate() error {
	if c.URL == "" {
		return engine.Errorf(engine.CodeInvalid, "pgvector: url: want postgres://user:password@host:port/database")
	}
	if !plainName.MatchString(c.Schema) || strings.HasPrefix(c.Schema, "pg_") {
		return engine.Errorf(engine.CodeInvalid,
			"pgvector: schema %.64q: want up to 63 lower-case letters, digits and underscores, not pg_ at the beginning", c.Schema)
	}
	for _, setting := range []struct {
		name              string
		value, from, upTo int
	}{
		{"max_connections", c.MaxConnections, 2, 1000},
		{"max_per_collection", c.MaxPerCollection, 1, 1 << 30},
		{"index_from", c.IndexFrom, 1, 1 << 30},
		{"index_memory_mb", c.IndexMemoryMB, 1, 1 << 20},
		{"m", c.M, 2, 100},
		{"ef_construction", c.EfConstruction, 2 * c.M, 1000},
		{"ef_search", c.EfSearch, 1, 1000},
		{"max_scan_tuples", c.MaxScanTuples, 1, 1 << 30},
	} {
		if setting.value < setting.from || setting.value > setting.upTo {
			return engine.Errorf(engine.CodeInvalid, "pgvector: %s %d: want %d to %d", setting.name, setting.value, setting.from, setting.upTo)
		}
	}
	switch {
	case c.ConnectTimeout <= 0:
		return engine.Errorf(engine.CodeInvalid, "pgvector: connect_timeout %s: want more than 0", c.ConnectTimeout)
	case c.Timeout <= 0:
		return engine.Errorf(engine.CodeInvalid, "pgvector: timeout %s: want more than 0", c.Timeout)
	}
	_, err := c.pool()
	return err
}

// plainName is a name that the search path reads as it is written.
var plainName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

// pool is how pgx is told all this. Whoever uses it says where the types of the extension are.
func (c Config) pool() (*pgxpool.Config, error) {
	p, err := pgxpool.ParseConfig(c.URL.Reveal())
	if err != nil {
		return nil, engine.Errorf(engine.CodeInvalid, "pgvector: url: %w", err)
	}
	p.MaxConns = int32(c.MaxConnections)
	p.ConnConfig.ConnectTimeout = c.ConnectTimeout
	if p.ConnConfig.RuntimeParams["application_name"] == "" {
		p.ConnConfig.RuntimeParams["application_name"] = "llm-sentinel"
	}
	return p, nil
}
