package sqlite_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/store/sqlite"
)

const crashPathVariable = "SENTINEL_TEST_CRASH_PATH"

// writeUntilKilled is the child process: it records entries one after the other and prints the number of each that the
// store has acknowledged.
func writeUntilKilled(path string) {
	s, err := sqlite.Open(context.Background(), config(path), slog.New(slog.DiscardHandler))
	for i := 0; err == nil; i++ {
		if err = s.Record(context.Background(), crashEntry(i)); err == nil {
			fmt.Println(i)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func crashEntry(i int) engine.Entry {
	at := time.Unix(1_700_000_000+int64(i), 0).UTC()
	id := strconv.Itoa(i)
	return engine.Entry{
		Incidents: []engine.Incident{{ID: id, Severity: engine.SeverityHigh, Status: engine.StatusOpen, Onset: at, LastSeen: at, Services: []string{"checkout"}}},
		Anomalies: []engine.Anomaly{{ID: id, IncidentID: id, At: at, Severity: engine.SeverityHigh, Service: "checkout"}},
		Alerts:    []engine.Alert{{ID: id, At: at, Change: engine.ChangeRaised, Incident: engine.Incident{ID: id}}},
	}
}

func TestKilledProcessLosesNothingAcknowledged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records.db")
	for round := range 3 {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), crashPathVariable+"="+path)
		out, err := child.StdoutPipe()
		require.NoError(t, err)
		child.Stderr = os.Stderr
		require.NoError(t, child.Start())

		acknowledged := -1
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			acknowledged, err = strconv.Atoi(lines.Text())
			require.NoError(t, err)
			if acknowledged == 20+7*round {
				require.NoError(t, child.Process.Kill()) // the child is in the middle of the next write
			}
		}
		require.Error(t, child.Wait())
		require.GreaterOrEqual(t, acknowledged, 20)

		requireIntact(t, path, acknowledged)
	}
}

func requireIntact(t *testing.T, path string, acknowledged int) {
	t.Helper()
	s := open(t, config(path))
	for i := range acknowledged + 1 {
		id := strconv.Itoa(i)
		_, err := s.Incident(t.Context(), id)
		require.NoError(t, err)
		_, err = s.Anomaly(t.Context(), id)
		require.NoError(t, err)
	}
	alerts, err := s.Unrouted(t.Context(), acknowledged+2)
	require.NoError(t, err)
	// Of the write that was interrupted there is all or nothing.
	_, errIncident := s.Incident(t.Context(), strconv.Itoa(acknowledged+1))
	_, errAnomaly := s.Anomaly(t.Context(), strconv.Itoa(acknowledged+1))
	require.Equal(t, engine.ErrorCode(errIncident), engine.ErrorCode(errAnomaly))
	require.Equal(t, errIncident == nil, len(alerts) == acknowledged+2)
	require.Equal(t, strconv.Itoa(acknowledged), alerts[acknowledged].ID)
	require.NoError(t, s.Close())

	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer db.Close()
	var verdict string
	require.NoError(t, db.QueryRow(`PRAGMA integrity_check`).Scan(&verdict))
	require.Equal(t, "ok", verdict)
}
