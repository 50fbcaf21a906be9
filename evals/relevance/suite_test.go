package relevance

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

// fake is a pipeline whose judgement of a search is given.
type fake struct {
	says   func(query, document string) []engine.Finding
	learnt map[string]bool // queries
	closed *int
}

func (d *fake) Learn(_ context.Context, spans []engine.Span) error {
	for _, s := range spans {
		if s.Operation == engine.OpRetrieval {
			d.learnt[s.Retrieval.Query] = true
			if !belongs(s.Retrieval.Query, s.Retrieval.Documents[0].Text) {
				return errors.New("was taught an irrelevant search")
			}
		}
	}
	return nil
}

func (d *fake) Findings(_ context.Context, t engine.Trace) ([]engine.Finding, error) {
	s := t.Spans[1].Retrieval
	if d.learnt[s.Query] {
		return nil, errors.New("was asked about a question that it had learnt")
	}
	return d.says(s.Query, s.Documents[0].Text), nil
}

func (d *fake) Save(context.Context) ([]byte, error) { return json.Marshal(d.learnt) }

func (d *fake) Close() error { *d.closed++; return nil }

// world counts the pipelines it makes.
type world struct {
	says            func(query, document string) []engine.Finding
	fresh, restored int
	closed          int
	saved           map[string]bool
	made            []*fake
}

