package groundedness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
)

// detector is a pipeline whose judgement of a response is given.
type detector struct {
	says    func(context, response string) []engine.Finding
	learnt  map[string]bool // contexts
	answers map[string]bool // responses
	closed  *int
}

func (d *detector) Learn(_ context.Context, spans []engine.Span) error {
	for _, s := range spans {
		if s.Operation == engine.OpRetrieval {
			d.learnt[s.Retrieval.Documents[0].Text] = true
		}
		if s.Operation == engine.OpChat {
			d.answers[s.Output[0].Text()] = true
		}
	}
	return nil
}

func (d *detector) Findings(_ context.Context, t engine.Trace) ([]engine.Finding, error) {
	context := t.Spans[1].Retrieval.Documents[0].Text
	if d.learnt[context] {
		return nil, errors.New("was asked about a context that it had learnt")
	}
	return d.says(context, t.Spans[2].Output[0].Text()), nil
}

func (d *detector) Save(context.Context) ([]byte, error) { return json.Marshal(d.answers) }

func (d *detector) Close() error { *d.closed++; return nil }

// world counts the pipelines it makes.
type world struct {
	says            func(context, response string) []engine.Finding
	fresh, restored int
	closed          int
	saved           map[string]bool
	made            []*detector
}

func (w *world) make() *detector {
	d := &detector{says: w.says, learnt: make(map[string]bool), answers: make(map[string]bool), closed: &w.closed}
	w.made = append(w.made, d)
	return d
}

func (w *world) parts() Parts {
	return Parts{
		Fresh: func(context.Context) (Pipeline, error) { w.fresh++; return w.make(), nil },
		Restore: func(_ context.Context, saved []byte) (Pipeline, error) {
			w.restored++
			return w.make(), json.Unmarshal(saved, &w.saved)
		},
	}
}

// honest finds words of the response that the context does not have; all p-values tie, so that the raw score decides.
func honest(context, response string) []engine.Finding {
	missing := 0
	for _, word := range strings.Fields(response) {
		if !strings.Contains(context, word) {
			missing++
		}
	}
	return []engine.Finding{
		{Type: engine.LatencySpike, P: 1e-9, Raw: float64(len(response))},
		{Type: engine.UngroundedResponse, P: 0.5, Raw: float64(missing)},
	}
}

func silent(string, string) []engine.Finding {
	return []engine.Finding{{Type: engine.LatencySpike, P: 0.1}}
}

// dataset has for each of n contexts a grounded and a hallucinated response of each task.
func dataset(n int) []sample {
	var out []sample
	for i := range n {
		for _, task := range tasks {
			context := fmt.Sprintf("%s %d: the harbour of Lund%d was dug by hand in year %d", task, i, i, 1700+i)
			s := sample{ID: fmt.Sprintf("%s-%d-g", task, i), Context: context, Question: "who dug it?", Task: task, Label: grounded,
				Response: "the harbour was dug by hand"}
			out = append(out, s)
			s.ID, s.Label, s.Response = fmt.Sprintf("%s-%d-h", task, i), hallucinated, "the harbour was built by giants"
			out = append(out, s)
		}
	}
	return out
}

func write(t *testing.T, lines ...any) string {
	t.Helper()
	var b strings.Builder
	for _, line := range lines {
		if raw, ok := line.(string); ok {
			b.WriteString(raw + "\n")
			continue
		}
		one, err := json.Marshal(line)
		require.NoError(t, err)
		b.Write(append(one, '\n'))
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "groundedness.jsonl.gz"), []byte(b.String()), 0o600))
	return dir
}

func writeAll(t *testing.T, all []sample) string {
	lines := make([]any, len(all))
	for i, s := range all {
		lines[i] = s
	}
	return write(t, lines...)
}

func options(dir string) evals.Options {
	return evals.Options{Data: dir, Seed: 1, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Progress: func(string, int, int, string) {}}
}

func run(t *testing.T, parts Parts, opt evals.Options) evals.Report {
	t.Helper()
	report, err := evals.Run(t.Context(), []evals.Suite{New(parts)}, opt)
	require.NoError(t, err)
	return report
}

func TestCrossValidationLearnsGroundedResponsesOfOtherContexts(t *testing.T) {
	w := &world{says: honest}
	report := run(t, w.parts(), options(writeAll(t, dataset(20))))
	require.Equal(t, folds*len(tasks), w.fresh)
	require.Equal(t, w.fresh, w.closed)
	for _, d := range w.made {
		require.Len(t, d.learnt, 16, "four of five folds; the fake refuses contexts that it has learnt")
		require.Equal(t, map[string]bool{"the harbour was dug by hand": true}, d.answers, "hallucinated responses are not normal")
	}
	metrics := report.Suites["groundedness"]
	require.Len(t, metrics, 6)
	for name, m := range metrics {
		require.Equal(t, 1.0, m.Value, name)
		require.Equal(t, 1.0, m.Low, name)
		require.Equal(t, 40, m.N, name)
	}
	require.Empty(t, report.Unavailable)
	m := metrics["qa.f1"]
	require.InDelta(t, 2.0/3, m.Baselines[always], 1e-12)
	require.Contains(t, m.Gains, "novel_bigram_share")
	require.Equal(t, 1.0, metrics["qa.auroc"].Baselines["response_length"])
	require.Len(t, report.Results[0].Confusions, 2)
	require.Equal(t, [][]int{{20, 0}, {0, 20}}, report.Results[0].Confusions[0].Counts)
	require.Len(t, report.Results[0].Charts, 4)
}

