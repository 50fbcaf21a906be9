package timeseries

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/evals"
)

// level finds values above 10 and knows how far above they are.
type level struct{}

func (level) Next(_ time.Time, x float64) float64 { return min(max(x-10, 0)/100, 1) }

func newLevel() (Detector, error) { return level{}, nil }

type skipped struct {
	file string
	line int
}

func environment(dir string, into *[]skipped) evals.Env {
	return evals.Env{
		Data: dir, Seed: 7, Log: slog.New(slog.DiscardHandler), Progress: func(int, int, string) {}, Steps: evals.NewSteps(""),
		Skip: func(file string, line int, _ error) error {
			*into = append(*into, skipped{filepath.Base(file), line})
			return nil
		},
	}
}

var start = time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC)

func stamp(row int) string { return start.Add(time.Duration(row) * time.Minute).Format(time.DateTime) }

func write(t *testing.T, content string, path ...string) {
	t.Helper()
	file := filepath.Join(path...)
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(content), 0o644))
}

// points are a file of 200 points of 5, and of others at some rows.
func points(name string, others map[int]float64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "timestamp,%s\n", name)
	for row := range 200 {
		x, ok := others[row]
		if !ok {
			x = 5
		}
		fmt.Fprintf(&b, "%s,%v\n", stamp(row), x)
	}
	return b.String()
}

// corpusAt is four series with one window each, in which the value rises to 60 at the first row; in the last series it rises to 40
// outside of the window.
func corpusAt(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	windows := map[string][][2]string{}
	for k := range 4 {
		name := fmt.Sprintf("made/s%d.csv", k)
		windows[name] = [][2]string{{stamp(100) + ".000000", stamp(119) + ".000000"}}
		others := map[int]float64{100: 60}
		if k == 3 {
			others[50] = 40
		}
		write(t, points("value", others), dir, folder, name)
	}
	data, err := json.Marshal(windows)
	require.NoError(t, err)
	write(t, string(data), dir, folder, "windows.json")
	return dir
}

func run(t *testing.T, dir string, detector Constructor, frozen json.RawMessage) evals.Result {
	t.Helper()
	var none []skipped
	result, err := New(detector).Run(t.Context(), environment(dir, &none), frozen)
	require.NoError(t, err)
	require.Empty(t, none)
	return result
}

func TestMetrics(t *testing.T) {
	result := run(t, corpusAt(t), newLevel, nil)
	require.Empty(t, result.Unavailable)
	for _, name := range []string{
		"nab_standard", "nab_low_fp", "nab_low_fn", "nab_standard_frozen", "nab_low_fp_frozen", "nab_low_fn_frozen",
	} {
		m := result.Metrics[name]
		require.InDelta(t, 100, m.Value, 1e-9, "one threshold separates: %s", name)
		require.Equal(t, 4, m.N)
		require.Zero(t, m.Baselines[nullName])
		require.Contains(t, m.Baselines, randomName)
		require.Contains(t, m.Gains, zScoreName)
	}
	vus := result.Metrics["vus_pr"]
	require.Equal(t, 4, vus.N)
	require.Greater(t, vus.Value, vus.Baselines[nullName])
	require.Len(t, result.Charts, 3+4)
	for _, chart := range result.Charts {
		for _, c := range chart.Curves {
			require.Len(t, c.X, len(c.Y))
			require.LessOrEqual(t, len(c.X), curvePoints)
			for _, y := range c.Y {
				require.False(t, math.IsNaN(y) || math.IsInf(y, 0), chart.Title)
			}
		}
	}
	require.Equal(t, []string{"made/s3.csv", "200", "1", "1", "0"}, result.Tables[1].Rows[3])
}