func (w *world) make() *fake {
	d := &fake{says: w.says, learnt: make(map[string]bool), closed: &w.closed}
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

// belongs reports whether the last word of the question, which is a name, is in the document.
func belongs(query, document string) bool {
	words := evals.Words(query)
	return strings.Contains(document, " "+words[len(words)-1]+" ")
}

func found(p, raw float64) []engine.Finding {
	return []engine.Finding{{Type: engine.LatencySpike, P: 1e-9}, {Type: engine.RetrievalIrrelevant, P: p, Raw: raw}}
}

// perfect tells searches apart by the raw score alone; all p-values tie.
func perfect(query, document string) []engine.Finding {
	if belongs(query, document) {
		return found(0.5, 0)
	}
	return found(0.5, 1)
}

// blind says the same of every search.
func blind(string, string) []engine.Finding { return found(0.5, 0) }

func silent(string, string) []engine.Finding {
	return []engine.Finding{{Type: engine.LatencySpike, P: 0.1}}
}

// dataset has n questions, each with two responses, and a summary that nobody asked for. Questions come in pairs about one harbour, so that
// the other of the pair is what a search by words confuses it with.
func dataset(n int) []row {
	out := []row{{ID: "summary", Context: "a text that was to be summed up"}}
	for i := range n {
		r := row{
			Context:  fmt.Sprintf("the harbour of town%d was built by engineer%d in a few years", i/2, i),
			Question: fmt.Sprintf("who built the harbour of town%d, was it engineer%d", i/2, i),
		}
		for _, version := range []string{"g", "h"} {
			r.ID = fmt.Sprintf("%d-%s", i, version)
			out = append(out, r)
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

func writeAll(t *testing.T, all []row) string {
	lines := make([]any, len(all))
	for i, r := range all {
		lines[i] = r
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

func TestPerfectDetector(t *testing.T) {
	w := &world{says: perfect}
	report := run(t, w.parts(), options(writeAll(t, dataset(20))))
	require.Equal(t, folds, w.fresh)
	require.Equal(t, folds, w.closed)
	for _, d := range w.made {
		require.Len(t, d.learnt, 16, "the relevant searches of four of five folds; the fake refuses what it has learnt")
	}
	require.Empty(t, report.Unavailable)
	metrics := report.Suites["relevance"]
	require.Len(t, metrics, 4)
	for name, m := range metrics {
		require.Equal(t, 1.0, m.Value, name)
		require.Equal(t, 1.0, m.Low, name)
		require.Equal(t, 40, m.N, "%s: a question counts once, however many responses it has", name)
		require.Len(t, m.Baselines, len(baselines), name)
		require.Len(t, m.Gains, len(baselines), name)
	}
	require.Equal(t, 0.0, metrics["easy.auroc"].Gains["missing_words"].Value, "words tell them apart too")
	require.Len(t, report.Results[0].Charts, 3)
}

func TestBlindDetector(t *testing.T) {
	report := run(t, (&world{says: blind}).parts(), options(writeAll(t, dataset(20))))
	metrics := report.Suites["relevance"]
	for _, kind := range irrelevant {
		require.Equal(t, 0.5, metrics[string(kind)+".auroc"].Value)
		require.Zero(t, metrics[string(kind)+".tpr_at_1pct_fpr"].Value)
		require.Less(t, metrics[string(kind)+".auroc"].Gains["bm25"].High, 0.0)
	}
}

func TestWithoutDetectorTheBaselinesAreShown(t *testing.T) {
	for name, parts := range map[string]Parts{"no pipeline": {}, "a pipeline without the detector": (&world{says: silent}).parts()} {
		t.Run(name, func(t *testing.T) {
			report := run(t, parts, options(writeAll(t, dataset(20))))
			require.Empty(t, report.Suites["relevance"])
			require.Len(t, report.Unavailable, 4)
			require.Contains(t, report.Unavailable["relevance.hard.auroc"], "retrieval_irrelevance")
			require.Len(t, report.Results[0].Tables[0].Rows, len(irrelevant)*len(baselines))
			require.Equal(t, []string{"easy", "missing_words", "1.000 (1.000 to 1.000)"}, report.Results[0].Tables[0].Rows[0][:3])
		})
	}
	w := &world{says: silent}
	run(t, w.parts(), options(writeAll(t, dataset(20))))
	require.Equal(t, 1, w.fresh, "one fold without a word is enough")
}

func TestRunsAreRepeatable(t *testing.T) {
	opt := options(writeAll(t, dataset(20)))
	a, b := run(t, (&world{says: perfect}).parts(), opt), run(t, (&world{says: perfect}).parts(), opt)
	require.Equal(t, a.Results, b.Results)
}

func TestInterruptedRunResumes(t *testing.T) {
	opt := options(writeAll(t, dataset(20)))
	opt.Steps = t.TempDir()
	w := &world{says: perfect}
	first := run(t, w.parts(), opt)
	made := w.fresh
	require.Equal(t, first.Results, run(t, w.parts(), opt).Results)
	require.Equal(t, made, w.fresh, "nothing is done twice")
	opt.Seed = 2
	run(t, w.parts(), opt)
	require.Greater(t, w.fresh, made, "other folds are other steps")
}

func TestFrozenLearnsNothingAndKeepsItsThreshold(t *testing.T) {
	byRaw := func(offset float64) *world {
		return &world{says: func(query, document string) []engine.Finding {
			f := perfect(query, document)
			f[1].Raw += offset
			return f
		}}
	}
	fitting := options(writeAll(t, dataset(20)))
	model, skipped, err := evals.Fit(t.Context(), []evals.Suite{New(byRaw(0).parts())}, fitting)
	require.NoError(t, err)
	require.Empty(t, skipped)

	w := byRaw(-5) // all scores are lower than where the threshold was chosen
	other := dataset(24)
	opt := options(writeAll(t, other))
	opt.Model = &model
	report := run(t, w.parts(), opt)
	require.Zero(t, w.fresh)
	require.Equal(t, 1, w.restored)
	require.Len(t, w.saved, 20, "what is frozen has learnt all folds")
	require.Empty(t, w.made[0].learnt)
	metrics := report.Suites["relevance"]
	require.Equal(t, 1.0, metrics["hard.auroc"].Value, "order needs no threshold")
	require.Zero(t, metrics["hard.tpr_at_1pct_fpr"].Value, "none reaches the frozen threshold")
	require.Contains(t, report.Results[0].Notes[1], "detector 0.000")
	require.NotContains(t, report.Results[0].Notes, evals.Flattered)

	fitting.Model = &model
	require.Contains(t, run(t, w.parts(), fitting).Results[0].Notes, evals.Flattered)
}

func TestModelWithoutDetector(t *testing.T) {
	opt := options(writeAll(t, dataset(20)))
	model, _, err := evals.Fit(t.Context(), []evals.Suite{New(Parts{})}, opt)
	require.NoError(t, err)
	opt.Model = &model
	report := run(t, (&world{says: perfect}).parts(), opt)
	require.Empty(t, report.Suites["relevance"])
	require.Len(t, report.Unavailable, 4)
}

func TestMalformedLines(t *testing.T) {
	lines := []any{"{", row{ID: "no context", Question: "why?"}, row{Context: "no id"}}
	for _, r := range dataset(20) {
		lines = append(lines, r)
	}
	opt := options(write(t, lines...))
	report := run(t, (&world{says: perfect}).parts(), opt)
	require.Len(t, report.Skipped, 3)
	require.Contains(t, report.Skipped[1].Reason, "context")
	require.Contains(t, report.Skipped[2].Reason, "id")
	require.Equal(t, 40, report.Suites["relevance"]["easy.auroc"].N)
	opt.Strict = true
	_, err := evals.Run(t.Context(), []evals.Suite{New(Parts{})}, opt)
	require.ErrorContains(t, err, "groundedness.jsonl.gz:1")
}

func TestDataThatCannotBeMeasured(t *testing.T) {
	require.Contains(t, run(t, Parts{}, options(t.TempDir())).Unavailable["relevance"], "there is no")
	require.Contains(t, run(t, Parts{}, options(writeAll(t, dataset(4)))).Unavailable["relevance"], "4 contexts")
}

func TestErrorsOfThePipelineEndTheRun(t *testing.T) {
	broken := errors.New("broken")
	parts := Parts{Fresh: func(context.Context) (Pipeline, error) { return nil, broken }}
	_, err := evals.Run(t.Context(), []evals.Suite{New(parts)}, options(writeAll(t, dataset(20))))
	require.ErrorIs(t, err, broken)
}

func TestPairs(t *testing.T) {
	all, err := load(evals.Env{Data: writeAll(t, dataset(20)), Seed: 3})
	require.NoError(t, err)
	require.Len(t, all, 60)
	for i := 0; i < len(all); i += 3 {
		own, random, confused := all[i], all[i+1], all[i+2]
		require.Equal(t, own.Own, own.Document)
		require.NotEqual(t, own.Own, random.Document)
		require.NotEqual(t, own.Own, confused.Document)
		require.Equal(t, own.Document[:len("the harbour of town0 ")], confused.Document[:len("the harbour of town0 ")], "the same town has most words in common")
		require.GreaterOrEqual(t, confused.BM25, random.BM25)
		require.Equal(t, []kind{relevant, easy, hard}, []kind{own.Kind, random.Kind, confused.Kind})
	}
}

func TestBM25(t *testing.T) {
	x := newIndex([]string{"red apple", "red pear", "red plum"})
	scores := x.scores("A pear, PEAR!")
	require.Zero(t, scores[0])
	// ln(1 + 2.5/1.5) is the weight of a word in one of three documents of mean length, where its frequency of 1 counts as 1. It is asked for twice.
	require.InDelta(t, 2*0.980829253, scores[1], 1e-9)
	rare, common := x.scores("pear"), x.scores("red")
	require.Greater(t, rare[1], common[1], "a word of every document tells little")
	require.Equal(t, []float64{0, 0, 0}, x.scores(""))
}

func TestMissingWords(t *testing.T) {
	const document = "The harbour was dug by hand."
	for question, want := range map[string]float64{
		"Who dug the HARBOUR?": 0, "": 0, "why is it so": 0, "which harbour": 0.5, "which bridge": 1,
	} {
		require.InDelta(t, want, missingWords(question, document), 1e-12, question)
	}
}

func TestTrace(t *testing.T) {
	s := search{Question: "who?", Document: "she"}
	trace := s.trace(evals.JudgedAt)
	require.Equal(t, 0, trace.Root)
	require.Len(t, trace.Spans, 2)
	require.Equal(t, "who?", trace.Spans[1].Retrieval.Query)
	require.Equal(t, "she", trace.Spans[1].Retrieval.Documents[0].Text)
	other := search{Question: "who?", Document: "he"}
	require.NotEqual(t, trace.ID, other.trace(evals.JudgedAt).ID)
}

// TestSharedData checks the loader and the baselines on the development data.
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
	require.True(t, strings.HasPrefix(report.Results[0].Tables[0].Rows[1][2], "0.99"), "bm25 finds what belongs: %v", report.Results[0].Tables[0].Rows[1])
}

func FuzzRow(f *testing.F) {
	for _, r := range dataset(1) {
		line, err := json.Marshal(r)
		require.NoError(f, err)
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var r row
		if json.Unmarshal(line, &r) != nil || r.check() != nil {
			return
		}
		x := newIndex([]string{r.Context, "another document"})
		for _, s := range x.scores(r.Question) {
			require.GreaterOrEqual(t, s, 0.0)
		}
		for _, s := range pair([]row{r}, x, 1) {
			if s.Kind != relevant {
				require.NotEqual(t, r.Context, s.Document)
			}
		}
	})
}