func TestRunsAreRepeatable(t *testing.T) {
	opt := options(writeAll(t, dataset(12)))
	a, b := run(t, (&world{says: honest}).parts(), opt), run(t, (&world{says: honest}).parts(), opt)
	require.Equal(t, a.Results, b.Results)
}

func TestFrozenLearnsNothingAndKeepsItsThreshold(t *testing.T) {
	w := &world{says: honest}
	model, skipped, err := evals.Fit(t.Context(), []evals.Suite{New(w.parts())}, options(writeAll(t, dataset(10))))
	require.NoError(t, err)
	require.Empty(t, skipped)

	// On other data all responses miss a word more than any grounded one did when the threshold was frozen.
	shifted := dataset(6)
	for i := range shifted {
		shifted[i].Context = strings.ReplaceAll(shifted[i].Context, "harbour", "canal")
		shifted[i].Response += " with shovels and picks"
	}
	w.fresh, w.made = 0, nil
	opt := options(writeAll(t, shifted))
	opt.Model = &model
	report := run(t, w.parts(), opt)
	require.Zero(t, w.fresh)
	require.Equal(t, len(tasks), w.restored)
	require.Equal(t, map[string]bool{"the harbour was dug by hand": true}, w.saved)
	for _, d := range w.made {
		require.Empty(t, d.learnt)
	}
	metrics := report.Suites["groundedness"]
	require.Equal(t, 1.0, metrics["qa.auroc"].Value, "order does not need a threshold")
	require.Equal(t, 0.5, metrics["qa.balanced_accuracy"].Value, "all lie above the frozen threshold")
	require.InDelta(t, 2.0/3, metrics["qa.f1"].Value, 1e-12)
	require.Contains(t, report.Results[0].Notes[0], "frozen")
	require.NotContains(t, report.Results[0].Notes, evals.Flattered)

	same := options(writeAll(t, dataset(10)))
	same.Model = &model
	require.Contains(t, run(t, w.parts(), same).Results[0].Notes, evals.Flattered)
}

func TestModelWithoutDetectorOrTask(t *testing.T) {
	var qa []sample
	for _, s := range dataset(10) {
		if s.Task == "qa" {
			qa = append(qa, s)
		}
	}
	model, _, err := evals.Fit(t.Context(), []evals.Suite{New(Parts{})}, options(writeAll(t, qa)))
	require.NoError(t, err)
	opt := options(writeAll(t, dataset(4)))
	opt.Model = &model
	report := run(t, (&world{says: honest}).parts(), opt)
	require.Empty(t, report.Suites["groundedness"])
	require.Equal(t, errNoDetector.Error(), report.Unavailable["groundedness.qa.auroc"])
	require.Contains(t, report.Unavailable["groundedness.summary.auroc"], "fitted without")
	require.Len(t, report.Results[0].Tables[0].Rows, 3, "the baselines of qa have frozen thresholds")
}

func TestWithoutDetectorTheBaselinesAreShown(t *testing.T) {
	for name, parts := range map[string]Parts{"no pipeline": {}, "a pipeline without the detector": (&world{says: silent}).parts()} {
		t.Run(name, func(t *testing.T) {
			report := run(t, parts, options(writeAll(t, dataset(10))))
			require.Empty(t, report.Suites["groundedness"])
			require.Len(t, report.Unavailable, 6)
			require.Contains(t, report.Unavailable["groundedness.summary.auroc"], "ungrounded_response")
			require.Len(t, report.Results[0].Tables[0].Rows, 6)
			require.Equal(t, []string{"summary", "response_length", "1.000 (1.000 to 1.000)"}, report.Results[0].Tables[0].Rows[1][:3])
			require.Len(t, report.Results[0].Charts, 2)
			require.Empty(t, report.Results[0].Confusions)
		})
	}
	w := &world{says: silent}
	run(t, w.parts(), options(writeAll(t, dataset(10))))
	require.Equal(t, len(tasks), w.fresh, "one fold without a word is enough")
}

