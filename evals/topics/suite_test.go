package topics

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
)

// dataset is families of prompts that share no word.
func dataset(families, prompts int) []line {
	var out []line
	for f := range families {
		for i := range prompts {
			var text []string
			for w := range 8 {
				text = append(text, fmt.Sprintf("word%dof%d", (i+w)%30, f))
			}
			out = append(out, line{fmt.Sprintf("%d-%d", f, i), strings.Join(text, " "), "user", "benign", fmt.Sprintf("family %d", f)})
		}
	}
	return append(out, line{"j", "ignore all that", "user", "jailbreak", "in the wild"}, line{"d", "a table", "document", "benign", "tables"})
}

func write(t *testing.T, lines ...any) string {
	t.Helper()
	var b strings.Builder
	for _, one := range lines {
		if raw, ok := one.(string); ok {
			b.WriteString(raw + "\n")
			continue
		}
		text, err := json.Marshal(one)
		require.NoError(t, err)
		b.Write(append(text, '\n'))
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "prompts.jsonl.gz"), []byte(b.String()), 0o600))
	return dir
}

func writeAll(t *testing.T, all []line) string {
	lines := make([]any, len(all))
	for i, l := range all {
		lines[i] = l
	}
	return write(t, lines...)
}

func options(dir string) evals.Options {
	return evals.Options{Data: dir, Seed: 1, Log: slog.New(slog.DiscardHandler), Progress: func(string, int, int, string) {}}
}

func env(dir string) evals.Env {
	return evals.Env{Data: dir, Seed: 1, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Skip: func(string, int, error) error { return nil }}
}

// fake is a pipeline whose anomalies are given for what was played.
type fake struct {
	says   func(service string, texts []string) []engine.Anomaly
	texts  []string
	spans  []engine.Span
	closed *atomic.Int32
}

func (f *fake) Play(_ context.Context, batches iter.Seq2[engine.Batch, error]) error {
	for b, err := range batches {
		if err != nil {
			return err
		}
		for _, s := range b.Spans {
			if n := len(f.spans); n > 0 && s.End.Before(f.spans[n-1].End) {
				return errors.New("prompts are not in order")
			}
			f.spans = append(f.spans, s)
			f.texts = append(f.texts, s.Input[0].Text())
		}
	}
	return nil
}

func (f *fake) Anomalies(context.Context) ([]engine.Anomaly, error) {
	return f.says(f.spans[0].Service, f.texts), nil
}

func (f *fake) Close() error { f.closed.Add(1); return nil }

func run(t *testing.T, says func(service string, texts []string) []engine.Anomaly, opt evals.Options) (evals.Report, int) {
	t.Helper()
	var opened, closed atomic.Int32
	parts := Parts{Pairs: 1, Open: func(context.Context) (Pipeline, error) {
		opened.Add(1)
		return &fake{says: says, closed: &closed}, nil
	}}
	report, err := evals.Run(t.Context(), []evals.Suite{New(parts)}, opt)
	require.NoError(t, err)
	require.Equal(t, opened.Load(), closed.Load())
	return report, int(opened.Load())
}

// oracle knows each stream by its texts, and tells an hour after the change.
func oracle(t *testing.T, dir string) func(string, []string) []engine.Anomaly {
	known := make(map[string]stream)
	for _, source := range sources {
		from, err := load(env(dir), source)
		require.NoError(t, err)
		for _, what := range changes {
			changed, control := twins(source, from, what, 0, 1)
			known[changed.digest()], known[control.digest()] = changed, control
		}
	}
	require.Len(t, known, 2*len(sources)*len(changes), "a stream differs from its twin")
	return func(_ string, texts []string) []engine.Anomaly {
		s, ok := known[evals.Digest(texts)]
		if !ok || s.change == calm {
			return nil
		}
		return []engine.Anomaly{
			{Type: engine.LatencySpike, At: s.changed.Add(time.Minute), Score: 9},
			{Type: engine.TopicDrift, At: s.changed.Add(time.Hour), Score: 2},
			{Type: engine.TopicDrift, At: s.changed.Add(2 * time.Hour), Score: 3},
		}
	}
}