func TestFrozenIsFrozen(t *testing.T) {
	dir := corpusAt(t)
	var none []skipped
	fitted, err := New(newLevel).Fit(t.Context(), environment(dir, &none))
	require.NoError(t, err)
	result := run(t, dir, newLevel, fitted)
	require.InDelta(t, 100, result.Metrics["nab_standard_frozen"].Value, 1e-9)
	require.Contains(t, strings.Join(result.Notes, " "), "thresholds of the model")

	// A threshold low enough to take in the false rise, as a model of other data might have it.
	low := json.RawMessage(`{"thresholds":{"sentinel":{"standard":0.2,"low_fp":0.2,"low_fn":0.2}}}`)
	result = run(t, dir, newLevel, low)
	require.InDelta(t, 100, result.Metrics["nab_standard"].Value, 1e-9, "the protocol chooses its own threshold all the same")
	require.InDelta(t, 100-100*0.11/8, result.Metrics["nab_standard_frozen"].Value, 1e-9)
	require.NotContains(t, result.Metrics["nab_standard_frozen"].Baselines, zScoreName, "it has no threshold in the model")

	result = run(t, dir, newLevel, json.RawMessage(`{"thresholds":{}}`))
	require.Equal(t, "the model was fitted without this detector", result.Unavailable["nab_standard_frozen"])
	require.NotContains(t, result.Metrics, "nab_standard_frozen")
	require.Contains(t, result.Metrics, "nab_standard")
}

func TestHalvesAreFittedApart(t *testing.T) {
	corpus := make([]series, 7)
	for k := range corpus {
		corpus[k].name = []string{"a/x", "b/x"}[k/4]
	}
	for _, pair := range halve(1, corpus) {
		seen := map[int]int{}
		for side, half := range pair {
			inA := 0
			for _, k := range half {
				seen[k]++
				if k < 4 {
					inA++
				}
			}
			require.Equal(t, 2, inA, "side %d has its share of each category", side)
		}
		require.Len(t, seen, 7)
	}
}

func TestRepeatable(t *testing.T) {
	dir := corpusAt(t)
	first := run(t, dir, Screening, nil)
	require.Equal(t, first, run(t, dir, Screening, nil))
}

func TestNoDetector(t *testing.T) {
	result := run(t, corpusAt(t), nil, nil)
	require.Empty(t, result.Metrics)
	require.Len(t, result.Unavailable, 7)
	require.Equal(t, "there is no detector yet", result.Unavailable["vus_pr"])
	require.Equal(t, []string{zScoreName, randomName, nullName}, firstColumn(result.Tables[0]))
	require.NotEmpty(t, result.Charts)
}

func firstColumn(table evals.Table) []string {
	var out []string
	for _, row := range table.Rows {
		out = append(out, row[0])
	}
	return out
}

func TestPublishedDetectors(t *testing.T) {
	dir := corpusAt(t)
	for k := range 4 {
		write(t, points("anomaly_score", map[int]float64{100: 1, 101: 0.5}), dir, folder, published, "wild", fmt.Sprintf("made/s%d.csv", k))
	}
	write(t, points("anomaly_score", nil), dir, folder, published, "partial", "made/s0.csv")
	result := run(t, dir, newLevel, nil)
	require.Equal(t, []string{ownName, zScoreName, randomName, nullName}, firstColumn(result.Tables[0]), "scores beyond 1 are no scores")
	require.Contains(t, strings.Join(result.Notes, " "), "wild is left out: nab: score 5 of row 0")
	require.Contains(t, strings.Join(result.Notes, " "), "partial is left out")

	for k := range 4 {
		content := strings.ReplaceAll(points("anomaly_score", map[int]float64{100: 1}), ",5\n", ",0\n")
		write(t, content, dir, folder, published, "good", fmt.Sprintf("made/s%d.csv", k))
	}
	result = run(t, dir, newLevel, nil)
	require.Equal(t, []string{"good", "100.0", "100.0", "100.0"}, result.Tables[0].Rows[1][:4])
}

