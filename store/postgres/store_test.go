package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/llm-sentinel/llm-sentinel/deploy/stack/stacktest"
	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/store/postgres"
	"github.com/llm-sentinel/llm-sentinel/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// config is for a schema of the test's own, which its end drops.
func config(t *testing.T) postgres.Config {
	t.Helper()
	cfg := postgres.DefaultConfig()
	cfg.URL = engine.Secret(stacktest.Require(t, "SENTINEL_TEST_POSTGRES"))
	cfg.Schema = "test_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	t.Cleanup(func() {
		conn := connect(t, cfg)
		_, err := conn.Exec(context.Background(), `SET client_min_messages = warning; DROP SCHEMA IF EXISTS `+cfg.Schema+` CASCADE`)
		require.NoError(t, err)
		require.NoError(t, conn.Close(context.Background()))
	})
	return cfg
}

// connect is a connection beside the store's own.
func connect(t *testing.T, cfg postgres.Config) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), cfg.URL.Reveal())
	require.NoError(t, err)
	_, err = conn.Exec(context.Background(), `SET search_path = `+cfg.Schema)
	require.NoError(t, err)
	return conn
}

func open(t *testing.T, cfg postgres.Config) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func marker(id string) []engine.ChangeMarker {
	return []engine.ChangeMarker{{ID: id, At: time.Unix(1, 0).UTC()}}
}

// addMarkers adds n markers at the same time; what it returns waits for them.
func addMarkers(t *testing.T, s *postgres.Store, n int) func() {
	errs := make(chan error, n)
	for i := range n {
		go func() { errs <- s.AddMarkers(t.Context(), marker(fmt.Sprint(i))) }()
	}
	return func() {
		t.Helper()
		for range n {
			require.NoError(t, <-errs)
		}
	}
}

func countMarkers(t *testing.T, s *postgres.Store) int {
	t.Helper()
	markers, err := s.Markers(t.Context(), time.Unix(0, 0), time.Unix(100, 0))
	require.NoError(t, err)
	return len(markers)
}

func TestConformance(t *testing.T) {
	configs := map[storetest.Store]postgres.Config{}
	openWith := func(t *testing.T, cfg postgres.Config) storetest.Store {
		s := open(t, cfg)
		configs[s] = cfg
		return s
	}
	storetest.Run(t,
		func(t *testing.T) storetest.Store { return openWith(t, config(t)) },
		func(t *testing.T, s storetest.Store) storetest.Store {
			require.NoError(t, s.Close())
			return openWith(t, configs[s])
		})
}

func TestConfigRefusesWhatCannotWork(t *testing.T) {
	usual := postgres.DefaultConfig()
	usual.URL = "postgres://localhost:5432/sentinel"
	require.NoError(t, usual.Validate())
	for name, change := range map[string]func(*postgres.Config){
		"url":                 func(c *postgres.Config) { c.URL = "" },
		"url scheme":          func(c *postgres.Config) { c.URL = "mysql://localhost" },
		"url port":            func(c *postgres.Config) { c.URL = "postgres://u:hidden@localhost:port/db" },
		"url setting":         func(c *postgres.Config) { c.URL = "postgres://u:hidden@localhost/db?pool_max_conns=many" },
		"url tls":             func(c *postgres.Config) { c.URL = "postgres://u:hidden@localhost/db?sslmode=maybe" },
		"schema":              func(c *postgres.Config) { c.Schema = "" },
		"schema with quotes":  func(c *postgres.Config) { c.Schema = `a", public` },
		"schema upper case":   func(c *postgres.Config) { c.Schema = "Sentinel" },
		"schema reserved":     func(c *postgres.Config) { c.Schema = "pg_sentinel" },
		"schema too long":     func(c *postgres.Config) { c.Schema = strings.Repeat("a", 64) },
		"max_connections":     func(c *postgres.Config) { c.MaxConnections = 1 },
		"connect_timeout":     func(c *postgres.Config) { c.ConnectTimeout = 0 },
		"timeout":             func(c *postgres.Config) { c.Timeout = 0 },
		"retention":           func(c *postgres.Config) { c.Retention = 0 },
		"max_deferred":        func(c *postgres.Config) { c.MaxDeferred = 0 },
		"max_dead_deliveries": func(c *postgres.Config) { c.MaxDead = 0 },
		"max_snapshot_bytes":  func(c *postgres.Config) { c.MaxSnapshotBytes = 1 << 30 },
	} {
		cfg := usual
		change(&cfg)
		err := cfg.Validate()
		require.Equal(t, engine.CodeInvalid, engine.ErrorCode(err), name)
		require.NotContains(t, err.Error(), "hidden", "%s: a password is not told", name)
		_, err = postgres.Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
		require.Equal(t, engine.CodeInvalid, engine.ErrorCode(err), name)
	}
}

