package embedded_test

import (
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/retrieval/embedded"
	"github.com/llm-sentinel/llm-sentinel/retrieval/retrievaltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func config(path string) embedded.Config {
	cfg := embedded.DefaultConfig()
	cfg.Path = path
	return cfg
}

func open(t testing.TB, cfg embedded.Config) *embedded.Memory {
	t.Helper()
	m, err := embedded.Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

func TestConformance(t *testing.T) {
	paths := map[engine.Memory]string{}
	openAt := func(t *testing.T, path string) engine.Memory {
		m := open(t, config(path))
		paths[m] = path
		return m
	}
	retrievaltest.Run(t, func(t *testing.T) engine.Memory { return openAt(t, filepath.Join(t.TempDir(), "memory.db")) },
		retrievaltest.Options{Reopen: func(t *testing.T, m engine.Memory) engine.Memory {
			require.NoError(t, m.(*embedded.Memory).Close())
			return openAt(t, paths[m])
		}})
}

func TestConformanceWithoutFile(t *testing.T) {
	for _, path := range []string{"", ":memory:"} {
		retrievaltest.Run(t, func(t *testing.T) engine.Memory { return open(t, config(path)) }, retrievaltest.Options{})
	}
}

func TestConfigRefusesWhatCannotWork(t *testing.T) {
	require.NoError(t, embedded.DefaultConfig().Validate())
	for name, change := range map[string]func(*embedded.Config){
		"max_per_collection": func(c *embedded.Config) { c.MaxPerCollection = 0 },
		"busy_timeout":       func(c *embedded.Config) { c.BusyTimeout = -1 },
	} {
		cfg := config("")
		change(&cfg)
		require.Equal(t, engine.CodeInvalid, engine.ErrorCode(cfg.Validate()), name)
		_, err := embedded.Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
		require.Equal(t, engine.CodeInvalid, engine.ErrorCode(err), name)
	}
}

var collection = engine.Collection{
	Purpose: engine.PurposeNormal, Kind: engine.TextUserPrompt, Model: engine.Model{Name: "m", Version: "1", Dimension: 4},
}

func memoAt(id string, hour int) engine.Memo {
	at := time.Date(2025, 3, 3, hour, 0, 0, 0, time.UTC)
	return engine.Memo{ID: id, Collection: collection, Vector: []float32{1, 0, 0, 0}, At: at}
}

func held(t *testing.T, m *embedded.Memory) []string {
	t.Helper()
	neighbors, err := m.Nearest(t.Context(), engine.Query{
		Filter: engine.Filter{Collection: collection}, Vector: []float32{1, 0, 0, 0}, K: 100,
	})
	require.NoError(t, err)
	ids := []string{}
	for _, n := range neighbors {
		ids = append(ids, n.Memo.ID)
	}
	return ids
}

func TestTheOldestMakeRoom(t *testing.T) {
	for _, path := range []string{"", filepath.Join(t.TempDir(), "memory.db")} {
		cfg := config(path)
		cfg.MaxPerCollection = 3
		m := open(t, cfg)
		ctx := t.Context()
		require.NoError(t, m.Remember(ctx, []engine.Memo{memoAt("e", 5), memoAt("b", 2), memoAt("d", 4)}))
		require.NoError(t, m.Remember(ctx, []engine.Memo{memoAt("c", 3)}))
		require.Equal(t, []string{"c", "d", "e"}, held(t, m))
		require.NoError(t, m.Remember(ctx, []engine.Memo{memoAt("a", 1)}), "one older than all is gone at once")
		require.Equal(t, []string{"c", "d", "e"}, held(t, m))
		require.NoError(t, m.Remember(ctx, []engine.Memo{memoAt("c", 9)}), "replacing takes no room")
		require.NoError(t, m.Remember(ctx, []engine.Memo{memoAt("f", 6), memoAt("g", 7)}))
		require.Equal(t, []string{"c", "f", "g"}, held(t, m))
		require.NoError(t, m.Remember(ctx, []engine.Memo{memoAt("h", 10), memoAt("i", 10), memoAt("j", 10), memoAt("k", 10)}))
		require.Equal(t, []string{"i", "j", "k"}, held(t, m), "of one time the lesser id goes first")
		require.Equal(t, []embedded.CollectionStats{{Collection: collection, Items: 3, Evicted: 8}}, m.Stats())

		if path != "" {
			require.NoError(t, m.Close())
			m = open(t, cfg)
			require.Equal(t, []string{"i", "j", "k"}, held(t, m), "the file holds the same")
			cfg.MaxPerCollection = 2
			require.NoError(t, m.Close())
			m = open(t, cfg)
			require.NoError(t, m.Remember(ctx, []engine.Memo{memoAt("l", 11)}))
			require.Equal(t, []string{"k", "l"}, held(t, m), "a lower bound takes effect with the next write")
		}
	}
}

func TestTimesComeBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory.db")
	m := open(t, config(path))
	none, old := memoAt("none", 0), memoAt("old", 0)
	none.At, old.At = time.Time{}, time.Date(1500, 1, 1, 0, 0, 0, 0, time.UTC)
	require.NoError(t, m.Remember(t.Context(), []engine.Memo{none, old}))
	require.NoError(t, m.Close())
	m = open(t, config(path))
	neighbors, err := m.Nearest(t.Context(), engine.Query{
		Filter: engine.Filter{Collection: collection}, Vector: none.Vector, K: 2,
	})
	require.NoError(t, err)
	require.True(t, neighbors[0].Memo.At.IsZero())
	require.Equal(t, 1677, neighbors[1].Memo.At.Year(), "the nearest time that can be expressed")
}

