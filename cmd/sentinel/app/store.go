package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/llm-sentinel/llm-sentinel/api"
	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/store/postgres"
	"github.com/llm-sentinel/llm-sentinel/store/sqlite"
)

// StoreConfig chooses where records are kept.
type StoreConfig struct {
	Driver   string          `yaml:"driver"` // sqlite or postgres
	SQLite   sqlite.Config   `yaml:"sqlite"`
	Postgres postgres.Config `yaml:"postgres"`
}

// The stores.
const (
	StoreSQLite   = "sqlite"
	StorePostgres = "postgres"
)

// Validate checks the store that is chosen.
func (c StoreConfig) Validate() error {
	switch c.Driver {
	case StoreSQLite:
		return c.SQLite.Validate()
	case StorePostgres:
		return c.Postgres.Validate()
	}
	return fmt.Errorf("store.driver is %q, want %s or %s", c.Driver, StoreSQLite, StorePostgres)
}

// retention is how long records are kept.
func (c StoreConfig) retention() time.Duration {
	if c.Driver == StorePostgres {
		return c.Postgres.Retention
	}
	return c.SQLite.Retention
}

// Store is what both stores offer.
type Store interface {
	engine.Journal
	engine.MarkerLog
	engine.SnapshotStore
	engine.Shelf
	engine.EventLog
	engine.Backlog
	engine.Outbox
	engine.DeadLetters
	engine.FeedbackLog
	api.Listing
	api.Keys

	CreateKey(ctx context.Context, k engine.APIKey) error
	Keys(ctx context.Context) ([]engine.APIKey, error)
	RevokeKey(ctx context.Context, id string, at time.Time) error

	// ReceiverMemo and SaveReceiverMemo keep small facts of receivers of alerts. CodeNotFound when there is none.
	ReceiverMemo(ctx context.Context, receiver, key string) (string, error)
	SaveReceiverMemo(ctx context.Context, receiver, key, value string) error
	// DroppedDeliveries counts dead deliveries that were forgotten because there were too many.
	DroppedDeliveries() uint64

	// Prune deletes what is older and says how many records that were.
	Prune(ctx context.Context, before time.Time) (int, error)
	Close() error
}

// OpenStore opens the store that the configuration chooses, and brings its schema up to date.
func OpenStore(ctx context.Context, cfg Config, log *slog.Logger) (Store, error) {
	if cfg.Store.Driver == StorePostgres {
		return postgres.Open(ctx, cfg.Store.Postgres, log)
	}
	c := cfg.Store.SQLite
	c.Path = cfg.Path(c.Path)
	return sqlite.Open(ctx, c, log)
}
