package sqlite

import (
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Config says where the file is and what bounds it.
type Config struct {
	// Path of the database file. It and its folder are made when they are missing, for the owner alone.
	Path string `yaml:"path"`
	// BusyTimeout is how long a write waits for another process that holds the file.
	BusyTimeout time.Duration `yaml:"busy_timeout"`
	// ReadConnections is how many reads run at once.
	ReadConnections int `yaml:"read_connections"`
	// Retention is how long records are kept: the service calls Prune with now minus Retention.
	Retention time.Duration `yaml:"retention"`
	// MaxBytes is the size above which Prune deletes further records, oldest first; 0 is no bound.
	MaxBytes int64 `yaml:"max_bytes"`
	// MaxDeferred is how many traces the backlog holds before Defer answers with CodeFull.
	MaxDeferred int `yaml:"max_deferred"`
	// MaxDead is how many dead deliveries are kept; beyond, the oldest are forgotten.
	MaxDead int `yaml:"max_dead_deliveries"`
	// MaxSnapshotBytes is the largest snapshot that is taken.
	MaxSnapshotBytes int `yaml:"max_snapshot_bytes"`
}

// DefaultConfig keeps 30 days in at most 4 GiB under ./data.
func DefaultConfig() Config {
	return Config{
		Path:             "data/sentinel.db",
		BusyTimeout:      5 * time.Second,
		ReadConnections:  4,
		Retention:        30 * 24 * time.Hour,
		MaxBytes:         4 << 30,
		MaxDeferred:      10_000,
		MaxDead:          10_000,
		MaxSnapshotBytes: 256 << 20,
	}
}

// Validate says what is wrong with the first setting that is.
func (c Config) Validate() error {
	switch {
	case c.Path == "" || c.Path == ":memory:":
		return engine.Errorf(engine.CodeInvalid, "sqlite: path %q: want a file", c.Path)
	case c.BusyTimeout < 0:
		return engine.Errorf(engine.CodeInvalid, "sqlite: busy_timeout %s: want 0 or more", c.BusyTimeout)
	case c.ReadConnections < 1:
		return engine.Errorf(engine.CodeInvalid, "sqlite: read_connections %d: want 1 or more", c.ReadConnections)
	case c.Retention <= 0:
		return engine.Errorf(engine.CodeInvalid, "sqlite: retention %s: want more than 0", c.Retention)
	case c.MaxBytes < 0:
		return engine.Errorf(engine.CodeInvalid, "sqlite: max_bytes %d: want 0 or more", c.MaxBytes)
	case c.MaxDeferred < 1:
		return engine.Errorf(engine.CodeInvalid, "sqlite: max_deferred %d: want 1 or more", c.MaxDeferred)
	case c.MaxDead < 1:
		return engine.Errorf(engine.CodeInvalid, "sqlite: max_dead_deliveries %d: want 1 or more", c.MaxDead)
	case c.MaxSnapshotBytes < 1 || c.MaxSnapshotBytes > maxBlob:
		return engine.Errorf(engine.CodeInvalid, "sqlite: max_snapshot_bytes %d: want 1 to %d", c.MaxSnapshotBytes, maxBlob)
	}
	return nil
}

// maxBlob is below SQLite's own bound of 10⁹ bytes on a row.
const maxBlob = 900 << 20