func TestMalformedLines(t *testing.T) {
	dir := corpusAt(t)
	broken := points("value", map[int]float64{100: 60})
	broken = strings.Replace(broken, stamp(10)+",5", stamp(10)+";5", 1)
	broken = strings.Replace(broken, stamp(20)+",5", "yesterday,5", 1)
	broken = strings.Replace(broken, stamp(30)+",5", stamp(30)+",NaN", 1)
	broken = strings.Replace(broken, stamp(40)+",5", stamp(40)+",five", 1)
	write(t, broken, dir, folder, "made/s1.csv")
	var lines []skipped
	result, err := New(newLevel).Run(t.Context(), environment(dir, &lines), nil)
	require.NoError(t, err)
	require.Equal(t, []skipped{{"s1.csv", 12}, {"s1.csv", 22}, {"s1.csv", 32}, {"s1.csv", 42}}, lines)
	require.InDelta(t, 100, result.Metrics["nab_standard"].Value, 1e-9)

	env := environment(dir, &lines)
	env.Skip = func(_ string, _ int, reason error) error { return reason }
	_, err = New(newLevel).Run(t.Context(), env, nil)
	require.ErrorContains(t, err, "no comma")
}

func TestDataThatIsNotThere(t *testing.T) {
	var none []skipped
	_, err := New(newLevel).Run(t.Context(), environment(t.TempDir(), &none), nil)
	require.ErrorIs(t, err, evals.ErrUnavailable)
	dir := corpusAt(t)
	require.NoError(t, os.Remove(filepath.Join(dir, folder, "made/s2.csv")))
	_, err = New(newLevel).Run(t.Context(), environment(dir, &none), nil)
	require.ErrorIs(t, err, evals.ErrUnavailable)
	require.ErrorContains(t, err, "s2.csv")
}

func TestWindowsThatCannotBe(t *testing.T) {
	for content, want := range map[string]string{
		`[["` + stamp(500) + `", "` + stamp(510) + `"]]`:                                          "made/s1.csv: window 2024-03-01 08:20:00 to 2024-03-01 08:30:00: the series has no row",
		`[["` + stamp(9) + `", "` + stamp(3) + `"]]`:                                              "the series has no row",
		`[["monday", "` + stamp(3) + `"]]`:                                                        "cannot parse",
		`[["` + stamp(11) + `", "` + stamp(19) + `"], ["` + stamp(5) + `", "` + stamp(12) + `"]]`: "made/s1.csv: windows overlap at row 11",
		`"always"`: "cannot unmarshal",
	} {
		dir := corpusAt(t)
		write(t, "{\"made/s0.csv\": [],\n\"made/s1.csv\": "+content+"}", dir, folder, "windows.json")
		env := environment(dir, new([]skipped))
		var got []string
		env.Skip = func(file string, line int, reason error) error {
			got = append(got, fmt.Sprintf("%s:%d: %v", filepath.Base(file), line, reason))
			return nil
		}
		corpus, err := load(env)
		require.NoError(t, err)
		require.Len(t, corpus, 1, "the other series is there")
		require.Len(t, got, 1)
		require.Contains(t, got[0], want)
		require.Contains(t, got[0], "windows.json:2: ")
	}
}

func TestSeriesThatCannotBe(t *testing.T) {
	for _, content := range []string{`[]`, `{{`, `{"../../made/s0.csv": []}`, `{"/made/s0.csv": []}`, `{}`} {
		dir := corpusAt(t)
		write(t, content, dir, folder, "windows.json")
		_, err := New(newLevel).Run(t.Context(), environment(dir, new([]skipped)), nil)
		require.ErrorIs(t, err, evals.ErrUnavailable, content)
		require.ErrorContains(t, err, "names no series that can be used")
	}
}

func TestASeriesOfOneWindowIsNoVolume(t *testing.T) {
	dir := corpusAt(t)
	write(t, `{"made/s0.csv": [["`+stamp(0)+`", "2034-03-01 00:00:00"]], "made/s1.csv": []}`, dir, folder, "windows.json")
	result := run(t, dir, newLevel, nil)
	require.Equal(t, "no series has rows both in windows and outside", result.Unavailable["vus_pr"])
	require.Contains(t, result.Metrics, "nab_standard")
}

func TestNoWindowAtAll(t *testing.T) {
	dir := corpusAt(t)
	write(t, `{"made/s0.csv": [], "made/s1.csv": []}`, dir, folder, "windows.json")
	result := run(t, dir, newLevel, nil)
	require.Empty(t, result.Metrics)
	require.Equal(t, "no series has a window past probation", result.Unavailable["nab_standard"])
	require.Equal(t, "no series has rows both in windows and outside", result.Unavailable["vus_pr"])
}

