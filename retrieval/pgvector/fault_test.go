package pgvector_test

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/deploy/stack/stacktest"
	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/retrieval/pgvector"
)

// Nothing has to be done by hand when the database comes up after the service.
func TestServerMayComeLater(t *testing.T) {
	stacktest.Require(t, "SENTINEL_TEST_POSTGRES")
	server := stacktest.Own(t, "postgres")
	cfg := pgvector.DefaultConfig()
	cfg.URL = engine.Secret(server.Value(t, "SENTINEL_TEST_POSTGRES"))
	server.Stop(t)
	m := open(t, cfg)
	for range 3 {
		_, err := m.Nearest(t.Context(), all)
		require.Equal(t, engine.CodeUnavailable, engine.ErrorCode(err), "%v", err)
	}
	server.Start(t)
	require.NoError(t, m.Remember(t.Context(), memos(2)))
}

func TestErrorsNameTheServerAndNoPassword(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	cfg := pgvector.DefaultConfig()
	cfg.URL = engine.Secret("postgres://sentinel:hidden@" + address + "/memories?sslmode=disable")
	m := open(t, cfg)
	err = m.Remember(t.Context(), memos(1))
	require.Equal(t, engine.CodeUnavailable, engine.ErrorCode(err))
	require.ErrorContains(t, err, "remember 1 memos")
	require.ErrorContains(t, err, "refused")
	require.NotContains(t, err.Error(), "hidden")
}

// A server that takes the connection and never answers must not hold calls for ever, not even those that wait for the first.
func TestSilentServerTimesOut(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	cfg := pgvector.DefaultConfig()
	cfg.URL = engine.Secret("postgres://sentinel@" + listener.Addr().String() + "/memories?sslmode=disable")
	cfg.ConnectTimeout, cfg.Timeout = 50*time.Millisecond, 100*time.Millisecond
	m := open(t, cfg)
	errs := make(chan error)
	for range 4 {
		go func() {
			_, err := m.Nearest(context.Background(), all)
			errs <- err
		}()
	}
	for range 4 {
		err := <-errs
		require.Equal(t, engine.CodeUnavailable, engine.ErrorCode(err), "%v", err)
	}
}

func TestCallEndsWithinItsTimeout(t *testing.T) {
	cfg := config(t)
	cfg.Timeout = 200 * time.Millisecond
	patient := cfg
	patient.Timeout = time.Minute
	require.NoError(t, open(t, patient).Remember(t.Context(), memos(1)))
	m := open(t, cfg)
	conn := connect(t, cfg)
	defer conn.Close(context.Background())
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `LOCK TABLE collections IN ACCESS EXCLUSIVE MODE`)
	require.NoError(t, err)
	err = m.Remember(t.Context(), memos(1))
	require.Equal(t, engine.CodeUnavailable, engine.ErrorCode(err), "%v", err)
	_, err = m.Forget(t.Context(), all.Filter)
	require.Equal(t, engine.CodeUnavailable, engine.ErrorCode(err), "%v", err)
	require.NoError(t, tx.Rollback(t.Context()))
	require.Eventually(t, func() bool { return m.Remember(t.Context(), memos(1)) == nil }, 30*time.Second, time.Millisecond)
}

func TestMemoryOutlivesItsConnections(t *testing.T) {
	cfg := config(t)
	cfg.URL += engine.Secret("&application_name=" + cfg.Schema)
	m := open(t, cfg)
	require.NoError(t, m.Remember(t.Context(), memos(3)))
	require.Positive(t, scalar[int](t, cfg, `
		SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
		WHERE application_name = $1 AND pid <> pg_backend_pid()`, cfg.Schema))
	failures := 0
	for range cfg.MaxConnections + 1 {
		if err := m.Remember(t.Context(), memos(4)); err != nil {
			require.Equal(t, engine.CodeUnavailable, engine.ErrorCode(err), "%v", err)
			failures++
		}
	}
	require.LessOrEqual(t, failures, 1, "a connection that was ended fails one call at most")
}

func TestClosedMemoryIsUnavailable(t *testing.T) {
	m, err := pgvector.Open(t.Context(), config(t), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.NoError(t, m.Close())
	require.NoError(t, m.Close())
	require.Equal(t, engine.CodeUnavailable, engine.ErrorCode(m.Remember(t.Context(), memos(1))))
}

func TestCheckSaysWhetherTheDatabaseCanBeUsed(t *testing.T) {
	cfg := config(t)
	require.NoError(t, pgvector.Check(t.Context(), cfg))
	conn := connect(t, cfg)
	defer conn.Close(context.Background())
	var schemas int
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_namespace WHERE nspname = $1`, cfg.Schema).Scan(&schemas))
	require.Zero(t, schemas, "it changes nothing")
	cfg.URL = "postgres://sentinel:hidden@127.0.0.1:1/memories"
	err := pgvector.Check(t.Context(), cfg)
	require.Equal(t, engine.CodeUnavailable, engine.ErrorCode(err), "%v", err)
	require.ErrorContains(t, err, "127.0.0.1:1/memories")
	require.NotContains(t, err.Error(), "hidden")
	cfg.URL = ""
	require.Equal(t, engine.CodeInvalid, engine.ErrorCode(pgvector.Check(t.Context(), cfg)))
}