func TestMalformedLines(t *testing.T) {
	good := dataset(6)
	bad := good[0]
	bad.Label = "maybe"
	lines := []any{"{", bad, sample{}}
	for _, s := range good {
		lines = append(lines, s)
	}
	opt := options(write(t, lines...))
	report := run(t, (&world{says: honest}).parts(), opt)
	require.Len(t, report.Skipped, 3)
	require.Equal(t, 2, report.Skipped[1].Line)
	require.Contains(t, report.Skipped[1].Reason, `label: "maybe"`)
	require.Contains(t, report.Skipped[2].Reason, "id")
	require.Equal(t, 12, report.Suites["groundedness"]["qa.auroc"].N)

	opt.Strict = true
	_, err := evals.Run(t.Context(), []evals.Suite{New(Parts{})}, opt)
	require.ErrorContains(t, err, "groundedness.jsonl.gz:1")
}

func TestDataThatCannotBeMeasured(t *testing.T) {
	report := run(t, Parts{}, options(t.TempDir()))
	require.Contains(t, report.Unavailable["groundedness"], "there is no")

	var alike []sample
	for _, s := range dataset(3) {
		if s.Label == grounded && s.Task == "qa" {
			alike = append(alike, s)
		}
	}
	report = run(t, (&world{says: honest}).parts(), options(writeAll(t, alike)))
	require.Contains(t, report.Unavailable["groundedness.qa.f1"], "both")
	require.Contains(t, report.Unavailable["groundedness.summary.f1"], "no such")
}

func TestInterruptedRunResumes(t *testing.T) {
	opt := options(writeAll(t, dataset(10)))
	opt.Steps = t.TempDir()
	w := &world{says: honest}
	first := run(t, w.parts(), opt)
	made := w.fresh
	again := run(t, w.parts(), opt)
	require.Equal(t, made, w.fresh, "nothing is done twice")
	require.Equal(t, first.Results, again.Results)
	opt.Seed = 2
	run(t, w.parts(), opt)
	require.Greater(t, w.fresh, made, "other folds are other steps")
}

func TestErrorsOfThePipelineEndTheRun(t *testing.T) {
	broken := errors.New("broken")
	parts := Parts{Fresh: func(context.Context) (Pipeline, error) { return nil, broken }}
	_, err := evals.Run(t.Context(), []evals.Suite{New(parts)}, options(writeAll(t, dataset(5))))
	require.ErrorIs(t, err, broken)
}

func TestTrace(t *testing.T) {
	s := dataset(1)[0]
	trace := s.trace(evals.JudgedAt)
	require.Equal(t, 0, trace.Root)
	require.Len(t, trace.Spans, 3)
	require.Equal(t, s.Context, trace.Spans[1].Retrieval.Documents[0].Text)
	require.Equal(t, s.Question, trace.Spans[2].Input[0].Text())
	require.Equal(t, s.Response, trace.Spans[2].Output[0].Text())
	s.Question = ""
	require.Empty(t, s.trace(evals.JudgedAt).Spans[2].Input, "nobody asked")
}

func TestNovelBigramShare(t *testing.T) {
	const context = "The old harbour was dug by hand."
	for response, want := range map[string]float64{
		"The OLD harbour": 0, "harbour": 0, "": 0, "the new harbour": 1, "the old harbour, dug by machines": 2.0 / 5,
	} {
		require.InDelta(t, want, novelBigramShare(context, response), 1e-12, response)
	}
}

func TestThreshold(t *testing.T) {
	scores := scoresOf([]evals.Opinion{
		{Score: 0.3, Found: true}, {Score: 0.4, Found: true}, {Score: 1, Found: true}, {Score: 0.3, Found: true, Learning: true}, {Score: 0},
	})
	require.Equal(t, []float64{0.3, 0.4, 1, 0.3, unsaid}, scores)
	all := []int{0, 1, 2, 3, 4}
	require.Equal(t, 0.4, threshold(scores, []bool{false, true, true, false, false}, all))
	require.Equal(t, never, threshold(scores, make([]bool, 5), all), "without a positive nothing is ever said")
	require.NotContains(t, reach(scores, never), true)
}

// TestSharedData checks the loader and the baselines on the development data, whose README names the figure.
func TestSharedData(t *testing.T) {
	const dir = "../../../shared/data/dev"
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("SENTINEL_REQUIRE_STACK") == "1" {
			t.Fatal(err)
		}
		t.Skip("no shared data")
	}
	report := run(t, Parts{}, options(dir))
	require.Empty(t, report.Skipped)
	require.True(t, strings.HasPrefix(report.Results[0].Tables[0].Rows[4][2], "0.94"), "qa by length: %v", report.Results[0].Tables[0].Rows[4])
}

func FuzzSample(f *testing.F) {
	for _, s := range dataset(1) {
		line, err := json.Marshal(s)
		require.NoError(f, err)
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var s sample
		if json.Unmarshal(line, &s) != nil || s.check() != nil {
			return
		}
		require.Len(t, s.trace(evals.JudgedAt).Spans, 3)
		for _, b := range baselines {
			require.GreaterOrEqual(t, b.score(s), 0.0)
		}
	})
}
