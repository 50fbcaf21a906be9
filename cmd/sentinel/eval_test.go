package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/cmd/sentinel/app"
)

// manySteps is a suite whose run keeps a step for each of 20 folds.
const manySteps = `name: many-steps
file: garden-shop.jsonl
task: jailbreak
fields: {text: message, label: verdict}
positive: [attack]
negative: [fine]
normal: {folds: 20}
`

// figures are a report's, without times.
func figures(t *testing.T, dir string) map[string]any {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "report.json"))
	require.NoError(t, err)
	var out map[string]any
	require.NoError(t, json.Unmarshal(data, &out))
	delete(out, "seconds")
	return out
}

// An interrupt says how to go on, and what is resumed comes to what an uninterrupted run does.
func TestEvalIsInterruptedAndResumed(t *testing.T) {
	dir := t.TempDir()
	data, err := os.ReadFile(filepath.Join("..", "..", "docs", "examples", "eval", "garden-shop.jsonl"))
	require.NoError(t, err)
	var labelled []byte // the rows that teach in the example have no label
	for line := range bytes.Lines(data) {
		if bytes.Contains(line, []byte(`"verdict"`)) {
			labelled = append(labelled, line...)
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "garden-shop.jsonl"), labelled, 0o600))
	suite := filepath.Join(dir, "suite.yaml")
	require.NoError(t, os.WriteFile(suite, []byte(manySteps), 0o600))
	whole, parts := filepath.Join(dir, "whole"), filepath.Join(dir, "parts")
	require.NoError(t, exec.Command("sentinel", "eval", "--suite", suite, "--out", whole).Run())

	var stderr bytes.Buffer
	cmd := exec.Command("sentinel", "eval", "--suite", suite, "--out", parts)
	cmd.Stderr = &stderr
	require.NoError(t, cmd.Start())
	kept := func() int {
		files, err := filepath.Glob(filepath.Join(parts, ".steps", "*", "*", "*.json"))
		require.NoError(t, err)
		return len(files)
	}
	require.Eventually(t, func() bool { return kept() > 0 }, time.Minute, time.Millisecond)
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.Error(t, cmd.Wait())
	require.Equal(t, "sentinel: interrupted; --resume goes on with the step that was under way\n", stderr.String())
	require.Less(t, kept(), 20)
	require.NoFileExists(t, filepath.Join(parts, "report.json"))

	require.NoError(t, exec.Command("sentinel", "eval", "--suite", suite, "--out", parts, "--resume").Run())
	require.Equal(t, figures(t, whole), figures(t, parts))
	require.Zero(t, kept(), "a run that ended leaves no steps")
}

func TestEvalHelpListsTheSuites(t *testing.T) {
	cfg, err := app.DefaultConfig()
	require.NoError(t, err)
	suites, release, err := app.Suites(t.Context(), cfg, app.SuiteOptions{Folder: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer release()
	_, listed, _ := strings.Cut(newEval().Long, "The suites are ")
	listed, _, _ = strings.Cut(listed, ".")
	var names []string
	for _, s := range suites {
		names = append(names, s.Name())
	}
	require.Equal(t, names, strings.Split(strings.ReplaceAll(listed, " and ", ", "), ", "), "in the order in which they run")
}