func TestVectorsOfOtherLengthsAreComparedByCosine(t *testing.T) {
	m := open(t, config(""))
	item := memoAt("a", 1)
	item.Vector = []float32{3e-30, 4e-30, 0, 0}
	require.NoError(t, m.Remember(t.Context(), []engine.Memo{item}))
	item.Vector[0] = 99 // the memory has its own copy
	neighbors, err := m.Nearest(t.Context(), engine.Query{
		Filter: engine.Filter{Collection: collection}, Vector: []float32{2e30, 0, 0, 0}, K: 1,
	})
	require.NoError(t, err)
	require.InDelta(t, 0.6, neighbors[0].Similarity, 1e-6)
}

func TestOnlyCollectionsInUseAreLoaded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory.db")
	m := open(t, config(path))
	require.NoError(t, m.Remember(t.Context(), []engine.Memo{memoAt("a", 1)}))
	require.NoError(t, m.Close())
	m = open(t, config(path))
	require.Empty(t, m.Stats())
	require.Equal(t, []string{"a"}, held(t, m))
	require.Len(t, m.Stats(), 1)
}

func TestDamageIsToldAndNothingIsHidden(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory.db")
	m := open(t, config(path))
	require.NoError(t, m.Remember(t.Context(), []engine.Memo{memoAt("a", 1)}))
	require.NoError(t, m.Close())
	for name, damage := range map[string]string{
		"cut off":   "x'00'",
		"not unit":  "x'0000003f000000000000000000000000'", // 0.5 0 0 0
		"no length": "zeroblob(16)",
	} {
		db, err := sql.Open("sqlite", path)
		require.NoError(t, err)
		_, err = db.Exec("UPDATE memos SET vector = " + damage)
		require.NoError(t, err)
		require.NoError(t, db.Close())

		m = open(t, config(path))
		_, err = m.Nearest(t.Context(), engine.Query{Filter: engine.Filter{Collection: collection}, Vector: []float32{1, 0, 0, 0}, K: 1})
		require.Equal(t, engine.CodeInternal, engine.ErrorCode(err), name)
		require.ErrorContains(t, err, `memo "a"`, name)
		require.Error(t, m.Remember(t.Context(), []engine.Memo{memoAt("b", 1)}), name)
		require.NoError(t, m.Close())
	}
}

func TestDimensionIsBounded(t *testing.T) {
	m := open(t, config(""))
	item := memoAt("a", 1)
	item.Vector = make([]float32, 1<<16+1)
	item.Vector[0] = 1
	item.Collection.Model.Dimension = len(item.Vector)
	require.Equal(t, engine.CodeInvalid, engine.ErrorCode(m.Remember(t.Context(), []engine.Memo{item})))
	item.Vector = item.Vector[:1<<16]
	item.Collection.Model.Dimension = len(item.Vector)
	require.NoError(t, m.Remember(t.Context(), []engine.Memo{item}))
	neighbors, err := m.Nearest(t.Context(), engine.Query{Filter: engine.Filter{Collection: item.Collection}, Vector: item.Vector, K: 1})
	require.NoError(t, err)
	require.Equal(t, 1.0, neighbors[0].Similarity)
}

func TestOpenRefusesANewerSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory.db")
	open(t, config(path))
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	_, err = db.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	_, err = embedded.Open(t.Context(), config(path), slog.New(slog.DiscardHandler))
	require.Equal(t, engine.CodeConflict, engine.ErrorCode(err))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func BenchmarkRemember(b *testing.B) {
	m := open(b, config(filepath.Join(b.TempDir(), "memory.db")))
	key := collection
	key.Model.Dimension = 256
	items := make([]engine.Memo, 32)
	n := 0
	for b.Loop() {
		for i := range items {
			v := make([]float32, 256)
			v[n%256] = 1
			items[i] = engine.Memo{ID: fmt.Sprint(n), Collection: key, Vector: v, At: time.Unix(int64(n), 0)}
			n++
		}
		if err := m.Remember(b.Context(), items); err != nil {
			b.Fatal(err)
		}
	}
}