func TestInstancesThatStartTogetherMigrateOnce(t *testing.T) {
	cfg := config(t)
	const instances = 6
	var wg sync.WaitGroup
	errs := make(chan error, instances)
	for i := range instances {
		wg.Go(func() {
			s, err := postgres.Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
			if err == nil {
				err = errors.Join(s.AddMarkers(t.Context(), marker(fmt.Sprint(i))), s.Close())
			}
			errs <- err
		})
	}
	wg.Wait()
	for range instances {
		require.NoError(t, <-errs)
	}
	require.Equal(t, instances, countMarkers(t, open(t, cfg)))

	conn := connect(t, cfg)
	defer conn.Close(context.Background())
	var twice int
	require.NoError(t, conn.QueryRow(t.Context(),
		`SELECT count(*) FROM (SELECT version_id FROM goose_db_version GROUP BY version_id HAVING count(*) > 1)`).Scan(&twice))
	require.Zero(t, twice)
	var locks int
	require.NoError(t, conn.QueryRow(t.Context(), `
		SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
		AND (classid::bigint << 32 | objid::bigint) = hashtextextended($1, 0)`, "llm-sentinel/"+cfg.Schema+"/migrate").Scan(&locks))
	require.Zero(t, locks, "a connection that went back to the pool holds no lock")
}