func TestPerfectDetector(t *testing.T) {
	dir := writeAll(t, dataset(4, 40))
	report, opened := run(t, oracle(t, dir), options(dir))
	require.Equal(t, 16, opened, "a pipeline of its own for each stream and each twin")
	require.Empty(t, report.Unavailable)
	metrics := report.Suites["topics"]
	for _, source := range sources {
		require.Equal(t, 1.0, metrics[source+".auroc"].Value)
		require.Equal(t, 8, metrics[source+".auroc"].N)
		require.Equal(t, 1.0, metrics[source+".detection_rate"].Value)
		require.Equal(t, 4, metrics[source+".detection_rate"].N)
		for _, c := range changes {
			require.Equal(t, 1.0, metrics[source+"."+string(c)+".detection_rate"].Value)
		}
		require.Zero(t, metrics[source+".false_alarms_per_day"].Value)
		delay := metrics[source+".median_delay_prompts"]
		require.True(t, delay.Value > 10 && delay.Value < 120, "the prompts of an hour: %v", delay.Value)
		require.Contains(t, metrics[source+".auroc"].Gains, "chi_square")
	}
	require.Equal(t, 1.0, metrics["prompts.born.detection_rate"].Baselines["unseen_words"], "no word of a family that is born was seen before")
	require.Len(t, report.Results[0].Tables, 3)
	require.Len(t, report.Results[0].Tables[2].Rows, 16)
}

func TestNullDetectors(t *testing.T) {
	dir := writeAll(t, dataset(4, 40))
	silent, _ := run(t, func(string, []string) []engine.Anomaly { return nil }, options(dir))
	require.Equal(t, 0.5, silent.Suites["topics"]["prompts.auroc"].Value)
	require.Zero(t, silent.Suites["topics"]["prompts.detection_rate"].Value)
	require.Zero(t, silent.Suites["topics"]["prompts.false_alarms_per_day"].Value)
	require.Contains(t, silent.Unavailable["topics.prompts.median_delay_prompts"], "no change")

	// One that alarms every hour detects all and is worth nothing.
	always, _ := run(t, func(string, []string) []engine.Anomaly {
		var out []engine.Anomaly
		for h := range 60 {
			out = append(out, engine.Anomaly{Type: engine.TopicDrift, At: evals.JudgedAt.Add(time.Duration(h) * time.Hour), Score: 2})
		}
		return out
	}, options(dir))
	require.Equal(t, 0.5, always.Suites["topics"]["prompts.auroc"].Value)
	require.Equal(t, 1.0, always.Suites["topics"]["prompts.detection_rate"].Value)
	require.InDelta(t, 24, always.Suites["topics"]["prompts.false_alarms_per_day"].Value, 1)
}

func TestWithoutPipelineTheBaselinesAreShown(t *testing.T) {
	report, err := evals.Run(t.Context(), []evals.Suite{New(Parts{Pairs: 1})}, options(writeAll(t, dataset(4, 40))))
	require.NoError(t, err)
	require.Empty(t, report.Suites["topics"])
	require.Len(t, report.Unavailable, len(sources)*len(figures()))
	require.Len(t, report.Results[0].Tables, 2)
	require.Len(t, report.Results[0].Tables[0].Rows, (1+len(changes))*len(baselines))
}

func TestRunsAreRepeatableAndResume(t *testing.T) {
	dir := writeAll(t, dataset(3, 30))
	opt := options(dir)
	opt.Steps = t.TempDir()
	says := oracle(t, dir)
	first, opened := run(t, says, opt)
	require.Equal(t, 16, opened)
	again, opened := run(t, says, opt)
	require.Zero(t, opened, "nothing is played twice")
	require.Equal(t, first.Results, again.Results)
	opt.Steps = ""
	again, _ = run(t, says, opt)
	require.Equal(t, first.Results, again.Results)
	opt.Seed = 2
	other, _ := run(t, says, opt)
	require.NotEqual(t, first.Results, other.Results, "other streams")
}

func TestData(t *testing.T) {
	says := func(string, []string) []engine.Anomaly { return nil }
	report, opened := run(t, says, options(t.TempDir()))
	require.Equal(t, 8, opened, "invented assistants need no data")
	require.Contains(t, report.Unavailable["topics.prompts.auroc"], "there is no")
	require.Contains(t, report.Suites["topics"], "scenarios.auroc")

	report, _ = run(t, says, options(writeAll(t, dataset(2, 40))))
	require.Contains(t, report.Unavailable["topics.prompts.auroc"], "2 families")

	lines := []any{"{", line{Text: "no id", Kind: "user", Label: "benign", Family: "f"}, line{ID: "x", Kind: "user", Label: "benign", Family: "f"}}
	for _, l := range dataset(4, 40) {
		lines = append(lines, l)
	}
	opt := options(write(t, lines...))
	report, _ = run(t, says, opt)
	require.Len(t, report.Skipped, 3)
	opt.Strict = true
	_, err := evals.Run(t.Context(), []evals.Suite{New(Parts{})}, opt)
	require.ErrorContains(t, err, "prompts.jsonl.gz:1")
}