func TestOneSeriesCannotBeHalved(t *testing.T) {
	dir := corpusAt(t)
	write(t, `{"made/s0.csv": [["`+stamp(100)+`", "`+stamp(119)+`"]]}`, dir, folder, "windows.json")
	result := run(t, dir, newLevel, nil)
	require.Contains(t, result.Unavailable["nab_low_fn_frozen"], "halved")
	require.InDelta(t, 100, result.Metrics["nab_low_fn"].Value, 1e-9)
}

type outside struct{}

func (outside) Next(time.Time, float64) float64 { return math.NaN() }

func TestDetectorsThatFail(t *testing.T) {
	dir := corpusAt(t)
	var none []skipped
	_, err := New(func() (Detector, error) { return outside{}, nil }).Run(t.Context(), environment(dir, &none), nil)
	require.ErrorContains(t, err, "made/s0.csv: score NaN of point 0")
	failure := errors.New("no licence")
	_, err = New(func() (Detector, error) { return nil, failure }).Run(t.Context(), environment(dir, &none), nil)
	require.ErrorIs(t, err, failure)
}

func TestTimesThatJumpBack(t *testing.T) {
	times := []time.Time{start, start.Add(time.Hour), start.Add(2 * time.Hour), start.Add(time.Hour), start.Add(3 * time.Hour)}
	w, err := rowsOf(times, [2]string{stamp(60), stamp(120)})
	require.NoError(t, err)
	require.Equal(t, 1, w.First)
	require.Equal(t, 3, w.Last)
}

func TestScreening(t *testing.T) {
	d, err := Screening()
	require.NoError(t, err)
	for i := range 1500 {
		at := start.Add(time.Duration(i) * time.Minute)
		score := d.Next(at, 100+float64(i*i%97))
		require.GreaterOrEqual(t, score, 0.0)
		require.Less(t, score, 0.65, "values that recur")
	}
	require.Greater(t, d.Next(start.Add(time.Hour), 40), 0.65, "below anything before, at a time that jumps back")
}

// TestRealData prints what detectors that others ran have been published to score and holds Screening above them, where the development
// data lies beside the project.
func TestRealData(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "shared", "data", "dev")
	if _, err := os.Stat(filepath.Join(dir, folder, published)); err != nil {
		if os.Getenv("SENTINEL_REQUIRE_STACK") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	result := run(t, dir, Screening, nil)
	table := result.Tables[0]
	require.Equal(t, []string{"detector", "nab_standard", "nab_low_fp", "nab_low_fn"}, table.Columns[:4])
	got := map[string][]string{}
	for _, row := range table.Rows {
		t.Log(row)
		got[row[0]] = row[1:4]
	}
	require.Equal(t, []string{"71.7", "68.1", "75.1"}, got["contextOSE"])
	require.Equal(t, []string{"56.7", "47.6", "63.1"}, got["randomCutForest"])
	require.Equal(t, []string{"35.0", "16.7", "43.3"}, got["windowedGaussian"])
	require.GreaterOrEqual(t, result.Metrics["nab_standard"].Value, 74.0)
	require.GreaterOrEqual(t, result.Metrics["nab_low_fp"].Value, 70.0)
	for name, m := range result.Metrics {
		t.Logf("%s %.3f [%.3f, %.3f] n=%d %v", name, m.Value, m.Low, m.High, m.N, m.Baselines)
		require.LessOrEqual(t, m.Low, m.Value)
		require.GreaterOrEqual(t, m.High, m.Value)
	}
}

func FuzzParsePoint(f *testing.F) {
	f.Add("2024-03-01 00:00:00,1.5")
	f.Add("2024-03-01 00:00:00.123,-1e9")
	f.Add(",")
	f.Fuzz(func(t *testing.T, line string) {
		at, x, err := parsePoint(line)
		if err == nil {
			require.False(t, math.IsNaN(x) || math.IsInf(x, 0))
			require.Equal(t, time.UTC, at.Location())
		}
	})
}
