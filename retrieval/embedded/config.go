package embedded

import (
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Config says where the memory is kept and what bounds it.
type Config struct {
	// Path of the SQLite file. With "" or ":memory:" nothing outlives the process.
	Path string `yaml:"path"`
	// MaxPerCollection is how many memos a collection holds. Each takes 5 bytes a dimension, its texts, and about
	// 200 bytes.
	MaxPerCollection int `yaml:"max_per_collection"`
	// BusyTimeout is how long a write waits for another process that holds the file.
	BusyTimeout time.Duration `yaml:"busy_timeout"`
}

// DefaultConfig keeps up to 100,000 memos a collection under ./data.
func DefaultConfig() Config {
	return Config{Path: "data/memory.db", MaxPerCollection: 100_000, BusyTimeout: 5 * time.Second}
}

// Validate says what is wrong with the first setting that is.
func (c Config) Validate() error {
	switch {
	case c.MaxPerCollection < 1:
		return engine.Errorf(engine.CodeInvalid, "embedded memory: max_per_collection %d: want 1 or more", c.MaxPerCollection)
	case c.BusyTimeout < 0:
		return engine.Errorf(engine.CodeInvalid, "embedded memory: busy_timeout %s: want 0 or more", c.BusyTimeout)
	}
	return nil
}

func (c Config) volatile() bool { return c.Path == "" || c.Path == ":memory:" }
