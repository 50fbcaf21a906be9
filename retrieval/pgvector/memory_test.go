package pgvector_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
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
	"github.com/llm-sentinel/llm-sentinel/retrieval/pgvector"
	"github.com/llm-sentinel/llm-sentinel/retrieval/retrievaltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// config is for a schema of the test's own, which its end drops.
func config(t *testing.T) pgvector.Config {
	t.Helper()
	cfg := pgvector.DefaultConfig()
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

// connect is a connection beside the memory's own.
func connect(t *testing.T, cfg pgvector.Config) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), cfg.URL.Reveal())
	require.NoError(t, err)
	_, err = conn.Exec(context.Background(), `SET search_path = `+cfg.Schema+`, public`)
	require.NoError(t, err)
	return conn
}

// scalar asks for one value beside the memory.
func scalar[T any](t *testing.T, cfg pgvector.Config, query string, args ...any) (out T) {
	t.Helper()
	conn := connect(t, cfg)
	defer conn.Close(context.Background())
	require.NoError(t, conn.QueryRow(t.Context(), query, args...).Scan(&out))
	return out
}

func open(t *testing.T, cfg pgvector.Config) *pgvector.Memory {
	t.Helper()
	m, err := pgvector.Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

func conformance(t *testing.T, change func(*pgvector.Config), recall float64) {
	configs := map[engine.Memory]pgvector.Config{}
	openWith := func(t *testing.T, cfg pgvector.Config) engine.Memory {
		m := open(t, cfg)
		configs[m] = cfg
		return m
	}
	fresh := func(t *testing.T) pgvector.Config {
		cfg := config(t)
		change(&cfg)
		return cfg
	}
	retrievaltest.Run(t, func(t *testing.T) engine.Memory { return openWith(t, fresh(t)) }, retrievaltest.Options{
		Recall: recall,
		Reopen: func(t *testing.T, m engine.Memory) engine.Memory {
			require.NoError(t, m.(*pgvector.Memory).Close())
			return openWith(t, configs[m])
		},
		Bounded: func(t *testing.T, limit int) engine.Memory {
			cfg := fresh(t)
			cfg.MaxPerCollection = limit
			return open(t, cfg)
		},
		Server: func(t *testing.T) (engine.Memory, retrievaltest.Server) {
			stacktest.Require(t, "SENTINEL_TEST_POSTGRES")
			server := stacktest.Own(t, "postgres")
			cfg := pgvector.DefaultConfig()
			cfg.URL = engine.Secret(server.Value(t, "SENTINEL_TEST_POSTGRES"))
			change(&cfg)
			return open(t, cfg), server
		},
	})
}

func TestConformance(t *testing.T) { conformance(t, func(*pgvector.Config) {}, 1) }

// The same with an index from the first memo on.
func TestConformanceWithIndex(t *testing.T) {
	conformance(t, func(cfg *pgvector.Config) { cfg.IndexFrom = 1 }, 0.98)
}

func TestConfigRefusesWhatCannotWork(t *testing.T) {
	usual := pgvector.DefaultConfig()
	usual.URL = "postgres://localhost:5432/sentinel"
	require.NoError(t, usual.Validate())
	for name, change := range map[string]func(*pgvector.Config){
		"url":                func(c *pgvector.Config) { c.URL = "" },
		"url scheme":         func(c *pgvector.Config) { c.URL = "mysql://localhost" },
		"url port":           func(c *pgvector.Config) { c.URL = "postgres://u:hidden@localhost:port/db" },
		"url setting":        func(c *pgvector.Config) { c.URL = "postgres://u:hidden@localhost/db?pool_max_conns=many" },
		"schema":             func(c *pgvector.Config) { c.Schema = `a", public` },
		"schema reserved":    func(c *pgvector.Config) { c.Schema = "pg_sentinel" },
		"max_connections":    func(c *pgvector.Config) { c.MaxConnections = 1 },
		"max_per_collection": func(c *pgvector.Config) { c.MaxPerCollection = 0 },
		"index_from":         func(c *pgvector.Config) { c.IndexFrom = 0 },
		"index_memory_mb":    func(c *pgvector.Config) { c.IndexMemoryMB = 0 },
		"m":                  func(c *pgvector.Config) { c.M = 101 },
		"ef_construction":    func(c *pgvector.Config) { c.EfConstruction = 2*c.M - 1 },
		"ef_search":          func(c *pgvector.Config) { c.EfSearch = 1001 },
		"max_scan_tuples":    func(c *pgvector.Config) { c.MaxScanTuples = 0 },
		"connect_timeout":    func(c *pgvector.Config) { c.ConnectTimeout = 0 },
		"timeout":            func(c *pgvector.Config) { c.Timeout = 0 },
	} {
		cfg := usual
		change(&cfg)
		err := cfg.Validate()
		require.Equal(t, engine.CodeInvalid, engine.ErrorCode(err), name)
		require.NotContains(t, err.Error(), "hidden", "%s: a password is not told", name)
		_, err = pgvector.Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
		require.Equal(t, engine.CodeInvalid, engine.ErrorCode(err), name)
	}
}

var (
	collection = engine.Collection{
		Purpose: engine.PurposeNormal, Kind: engine.TextUserPrompt, Model: engine.Model{Name: "m", Version: "1", Dimension: 4},
	}
	all = engine.Query{Filter: engine.Filter{Collection: collection}, Vector: []float32{1, 0, 0, 0}, K: 100}
)

func memos(n int) []engine.Memo {
	out := make([]engine.Memo, n)
	for i := range out {
		out[i] = engine.Memo{
			ID: fmt.Sprintf("%05d", i), Collection: collection, Vector: []float32{1, float32(i), 0, 0}, At: time.Unix(int64(i), 0),
		}
	}
	return out
}

func TestInstancesThatStartTogetherMigrateOnce(t *testing.T) {
	cfg := config(t)
	const instances = 5
	var wg sync.WaitGroup
	errs := make(chan error, instances)
	for i := range instances {
		wg.Go(func() {
			m, err := pgvector.Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
			if err == nil { // the collection is made by all of them too
				err = errors.Join(m.Remember(t.Context(), memos(instances)[i:i+1]), m.Close())
			}
			errs <- err
		})
	}
	wg.Wait()
	for range instances {
		require.NoError(t, <-errs)
	}
	found, err := open(t, cfg).Nearest(t.Context(), all)
	require.NoError(t, err)
	require.Len(t, found, instances)
	require.Zero(t, scalar[int](t, cfg, `
		SELECT count(*) FROM (SELECT version_id FROM goose_memory_version GROUP BY version_id HAVING count(*) > 1)`))
	require.Equal(t, instances, scalar[int](t, cfg, `SELECT items FROM collections`))
}

func TestInstancesKeepOneBound(t *testing.T) {
	cfg := config(t)
	cfg.MaxPerCollection = 5
	instances := []*pgvector.Memory{open(t, cfg), open(t, cfg)}
	var wg sync.WaitGroup
	errs := make(chan error, 20)
	for i := range 20 {
		wg.Go(func() { errs <- instances[i%2].Remember(t.Context(), memos(20)[i:i+1]) })
	}
	wg.Wait()
	for range 20 {
		require.NoError(t, <-errs)
	}
	require.Equal(t, 5, scalar[int](t, cfg, `SELECT count(*) FROM memos`))
	require.Equal(t, 5, scalar[int](t, cfg, `SELECT items FROM collections`))
	require.Equal(t, uint64(15), instances[0].Evicted()+instances[1].Evicted())
}

func TestOpenRefusesANewerSchema(t *testing.T) {
	cfg := config(t)
	open(t, cfg)
	conn := connect(t, cfg)
	defer conn.Close(context.Background())
	_, err := conn.Exec(t.Context(), `INSERT INTO goose_memory_version (version_id, is_applied) VALUES (9999, true)`)
	require.NoError(t, err)
	_, err = pgvector.Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	require.Equal(t, engine.CodeConflict, engine.ErrorCode(err))
	require.ErrorContains(t, err, "newer")
}

// A database of its own, so that its extension can be in an odd place, old, or not there.
func TestExtension(t *testing.T) {
	cfg := config(t)
	name := strings.Replace(cfg.Schema, "test_", "db_", 1)
	admin := connect(t, cfg)
	_, err := admin.Exec(t.Context(), `CREATE DATABASE `+name)
	require.NoError(t, err)
	defer func() {
		_, err := admin.Exec(context.Background(), `DROP DATABASE `+name+` WITH (FORCE)`)
		require.NoError(t, errors.Join(err, admin.Close(context.Background())))
	}()
	url := cfg.URL
	cfg.URL = engine.Secret(strings.Replace(url.Reveal(), "/sentinel?", "/"+name+"?", 1))
	db, err := pgx.Connect(t.Context(), cfg.URL.Reveal())
	require.NoError(t, err)
	defer db.Close(context.Background())
	exec := func(statement string) {
		_, err := db.Exec(t.Context(), statement)
		require.NoError(t, err)
	}

	exec(`CREATE ROLE ` + name + ` LOGIN; GRANT CREATE ON DATABASE ` + name + ` TO ` + name)
	defer exec(`DROP OWNED BY ` + name + ` CASCADE; DROP ROLE ` + name)
	plain := cfg
	plain.URL = engine.Secret(strings.Replace(cfg.URL.Reveal(), "sentinel@", name+"@", 1))
	_, err = pgvector.Open(t.Context(), plain, slog.New(slog.DiscardHandler))
	require.Equal(t, engine.CodeInvalid, engine.ErrorCode(err), "%v", err)
	require.ErrorContains(t, err, "CREATE EXTENSION vector")

	exec(`CREATE SCHEMA "Odd place"; CREATE EXTENSION vector SCHEMA "Odd place"; GRANT USAGE ON SCHEMA "Odd place" TO ` + name)
	m := open(t, plain)
	require.NoError(t, m.Remember(t.Context(), memos(3)), "once it is there, the service needs no further right")
	found, err := m.Nearest(t.Context(), all)
	require.NoError(t, err)
	require.Len(t, found, 3)
	require.NoError(t, m.Close())

	exec(`UPDATE pg_extension SET extversion = '0.7.4' WHERE extname = 'vector'`)
	_, err = pgvector.Open(t.Context(), plain, slog.New(slog.DiscardHandler))
	require.Equal(t, engine.CodeInvalid, engine.ErrorCode(err), "%v", err)
	require.ErrorContains(t, err, "0.7.4")

	exec(`DROP SCHEMA ` + cfg.Schema + ` CASCADE; DROP EXTENSION vector CASCADE`)
	require.NoError(t, open(t, cfg).Remember(t.Context(), memos(1)), "a superuser's memory makes the extension")
	exec(`DROP SCHEMA ` + cfg.Schema + ` CASCADE`)
}

func TestIndexIsMadeOnceACollectionHasGrown(t *testing.T) {
	cfg := config(t)
	cfg.IndexFrom = 1000
	m := open(t, cfg)
	items := memos(1500)
	require.NoError(t, m.Remember(t.Context(), items[:999]))
	const whole = `SELECT count(*) FROM pg_index WHERE indexrelid::regclass::text LIKE 'memos_%_hnsw' AND indisvalid`
	require.Zero(t, scalar[int](t, cfg, whole))
	require.NoError(t, m.Remember(t.Context(), items[999:1001]))
	require.Eventually(t, func() bool { return scalar[int](t, cfg, whole) == 1 }, time.Minute, 10*time.Millisecond)
	require.NoError(t, m.Remember(t.Context(), items[1001:]))
	require.NoError(t, m.Close())

	// One that was not finished is made anew by the next write.
	conn := connect(t, cfg)
	defer conn.Close(context.Background())
	_, err := conn.Exec(t.Context(), `UPDATE pg_index SET indisvalid = false WHERE indexrelid::regclass::text LIKE 'memos_%_hnsw'`)
	require.NoError(t, err)
	m = open(t, cfg)
	require.NoError(t, m.Remember(t.Context(), items[:1]))
	require.Eventually(t, func() bool { return scalar[int](t, cfg, whole) == 1 }, time.Minute, 10*time.Millisecond)

	// What the index is for, and that it serves with a filter that leaves little.
	rows, err := conn.Query(t.Context(), `EXPLAIN SELECT id FROM memos_1 ORDER BY embedding::vector(4) <#> '[1,0,0,0]'::vector(4) LIMIT 10`)
	require.NoError(t, err)
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Contains(t, strings.Join(plan, "\n"), "memos_1_hnsw")
	q := all
	q.From = time.Unix(1490, 0)
	found, err := m.Nearest(t.Context(), q)
	require.NoError(t, err)
	require.Len(t, found, 10)
}

// Vectors longer than an index takes in full precision, and in half; longer than the extension takes, they are refused.
func TestLongVectors(t *testing.T) {
	cfg := config(t)
	cfg.IndexFrom = 1
	m := open(t, cfg)
	long := func(dimension int) engine.Memo {
		item := memos(1)[0]
		item.Collection.Model.Dimension, item.Vector = dimension, make([]float32, dimension)
		item.Vector[dimension-1] = 1
		return item
	}
	for _, dimension := range []int{3072, 5000} {
		item := long(dimension)
		require.NoError(t, m.Remember(t.Context(), []engine.Memo{item}))
		q := engine.Query{Filter: engine.Filter{Collection: item.Collection}, Vector: slices.Clone(item.Vector), K: 1}
		q.Vector[0] = 0.01
		found, err := m.Nearest(t.Context(), q)
		require.NoError(t, err)
		require.InDelta(t, 1/math.Sqrt(1.0001), found[0].Similarity, 1e-6)
	}
	const made = `SELECT count(*) FROM pg_index WHERE indexrelid::regclass::text LIKE 'memos_%_hnsw' AND indisvalid`
	require.Eventually(t, func() bool { return scalar[int](t, cfg, made) == 1 }, time.Minute, 10*time.Millisecond)
	err := m.Remember(t.Context(), []engine.Memo{long(16_001)})
	require.Equal(t, engine.CodeInvalid, engine.ErrorCode(err))
	require.ErrorContains(t, err, "16001 dimensions")
}

// The store keeps its own tables, and its own account of migrations, in the same schema.
func TestSchemaMayBeShared(t *testing.T) {
	cfg := config(t)
	conn := connect(t, cfg)
	defer conn.Close(context.Background())
	_, err := conn.Exec(t.Context(), `CREATE SCHEMA `+cfg.Schema+`; CREATE TABLE `+cfg.Schema+`.goose_db_version (id int)`)
	require.NoError(t, err)
	require.NoError(t, open(t, cfg).Remember(t.Context(), memos(1)))
}