func TestOpenRefusesANewerSchema(t *testing.T) {
	cfg := config(t)
	open(t, cfg)
	conn := connect(t, cfg)
	defer conn.Close(context.Background())
	_, err := conn.Exec(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)`)
	require.NoError(t, err)
	_, err = postgres.Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	require.Equal(t, engine.CodeConflict, engine.ErrorCode(err))
	require.ErrorContains(t, err, "newer")
}

// An operator may migrate with a role of more rights than the service has.
func TestServiceNeedsNoRightToMakeTables(t *testing.T) {
	cfg := config(t)
	require.NoError(t, open(t, cfg).AddMarkers(t.Context(), marker("a")))
	conn := connect(t, cfg)
	defer conn.Close(context.Background())
	role := strings.Replace(cfg.Schema, "test_", "role_", 1)
	_, err := conn.Exec(t.Context(), fmt.Sprintf(`
		CREATE ROLE %[2]s LOGIN;
		GRANT USAGE ON SCHEMA %[1]s TO %[2]s;
		GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %[1]s TO %[2]s`, cfg.Schema, role))
	require.NoError(t, err)
	defer func() {
		_, err := conn.Exec(context.Background(), fmt.Sprintf(`DROP OWNED BY %[1]s; DROP ROLE %[1]s`, role))
		require.NoError(t, err)
	}()
	cfg.URL = engine.Secret(strings.Replace(cfg.URL.Reveal(), "sentinel@", role+"@", 1))
	s := open(t, cfg)
	require.NoError(t, s.AddMarkers(t.Context(), marker("b")))
	require.Equal(t, 2, countMarkers(t, s))
	require.NoError(t, s.Close())
}

func TestSchemasAreApart(t *testing.T) {
	one, other := open(t, config(t)), open(t, config(t))
	require.NoError(t, one.AddMarkers(t.Context(), marker("a")))
	require.Equal(t, 1, countMarkers(t, one))
	require.Zero(t, countMarkers(t, other))
}

func TestOneInstancePrunesAtATime(t *testing.T) {
	cfg := config(t)
	s := open(t, cfg)
	require.NoError(t, s.AddMarkers(t.Context(), marker("a")))
	conn := connect(t, cfg)
	defer conn.Close(context.Background())
	lock := "llm-sentinel/" + cfg.Schema + "/prune"
	_, err := conn.Exec(t.Context(), `SELECT pg_advisory_lock(hashtextextended($1, 0))`, lock)
	require.NoError(t, err)
	deleted, err := s.Prune(t.Context(), time.Unix(50, 0))
	require.NoError(t, err)
	require.Zero(t, deleted, "another instance prunes")
	_, err = conn.Exec(t.Context(), `SELECT pg_advisory_unlock(hashtextextended($1, 0))`, lock)
	require.NoError(t, err)
	deleted, err = s.Prune(t.Context(), time.Unix(50, 0))
	require.NoError(t, err)
	require.Equal(t, 1, deleted)
}

func TestBoundsAreKept(t *testing.T) {
	cfg := config(t)
	cfg.MaxDeferred, cfg.MaxSnapshotBytes = 5, 10
	instances := []*postgres.Store{open(t, cfg), open(t, cfg)}
	at := time.Unix(1_700_000_000, 0).UTC()
	wait := func(n byte) engine.Deferred {
		return engine.Deferred{Trace: engine.NewTrace(engine.TraceID{n}, []engine.Span{{Name: "run", Start: at, End: at}})}
	}
	var wg sync.WaitGroup
	codes := make(chan engine.Code, 20)
	for n := range 20 {
		wg.Go(func() { codes <- engine.ErrorCode(instances[n%2].Defer(t.Context(), wait(byte(n+1)))) })
	}
	wg.Wait()
	close(codes)
	counts := map[engine.Code]int{}
	for code := range codes {
		counts[code]++
	}
	require.Equal(t, map[engine.Code]int{"": 5, engine.CodeFull: 15}, counts, "exactly, over all instances")
	s := instances[0]
	waiting, err := s.NextDeferred(t.Context(), 10)
	require.NoError(t, err)
	require.NoError(t, s.Defer(t.Context(), waiting[0]), "replacing needs no room")
	require.NoError(t, s.FinishDeferred(t.Context(), []engine.TraceID{waiting[0].Trace.ID}))
	require.NoError(t, s.Defer(t.Context(), wait(100)))

	require.NoError(t, s.SaveSnapshot(t.Context(), "n", at, make([]byte, 10)))
	require.Equal(t, engine.CodeTooLarge, engine.ErrorCode(s.SaveSnapshot(t.Context(), "n", at, make([]byte, 11))))
}

func TestConnectionsAreBounded(t *testing.T) {
	cfg := config(t)
	cfg.MaxConnections = 3
	cfg.URL += engine.Secret("&application_name=" + cfg.Schema)
	s := open(t, cfg)
	written := addMarkers(t, s, 30)
	conn := connect(t, cfg)
	defer conn.Close(context.Background())
	var connections int
	require.NoError(t, conn.QueryRow(t.Context(),
		`SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND pid <> pg_backend_pid()`, cfg.Schema).Scan(&connections))
	require.LessOrEqual(t, connections, 3)
	written()
	require.Equal(t, 30, countMarkers(t, s))
}

func TestDeadDeliveriesAreBounded(t *testing.T) {
	cfg := config(t)
	cfg.MaxDead = 3
	storetest.DeadAreBounded(t, open(t, cfg))
}
