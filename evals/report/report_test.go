package report

import (
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/evals"
)

var update = flag.Bool("update", false, "write the golden files anew")

// sample is a made-up report with everything that a report may hold.
func sample() evals.Report {
	required := 0.95
	var roc evals.Curve
	for i := range 101 {
		x := float64(i) / 100
		roc.X, roc.Y = append(roc.X, x), append(roc.Y, math.Sqrt(x))
	}
	roc.Name = "engine"
	prompts := evals.Result{
		Suite: "prompts",
		Metrics: map[string]evals.Metric{
			"jailbreak.auroc": {
				Value: 0.93, Low: 0.9, High: 0.96, N: 948, Required: &required,
				Baselines: map[string]float64{"length": 0.8, "keywords": 0.7},
				Gains:     map[string]evals.Interval{"length": {Value: 0.13, Low: 0.1, High: 0.16}},
			},
			"over_defence.fpr": {Value: 0.02, Low: 0.01, High: 0.04, N: 200, Lower: true, Baselines: map[string]float64{"keywords": 0.9}},
		},
		Unavailable: map[string]string{"injection.auroc": "no detector reports prompt_injection yet"},
		Notes:       []string{`A family called <b>"bold" & brave</b>`},
		Charts: []evals.Chart{
			{Title: "ROC of jailbreaks", X: "false positive rate", Y: "true positive rate", Curves: []evals.Curve{
				roc, {Name: "length", X: []float64{0, 0.5, 1}, Y: []float64{0, 0.6, 1}},
			}},
			{Title: "Nothing to see", X: "x", Y: "y"},
		},
		Confusions: []evals.Confusion{{
			Title: "Families", Rows: []string{"benign", "role-play"}, Columns: []string{"quiet", "flagged"}, Counts: [][]int{{90, 10}, {5, 45}},
		}},
		Tables: []evals.Table{{Title: "By family", Columns: []string{"family", "auroc"}, Rows: [][]string{{"role-play", "0.91"}}}},
	}
	retrieval := evals.Result{Suite: "retrieval", Metrics: map[string]evals.Metric{
		"embedded.p99_ms": {Value: 12.5, Low: 11, High: 14, N: 500, Unit: "ms", Lower: true, Speed: true},
	}}
	return evals.Report{
		Suites: map[string]map[string]evals.Metric{"prompts": prompts.Metrics, "retrieval": retrieval.Metrics},
		Unavailable: map[string]string{
			"prompts.injection.auroc": "no detector reports prompt_injection yet", "explanations": "there is no model server",
		},
		Malformed: map[string]int{"prompts": 2},
		Skipped:   []evals.Skipped{{Suite: "prompts", File: "prompts.jsonl.gz", Line: 7, Reason: `label: "maybe" is not known`}},
		Seed:      1, Version: "v1.2.3", Seconds: map[string]float64{"prompts": 3.25, "retrieval": 1},
		Results: []evals.Result{prompts, retrieval},
	}
}

func written(t *testing.T, r evals.Report, falls []Fall) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "made", "here")
	require.NoError(t, Write(dir, r, falls))
	return dir
}