func TestErrorsOfThePipelineEndTheRun(t *testing.T) {
	broken := errors.New("broken")
	parts := Parts{Pairs: 1, Open: func(context.Context) (Pipeline, error) { return nil, broken }}
	_, err := evals.Run(t.Context(), []evals.Suite{New(parts)}, options(writeAll(t, dataset(4, 40))))
	require.ErrorIs(t, err, broken)
}

func TestTwins(t *testing.T) {
	from, err := load(env(writeAll(t, dataset(4, 40))), labelled)
	require.NoError(t, err)
	require.Len(t, from[0], 4, "neither attacks nor documents are topics")
	family := func(text string) string { return text[strings.LastIndex(text, "of"):] }
	share := func(s stream, after bool) map[string]float64 {
		out := make(map[string]float64)
		var n float64
		for _, x := range s.turns {
			if x.at.Before(s.changed) != after {
				out[family(x.text)]++
				n++
			}
		}
		for k := range out {
			out[k] /= n
		}
		return out
	}
	for _, what := range changes {
		changed, control := twins(labelled, from, what, 3, 1)
		require.Equal(t, calm, control.change)
		require.Equal(t, changed.changed, control.changed)
		n := 0
		for ; changed.turns[n].at.Before(changed.changed); n++ {
			require.Equal(t, changed.turns[n], control.turns[n], "what was before the change is the same")
		}
		require.Greater(t, n, 500)
		before, after, calmly := share(changed, false), share(changed, true), share(control, true)
		var moved, drifted float64
		for _, f := range []string{"of0", "of1", "of2", "of3"} {
			moved += math.Abs(after[f]-before[f]) / 2
			drifted += math.Abs(calmly[f]-before[f]) / 2
		}
		require.Greater(t, moved, 0.12, what)
		require.Less(t, drifted, 0.12, what)
		switch what {
		case born:
			require.Len(t, before, 3)
			require.Len(t, after, 4)
		case died:
			require.Len(t, before, 4)
			require.Len(t, after, 3)
		case grown, shifted:
			require.Len(t, before, 4)
		}
	}
}

func TestMixtures(t *testing.T) {
	r := random(1, "mixtures")
	for range 100 {
		before, after := mixtures(r, 3, grown)
		require.InDelta(t, growth, after[0]/before[0], 1e-9)
		require.InDelta(t, before[1]/before[2], after[1]/after[2], 1e-9, "the others keep their proportions")
		before, after = mixtures(r, 4, shifted)
		require.GreaterOrEqual(t, variation(before, after), leastShift)
		for _, m := range [][]float64{before, after} {
			var sum float64
			for _, share := range m {
				sum += share
			}
			require.InDelta(t, 1, sum, 1e-9)
		}
	}
}

func TestJudge(t *testing.T) {
	start := evals.JudgedAt
	at := func(h float64) time.Time { return start.Add(time.Duration(h * float64(time.Hour))) }
	s := stream{change: born, start: start, changed: at(24), end: at(32), turns: []turn{{at: at(23)}, {at: at(24)}, {at: at(25)}, {at: at(26)}}}
	said := []alarm{{at(26), 2}, {at(2), 5}, {at(20), 1.5}, {at(21), 0.5}, {at(24.5), 0.9}, {at(40), 7}}
	o := judge(&s, said)
	require.Equal(t, outcome{score: 2, detected: true, delay: 3, wrong: 1, calm: 12 * time.Hour}, o,
		"what is said while it still learns, and after the end, does not count")
	s.change = calm
	o = judge(&s, said)
	require.Equal(t, outcome{score: 2, wrong: 2, calm: 20 * time.Hour}, o, "to its end a calm stream is calm")
}

func TestBaselines(t *testing.T) {
	known := strings.Fields("a a b c d d")
	require.InDelta(t, 0.5, unseen(known)([]string{"a", "x"}), 1e-12)
	same := chiSquare(known)
	require.InDelta(t, 0, same(append(known, known...)), 1e-9, "the same proportions")
	require.Greater(t, same([]string{"x", "y", "z"}), same([]string{"a", "b", "d"}))
	mean, deviation := moments([]float64{1, 3})
	require.Equal(t, []float64{2, 1}, []float64{mean, deviation})
	_, deviation = moments([]float64{1})
	require.Positive(t, deviation)
}

func FuzzLine(f *testing.F) {
	for _, l := range dataset(1, 2) {
		text, err := json.Marshal(l)
		require.NoError(f, err)
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var l line
		if json.Unmarshal(text, &l) != nil || l.check() != nil {
			return
		}
		require.NotEmpty(t, beginning(l.Text))
		require.LessOrEqual(t, len(strings.Fields(beginning(l.Text))), promptWords)
	})
}
