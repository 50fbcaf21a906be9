package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/ingest/replay"
)

// developmentData is a folder with recorded agent runs that lies beside the repository, or nothing: it is not part of it.
func developmentData(t *testing.T) string {
	t.Helper()
	dir := filepath.Join("..", "..", "..", "shared", "data", "dev")
	if _, err := os.Stat(dir); err != nil {
		reason := "the development data is not there: " + err.Error()
		if os.Getenv("SENTINEL_REQUIRE_STACK") == "1" {
			t.Fatal(reason)
		}
		t.Skip(reason)
	}
	return dir
}

// Agent runs with one fault put in stand out among the runs as they were, for a baseline of two dozen runs that went well.
func TestScoreRanksFaults(t *testing.T) {
	t.Parallel()
	dir := developmentData(t)
	recorded := filepath.Join(dir, "genai_traces.otlp.jsonl.gz")
	var labels map[string]struct {
		Reward float64 `json:"reward"`
	}
	data, err := os.ReadFile(filepath.Join(dir, "genai_traces.labels.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &labels))

	var normal, rest []ptrace.Traces
	passed := 0
	for _, td := range readTraces(t, recorded) {
		if labels[traceOf(td)].Reward == 1 {
			if passed++; passed%2 == 1 {
				normal = append(normal, td)
				continue
			}
		}
		rest = append(rest, td)
	}
	// Each fault goes into the next two runs that can have it.
	faulty := make(map[string]string)
	next := 0
	for range 2 {
		for _, fault := range faults {
			for !fault.fits(rest[next]) {
				next++
			}
			fault.inject(t, rest[next])
			faulty[traceOf(rest[next])] = fault.name
			next++
		}
	}
	require.Len(t, faulty, 10)

	baseline, judged := filepath.Join(t.TempDir(), "baseline.jsonl.gz"), filepath.Join(t.TempDir(), "judged.jsonl.gz")
	writeTraces(t, baseline, normal)
	writeTraces(t, judged, rest)
	verdicts := scoreJSON(t, "--baseline", baseline, judged)
	require.Len(t, verdicts, len(rest), "a line a trace")
	var untouched []float64
	for _, v := range verdicts {
		if faulty[v.TraceID.String()] == "" {
			untouched = append(untouched, v.Score)
		}
	}
	for _, v := range verdicts {
		fault := faulty[v.TraceID.String()]
		if fault == "" {
			continue
		}
		below := 0
		for _, score := range untouched {
			if score < v.Score {
				below++
			}
		}
		rank := float64(below) / float64(len(untouched))
		t.Logf("%-30s score %5.2f, above %3.0f %% of %d: %s", fault, v.Score, 100*rank, len(untouched), v.Reason)
		require.GreaterOrEqual(t, rank, 0.9, "%s in %s: %s", fault, v.TraceID, v.Reason)
	}
}

// The recording is read as it is, and every line holds what it must.
func TestScoreRecordedFile(t *testing.T) {
	t.Parallel()
	recorded := filepath.Join(developmentData(t), "genai_traces.otlp.jsonl.gz")
	verdicts := scoreJSON(t, "--baseline", recorded, recorded)
	want := make(map[string]bool)
	for _, td := range readTraces(t, recorded) {
		want[traceOf(td)] = true
	}
	require.Len(t, verdicts, len(want))
	for _, v := range verdicts {
		require.True(t, want[v.TraceID.String()])
		require.NotEmpty(t, v.Contributions)
		require.NotEmpty(t, v.Reason)
	}
}

// scoreJSON runs "score --json" and reads its lines strictly.
func scoreJSON(t *testing.T, args ...string) []engine.Verdict {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := newRoot()
	cmd.SetArgs(append([]string{"score", "--json"}, args...))
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	require.NoError(t, cmd.ExecuteContext(t.Context()), errs.String())
	require.Empty(t, errs.String())
	var verdicts []engine.Verdict
	for line := range bytes.Lines(out.Bytes()) {
		var fields map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(line, &fields))
		for _, name := range []string{"trace_id", "score", "anomalous", "contributions", "reason"} {
			require.Contains(t, fields, name)
		}
		var v engine.Verdict
		require.NoError(t, json.Unmarshal(line, &v))
		verdicts = append(verdicts, v)
	}
	return verdicts
}

func traceOf(td ptrace.Traces) string { return spansOf(td)[0].TraceID().String() }

// readTraces reads a file of one trace a line.
func readTraces(t *testing.T, path string) []ptrace.Traces {
	t.Helper()
	r, err := replay.Open(path, replay.DefaultMaxRequestBytes)
	require.NoError(t, err)
	var out []ptrace.Traces
	for {
		record, err := r.Next()
		if errors.Is(err, io.EOF) {
			require.NoError(t, r.Close())
			return out
		}
		require.NoError(t, err)
		out = append(out, record.Traces)
	}
}

func writeTraces(t *testing.T, path string, all []ptrace.Traces) {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	for _, td := range all {
		line, err := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
		require.NoError(t, err)
		_, err = z.Write(append(line, '\n'))
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	require.NoError(t, os.WriteFile(path, buf.Bytes(), 0o600))
}
