package app

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/retrieval/embedded"
	"github.com/llm-sentinel/llm-sentinel/retrieval/pgvector"
	"github.com/llm-sentinel/llm-sentinel/retrieval/qdrant"
)

// MemoryConfig chooses where vectors are kept. The embedded memory is always there: beside another it learns too, and stands in for it.
type MemoryConfig struct {
	Provider string          `yaml:"provider"` // embedded, pgvector or qdrant
	Embedded embedded.Config `yaml:"embedded"`
	PGVector pgvector.Config `yaml:"pgvector"`
	Qdrant   qdrant.Config   `yaml:"qdrant"`
}

// The memories.
const (
	MemoryEmbedded = "embedded"
	MemoryPGVector = "pgvector"
	MemoryQdrant   = "qdrant"
)

// Validate checks the embedded memory, and the one that is chosen.
func (c MemoryConfig) Validate() error {
	if err := c.Embedded.Validate(); err != nil {
		return err
	}
	switch c.Provider {
	case MemoryEmbedded:
		return nil
	case MemoryPGVector:
		return c.PGVector.Validate()
	case MemoryQdrant:
		return c.Qdrant.Validate()
	}
	return fmt.Errorf("memory.provider is %q, want %s, %s or %s", c.Provider, MemoryEmbedded, MemoryPGVector, MemoryQdrant)
}

// Memory is a vector memory that is open.
type Memory interface {
	engine.Memory
	Evicted() uint64 // memos forgotten because their collection was full
	Close() error
}

// OpenMemory opens the memory that the configuration chooses, and brings its schema up to date where it has one. A server that does not
// answer is no error: it is asked again when it is used.
func OpenMemory(ctx context.Context, cfg Config, log *slog.Logger) (Memory, error) {
	switch cfg.Memory.Provider {
	case MemoryPGVector:
		return pgvector.Open(ctx, cfg.Memory.PGVector, log)
	case MemoryQdrant:
		return qdrant.Open(ctx, cfg.Memory.Qdrant, log)
	}
	return openEmbedded(ctx, cfg, log)
}

func openEmbedded(ctx context.Context, cfg Config, log *slog.Logger) (*embedded.Memory, error) {
	c := cfg.Memory.Embedded
	c.Path = cfg.Path(c.Path)
	return embedded.Open(ctx, c, log)
}

// CheckMemory says why the memory that the configuration chooses cannot be used now. It changes nothing.
func CheckMemory(ctx context.Context, cfg Config) error {
	switch cfg.Memory.Provider {
	case MemoryPGVector:
		return pgvector.Check(ctx, cfg.Memory.PGVector)
	case MemoryQdrant:
		return qdrant.Check(ctx, cfg.Memory.Qdrant)
	}
	return nil
}

// Migrate brings the schemas of the store and of the vector memory up to date. The embedded memory sees to its own, in the one process that
// its file belongs to.
func Migrate(ctx context.Context, cfg Config, log *slog.Logger) error {
	s, err := OpenStore(ctx, cfg, log)
	if err != nil {
		return err
	}
	if err := s.Close(); err != nil || cfg.Memory.Provider != MemoryPGVector {
		return err
	}
	if err := CheckMemory(ctx, cfg); err != nil { // opening it would go on without the server
		return err
	}
	m, err := OpenMemory(ctx, cfg, log)
	if err != nil {
		return err
	}
	return m.Close()
}
