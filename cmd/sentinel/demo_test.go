package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// The promise of the README: all six incidents are found and rightly explained with at most two false alarms, and the same traffic
// without incidents raises at most one. The binary is the one that ships: under the race detector a day of traffic takes minutes.
func TestDemo(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "sentinel")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	said, err := build.CombinedOutput()
	require.NoError(t, err, "%s", said)

	t.Run("incidents", func(t *testing.T) {
		t.Parallel()
		incidents, out := playDemo(t, binary)
		require.Equal(t, outcome{Injected: 6, Found: 6, False: out.False, CausesCorrect: 6}, out)
		require.LessOrEqual(t, out.False, 2)
		explained := make(map[string]bool)
		for _, in := range incidents {
			require.NotEmpty(t, in.Explanation.Note)
			explained[in.ID] = true
		}
		require.Len(t, explained, 6+out.False, "each incident is printed with its note")
	})
	t.Run("control", func(t *testing.T) {
		t.Parallel()
		_, out := playDemo(t, binary, "--control")
		require.Equal(t, outcome{False: out.False}, out)
		require.LessOrEqual(t, out.False, 1)
	})
}

type outcome struct {
	Injected      int `json:"injected"`
	Found         int `json:"found"`
	False         int `json:"false"`
	CausesCorrect int `json:"causes_correct"`
}

// playDemo runs the demo as fast as this machine allows and reads its standard output: incidents, and the outcome as the last line.
func playDemo(t *testing.T, binary string, args ...string) (incidents []engine.Incident, out outcome) {
	t.Helper()
	var progress bytes.Buffer
	demo := exec.CommandContext(t.Context(), binary, append([]string{"demo", "--once", "--json", "--play", "1ms"}, args...)...)
	demo.Stderr = &progress
	printed, err := demo.Output()
	require.NoError(t, err, progress.String())
	if i := strings.Index(progress.String(), "====="); i >= 0 {
		t.Log(progress.String()[i:])
	}
	lines := bytes.Split(bytes.TrimSpace(printed), []byte("\n"))
	last := len(lines) - 1
	for _, line := range lines[:last] {
		var in engine.Incident
		require.NoError(t, json.Unmarshal(line, &in))
		require.NotNil(t, in.Explanation)
		incidents = append(incidents, in)
	}
	require.NoError(t, json.Unmarshal(lines[last], &out))
	return incidents, out
}