func content(t *testing.T, dir, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	require.NoError(t, err)
	return string(data)
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

func TestReportsAreTheSameForTheSameFigures(t *testing.T) {
	a, b := written(t, sample(), nil), written(t, sample(), nil)
	for _, name := range []string{JSON, HTML, JUnit} {
		require.Equal(t, content(t, a, name), content(t, b, name))
	}
	files, err := os.ReadDir(a)
	require.NoError(t, err)
	require.Len(t, files, 3, "no half of a file stays behind")
}

func TestJSONHasTheShapeThatProgramsReadAndComesBack(t *testing.T) {
	dir := written(t, sample(), nil)
	var shape struct {
		Suites map[string]map[string]struct {
			Value, Low, High float64
			N                int
			Baselines        map[string]float64
		}
	}
	require.NoError(t, json.Unmarshal([]byte(content(t, dir, JSON)), &shape))
	got := shape.Suites["prompts"]["jailbreak.auroc"]
	require.Equal(t, []float64{0.93, 0.9, 0.96, 948, 0.8}, []float64{got.Value, got.Low, got.High, float64(got.N), got.Baselines["length"]})

	back, err := Read(filepath.Join(dir, JSON))
	require.NoError(t, err)
	want := sample()
	want.Results = nil
	require.Equal(t, want, back)
}

func TestWhatIsNoReportIsRefusedByName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "old.json")
	_, err := Read(path)
	require.ErrorIs(t, err, os.ErrNotExist)
	for name, text := range map[string]string{"no JSON": "<html>", "other JSON": `{"a": 1}`, "cut off": `{"suites": {"a": `,
		"NaN": `{"suites": {"a": {"m": {"value": NaN}}}}`, "no intervals": `{"suites": {"a": {"m": {"value": 0.9}}}}`,
		"an interval elsewhere": `{"suites": {"a": {"m": {"value": 0.9, "low": 0.95, "high": 1}}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
			_, err := Read(path)
			require.ErrorContains(t, err, path+" is not a report.json")
		})
	}
}

func TestAReportThatCannotBeWrittenLeavesNothing(t *testing.T) {
	r := sample()
	r.Seconds["prompts"] = math.NaN()
	dir := t.TempDir()
	require.ErrorContains(t, Write(dir, r, nil), JSON)
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, files)
}

func TestJUnit(t *testing.T) {
	now := sample()
	old := sample()
	old.Suites["prompts"]["injection.auroc"] = evals.Metric{Value: 0.9, Low: 0.8, High: 1}
	old.Suites["retrieval"]["embedded.p99_ms"] = evals.Metric{Value: 2, Low: 1, High: 3, Lower: true, Speed: true}
	golden(t, "junit.golden.xml", content(t, written(t, now, Compare(old, now)), JUnit))
}

func TestTables(t *testing.T) {
	var terminal, markdown strings.Builder
	require.NoError(t, Print(&terminal, sample()))
	require.NoError(t, Markdown(&markdown, sample()))
	golden(t, "table.golden.txt", terminal.String())
	golden(t, "table.golden.md", markdown.String())
}

func TestPageEscapesWhatComesFromData(t *testing.T) {
	r := sample()
	hostile := `"><script>alert(1)</script>`
	r.Results[0].Suite = hostile
	r.Suites[hostile] = map[string]evals.Metric{hostile: {Unit: hostile, Baselines: map[string]float64{hostile: 1}}}
	r.Unavailable[hostile+"."+hostile] = hostile
	r.Results[0].Charts[0].Title, r.Results[0].Charts[0].Curves[0].Name = hostile, hostile
	r.Results[0].Confusions[0].Rows[0], r.Results[0].Confusions[0].Columns[0] = hostile, hostile
	r.Results[0].Tables[0].Rows[0][0], r.Skipped[0].Reason = hostile, hostile
	page := content(t, written(t, r, nil), HTML)
	require.NotContains(t, page, "<script")
	require.NotContains(t, page, "ZgotmplZ", "the template refused a value")
	require.Contains(t, page, "&lt;script&gt;")
}

func TestPageStandsAlone(t *testing.T) {
	page := content(t, written(t, sample(), nil), HTML)
	for _, loads := range []string{"<script", "http://", "https://", "url(", "@import", "src="} {
		require.NotContains(t, page, loads)
	}
	require.Contains(t, page, "default-src 'none'")
	require.Contains(t, page, "no detector reports prompt_injection yet")
	require.Contains(t, page, "prompts.jsonl.gz:7")
	require.Contains(t, page, "This run fails", "0.93 is below what is required")
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"suites": {"prompts": {"jailbreak.auroc": {"value": 0.9, "low": 0.8, "high": 1, "n": 9, "required": 1}}}}`))
	f.Add([]byte(`{"suites": {"a": null}, "unavailable": {"a.b": "c"}, "skipped": [{"line": -1}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decode(strings.NewReader(string(data)))
		if err != nil {
			return
		}
		for _, fall := range Compare(r, r) {
			m := fall.Old
			require.False(t, m.Low <= m.Value && m.Value <= m.High, "a report fell below itself: %s", fall)
		}
		require.NoError(t, Write(t.TempDir(), r, Compare(r, sample())))
	})
}
