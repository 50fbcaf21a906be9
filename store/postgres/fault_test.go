package postgres_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/deploy/stack/stacktest"
	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/store/postgres"
)

func TestUnreachableServerIsNamed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())

	cfg := postgres.DefaultConfig()
	cfg.URL = engine.Secret("postgres://sentinel:hidden@" + address + "/records?sslmode=disable")
	_, err = postgres.Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	require.Equal(t, engine.CodeUnavailable, engine.ErrorCode(err))
	require.ErrorContains(t, err, address+"/records")
	require.ErrorContains(t, err, "refused")
	require.NotContains(t, err.Error(), "hidden")
}

// A server that takes the connection and never answers must not hold a call for ever.
func TestSilentServerTimesOut(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	cfg := postgres.DefaultConfig()
	cfg.URL = engine.Secret("postgres://sentinel@" + listener.Addr().String() + "/records?sslmode=disable")
	cfg.ConnectTimeout = 50 * time.Millisecond
	_, err = postgres.Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	require.Equal(t, engine.CodeUnavailable, engine.ErrorCode(err), "%v", err)
}

func TestRefusedLoginIsUnavailable(t *testing.T) {
	cfg := config(t)
	cfg.URL = engine.Secret(strings.Replace(cfg.URL.Reveal(), "sentinel@", "nobody_knows@", 1))
	_, err := postgres.Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	require.Equal(t, engine.CodeUnavailable, engine.ErrorCode(err))
	require.ErrorContains(t, err, "nobody_knows")
}

func TestCallEndsWithinItsTimeout(t *testing.T) {
	cfg := config(t)
	cfg.Timeout = 100 * time.Millisecond
	s := open(t, cfg)
	conn := connect(t, cfg)
	defer conn.Close(context.Background())
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `LOCK TABLE markers IN ACCESS EXCLUSIVE MODE`)
	require.NoError(t, err)
	err = s.AddMarkers(t.Context(), marker("a"))
	require.Equal(t, engine.CodeUnavailable, engine.ErrorCode(err), "%v", err)
	require.ErrorContains(t, err, "add 1 markers")
	_, err = s.Markers(t.Context(), time.Unix(0, 0), time.Unix(100, 0))
	require.Equal(t, engine.CodeUnavailable, engine.ErrorCode(err), "%v", err)
	require.NoError(t, tx.Rollback(t.Context()))
	require.Eventually(t, func() bool { return s.AddMarkers(t.Context(), marker("a")) == nil }, 30*time.Second, time.Millisecond)
}

func TestStoreOutlivesItsConnections(t *testing.T) {
	cfg := config(t)
	cfg.MaxConnections = 4
	cfg.URL += engine.Secret("&application_name=" + cfg.Schema)
	s := open(t, cfg)
	addMarkers(t, s, 20)() // opens all connections

	conn := connect(t, cfg)
	defer conn.Close(context.Background())
	var ended int
	require.NoError(t, conn.QueryRow(t.Context(), `
		SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
		WHERE application_name = $1 AND pid <> pg_backend_pid()`, cfg.Schema).Scan(&ended))
	require.Positive(t, ended)

	failures := 0
	for i := 0; i <= cfg.MaxConnections; i++ {
		if err := s.AddMarkers(t.Context(), marker("late")); err != nil {
			require.Equal(t, engine.CodeUnavailable, engine.ErrorCode(err), "%v", err)
			failures++
		}
	}
	require.LessOrEqual(t, failures, ended, "a connection that was ended fails one call at most")
	require.Equal(t, 21, countMarkers(t, s))
}

// The server is stopped and started under load. A writer repeats what failed, as the engine does; nothing that was
// acknowledged may be gone, and nothing may be half there.
func TestStoreOutlivesItsServer(t *testing.T) {
	stacktest.Require(t, "SENTINEL_TEST_POSTGRES")
	server := stacktest.Own(t, "postgres")
	cfg := postgres.DefaultConfig()
	cfg.URL = engine.Secret(server.Value(t, "SENTINEL_TEST_POSTGRES"))
	s := open(t, cfg)

	entry := func(id string) engine.Entry {
		at := time.Unix(1_700_000_000, 0).UTC()
		return engine.Entry{
			Incidents: []engine.Incident{{ID: id, Severity: engine.SeverityHigh, Status: engine.StatusOpen, Onset: at, LastSeen: at}},
			Anomalies: []engine.Anomaly{{ID: id, IncidentID: id, At: at, Severity: engine.SeverityHigh}},
		}
	}
	const writers = 4
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var failed, written atomic.Int64
	acknowledged := make([]int, writers)
	codes := make([]map[engine.Code]bool, writers)
	for w := range writers {
		wg.Go(func() {
			codes[w] = map[engine.Code]bool{}
			for ctx.Err() == nil {
				if err := s.Record(t.Context(), entry(fmt.Sprintf("%d-%d", w, acknowledged[w]))); err != nil {
					codes[w][engine.ErrorCode(err)] = true
					failed.Add(1)
					continue
				}
				acknowledged[w]++
				written.Add(1)
			}
		})
	}
	advance := func(counter *atomic.Int64, by int64) {
		t.Helper()
		from := counter.Load()
		require.Eventually(t, func() bool { return counter.Load() >= from+by }, time.Minute, time.Millisecond)
	}
	for range 3 {
		advance(&written, 50)
		server.Stop(t)
		advance(&failed, 20)
		server.Start(t)
		advance(&written, 50)
	}
	stop()
	wg.Wait()
	for w, n := range acknowledged {
		require.Equal(t, map[engine.Code]bool{engine.CodeUnavailable: true}, codes[w])
		for i := range n {
			id := fmt.Sprintf("%d-%d", w, i)
			_, err := s.Incident(t.Context(), id)
			require.NoError(t, err)
			_, err = s.Anomaly(t.Context(), id)
			require.NoError(t, err)
		}
	}
	t.Logf("%d entries acknowledged, %d calls failed, none lost", written.Load(), failed.Load())
}
