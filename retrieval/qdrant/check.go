package qdrant

import (
	"context"

	"github.com/qdrant/go-client/qdrant"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Check says why the server cannot be used now: it does not answer, or refuses the API key. It changes nothing.
func Check(ctx context.Context, cfg Config) (err error) {
	if err := cfg.Validate(); err != nil {
		return err
	}
	conn, err := dial(cfg)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // it was only read
	client := qdrant.NewGrpcClientFromConn(conn)
	if _, err := client.Collections().List(ctx, &qdrant.ListCollectionsRequest{}); err != nil { // a health check would pass with any key
		return engine.Errorf(errorCode(err), "qdrant: list the collections of %s: %w", cfg.Address, err)
	}
	return nil
}
