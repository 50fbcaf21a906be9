package app_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/cmd/sentinel/app"
	"github.com/llm-sentinel/llm-sentinel/deploy/stack/stacktest"
	"github.com/llm-sentinel/llm-sentinel/engine"
)

func TestMigrateMakesTheSchemaOfTheMemory(t *testing.T) {
	cfg := config(t)
	cfg.Memory.Provider, cfg.Memory.PGVector.URL = app.MemoryPGVector, engine.Secret(stacktest.Require(t, "SENTINEL_TEST_POSTGRES"))
	cfg.Memory.PGVector.Schema = "test_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	conn, err := pgx.Connect(t.Context(), cfg.Memory.PGVector.URL.Reveal())
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := conn.Exec(context.Background(), `SET client_min_messages = warning; DROP SCHEMA IF EXISTS `+cfg.Memory.PGVector.Schema+` CASCADE`)
		require.NoError(t, err)
		require.NoError(t, conn.Close(context.Background()))
	})
	log := slog.New(slog.DiscardHandler)
	require.NoError(t, app.CheckMemory(t.Context(), cfg))
	for range 2 {
		require.NoError(t, app.Migrate(t.Context(), cfg, log))
		var tables int
		require.NoError(t, conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_tables WHERE schemaname = $1 AND tablename IN ('memos', 'collections')`,
			cfg.Memory.PGVector.Schema).Scan(&tables))
		require.Equal(t, 2, tables)
	}
}
