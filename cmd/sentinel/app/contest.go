package app

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"github.com/llm-sentinel/llm-sentinel/evals"
	"github.com/llm-sentinel/llm-sentinel/evals/retrieval"
	"github.com/llm-sentinel/llm-sentinel/retrieval/embedded"
	"github.com/llm-sentinel/llm-sentinel/retrieval/pgvector"
	"github.com/llm-sentinel/llm-sentinel/retrieval/qdrant"
)

// What the suite retrieval works in, beside what serves on the same server.
const (
	contestSchema = "sentinel_eval"
	contestSuffix = "-eval"
)

// memories are what the suite retrieval measures: the embedded memory, and the others where the configuration names a server, whether or
// not they serve.
func (s suiteParts) memories() []retrieval.Backend {
	return []retrieval.Backend{
		{Name: MemoryEmbedded, Open: s.embedded}, {Name: MemoryPGVector, Open: s.pgvector}, {Name: MemoryQdrant, Open: s.qdrant},
	}
}

// embedded opens an empty memory in a folder of its own.
func (s suiteParts) embedded(ctx context.Context) (retrieval.Memory, error) {
	c := s.cfg.Memory.Embedded
	c.Path = filepath.Join(s.opt.Folder, "memory.db")
	c.MaxPerCollection = max(c.MaxPerCollection, embedded.DefaultConfig().MaxPerCollection)
	return embedded.Open(ctx, c, s.opt.Logger)
}

// pgvector opens an empty memory in a schema of its own, which goes when it is closed.
func (s suiteParts) pgvector(ctx context.Context) (retrieval.Memory, error) {
	c := s.cfg.Memory.PGVector
	if c.URL == "" {
		return nil, evals.Unavailable("memory.pgvector.url is not set")
	}
	c.Schema, c.MaxPerCollection = contestSchema, max(c.MaxPerCollection, pgvector.DefaultConfig().MaxPerCollection)
	if err := errors.Join(pgvector.Check(ctx, c), dropSchema(ctx, c)); err != nil { // of a run that was interrupted
		return nil, err
	}
	m, err := pgvector.Open(ctx, c, s.opt.Logger)
	if err != nil {
		return nil, err
	}
	return passing{m, func() error { return dropSchema(context.WithoutCancel(ctx), c) }}, nil
}

func dropSchema(ctx context.Context, c pgvector.Config) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.URL.Reveal())
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, `SET client_min_messages = warning; DROP SCHEMA IF EXISTS `+pgx.Identifier{c.Schema}.Sanitize()+` CASCADE`)
	return errors.Join(err, conn.Close(ctx))
}

// qdrant opens a memory with collections of its own.
func (s suiteParts) qdrant(ctx context.Context) (retrieval.Memory, error) {
	c := s.cfg.Memory.Qdrant
	if c.Address == "" {
		return nil, evals.Unavailable("memory.qdrant.address is not set")
	}
	c.Prefix, c.MaxPerCollection = c.Prefix+contestSuffix, max(c.MaxPerCollection, qdrant.DefaultConfig().MaxPerCollection)
	if err := qdrant.Check(ctx, c); err != nil {
		return nil, err
	}
	return qdrant.Open(ctx, c, s.opt.Logger)
}

// passing is a memory of which nothing is to stay.
type passing struct {
	*pgvector.Memory
	clear func() error
}

// Close implements retrieval.Memory.
func (m passing) Close() error { return errors.Join(m.Memory.Close(), m.clear()) }
