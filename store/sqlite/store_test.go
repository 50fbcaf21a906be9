package sqlite_test

import (
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/store/sqlite"
	"github.com/llm-sentinel/llm-sentinel/store/storetest"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(crashPathVariable); path != "" {
		writeUntilKilled(path)
	}
	goleak.VerifyTestMain(m)
}

func config(path string) sqlite.Config {
	cfg := sqlite.DefaultConfig()
	cfg.Path = path
	return cfg
}

func open(t *testing.T, cfg sqlite.Config) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestConformance(t *testing.T) {
	paths := map[storetest.Store]string{}
	openAt := func(t *testing.T, path string) storetest.Store {
		s := open(t, config(path))
		paths[s] = path
		return s
	}
	storetest.Run(t,
		func(t *testing.T) storetest.Store { return openAt(t, filepath.Join(t.TempDir(), "records.db")) },
		func(t *testing.T, s storetest.Store) storetest.Store {
			require.NoError(t, s.Close())
			return openAt(t, paths[s])
		})
}

func TestConfigRefusesWhatCannotWork(t *testing.T) {
	require.NoError(t, sqlite.DefaultConfig().Validate())
	for name, change := range map[string]func(*sqlite.Config){
		"path":                func(c *sqlite.Config) { c.Path = "" },
		"memory":              func(c *sqlite.Config) { c.Path = ":memory:" },
		"busy_timeout":        func(c *sqlite.Config) { c.BusyTimeout = -1 },
		"read_connections":    func(c *sqlite.Config) { c.ReadConnections = 0 },
		"retention":           func(c *sqlite.Config) { c.Retention = 0 },
		"max_bytes":           func(c *sqlite.Config) { c.MaxBytes = -1 },
		"max_deferred":        func(c *sqlite.Config) { c.MaxDeferred = 0 },
		"max_dead_deliveries": func(c *sqlite.Config) { c.MaxDead = 0 },
		"max_snapshot_bytes":  func(c *sqlite.Config) { c.MaxSnapshotBytes = 1 << 40 },
	} {
		cfg := config("x.db")
		change(&cfg)
		require.Equal(t, engine.CodeInvalid, engine.ErrorCode(cfg.Validate()), name)
		_, err := sqlite.Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
		require.Equal(t, engine.CodeInvalid, engine.ErrorCode(err), name)
	}
}

func TestOpenMakesAPrivateFileUnderAnyName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a folder", "what?mode=memory#100%.db")
	open(t, config(path))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	info, err = os.Stat(path + "-wal")
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestOpenRefusesWhatIsNoDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records.db")
	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("not a database ", 1000)), 0o600))
	_, err := sqlite.Open(t.Context(), config(path), slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, path)
}

func TestOpenRefusesANewerSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records.db")
	open(t, config(path))
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	_, err = db.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	_, err = sqlite.Open(t.Context(), config(path), slog.New(slog.DiscardHandler))
	require.Equal(t, engine.CodeConflict, engine.ErrorCode(err))
	require.ErrorContains(t, err, "newer")
}

// The keys command works on the file of a running server: two processes write it at once.
func TestTwoStoresShareAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records.db")
	stores := []*sqlite.Store{open(t, config(path)), open(t, config(path))}
	var wg sync.WaitGroup
	errs := make(chan error, 2)
	for i, s := range stores {
		wg.Go(func() {
			var err error
			for n := 0; n < 20 && err == nil; n++ {
				err = s.AddMarkers(t.Context(), []engine.ChangeMarker{{ID: fmt.Sprint(i, n), At: time.Unix(int64(n), 0)}})
			}
			errs <- err
		})
	}
	wg.Wait()
	require.NoError(t, <-errs)
	require.NoError(t, <-errs)
	markers, err := stores[0].Markers(t.Context(), time.Unix(0, 0), time.Unix(100, 0))
	require.NoError(t, err)
	require.Len(t, markers, 40)
}

func TestBoundsAreKept(t *testing.T) {
	cfg := config(filepath.Join(t.TempDir(), "records.db"))
	cfg.MaxDeferred, cfg.MaxSnapshotBytes = 2, 10
	s := open(t, cfg)
	at := time.Unix(1_700_000_000, 0).UTC()
	wait := func(n byte) engine.Deferred {
		return engine.Deferred{Trace: engine.NewTrace(engine.TraceID{n}, []engine.Span{{Name: "run", Start: at, End: at}})}
	}
	require.NoError(t, s.Defer(t.Context(), wait(1)))
	require.NoError(t, s.Defer(t.Context(), wait(2)))
	require.Equal(t, engine.CodeFull, engine.ErrorCode(s.Defer(t.Context(), wait(3))))
	require.NoError(t, s.Defer(t.Context(), wait(2)), "replacing needs no room")
	require.NoError(t, s.FinishDeferred(t.Context(), []engine.TraceID{{1}}))
	require.NoError(t, s.Defer(t.Context(), wait(3)))

	require.NoError(t, s.SaveSnapshot(t.Context(), "n", at, make([]byte, 10)))
	require.Equal(t, engine.CodeTooLarge, engine.ErrorCode(s.SaveSnapshot(t.Context(), "n", at, make([]byte, 11))))
}

func TestPruneKeepsTheFileBelowItsBound(t *testing.T) {
	cfg := config(filepath.Join(t.TempDir(), "records.db"))
	cfg.MaxBytes = 1 << 20
	s := open(t, cfg)
	start := time.Unix(1_700_000_000, 0).UTC()
	var entry engine.Entry
	for i := range 2000 {
		entry.Anomalies = append(entry.Anomalies, engine.Anomaly{
			ID: fmt.Sprintf("a-%04d", i), At: start.Add(time.Duration(i) * time.Second), Type: engine.ErrorRate,
			Severity: engine.SeverityLow, Service: "checkout", Reason: strings.Repeat("long ", 200),
		})
	}
	entry.Incidents = []engine.Incident{{ID: "i-1", Severity: engine.SeverityLow, Status: engine.StatusOpen, Onset: start}}
	require.NoError(t, s.Record(t.Context(), entry))

	deleted, err := s.Prune(t.Context(), start)
	require.NoError(t, err)
	require.Positive(t, deleted)
	require.Less(t, deleted, 2000)
	page, err := s.Anomalies(t.Context(), engine.AnomalyQuery{Limit: 1})
	require.NoError(t, err)
	require.Equal(t, "a-1999", page.Items[0].ID, "the newest stay")
	_, err = s.Incident(t.Context(), "i-1")
	require.NoError(t, err)
	require.NoError(t, s.Close())
	info, err := os.Stat(cfg.Path)
	require.NoError(t, err)
	require.LessOrEqual(t, info.Size(), cfg.MaxBytes, "the space went back to the file system")

	// What may not be deleted ends the search instead of repeating it for ever.
	s = open(t, cfg)
	require.NoError(t, s.SaveSnapshot(t.Context(), "large", start, make([]byte, 2<<20)))
	_, err = s.Prune(t.Context(), start)
	require.NoError(t, err)
}

func TestDeadDeliveriesAreBounded(t *testing.T) {
	cfg := config(filepath.Join(t.TempDir(), "records.db"))
	cfg.MaxDead = 3
	storetest.DeadAreBounded(t, open(t, cfg))
}
