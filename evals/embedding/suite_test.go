package embedding

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
)

// fake embeds by a function.
type fake struct {
	name  string
	embed func(texts []string) ([][]float32, error)
}

func (f fake) Embed(_ context.Context, texts []string) ([][]float32, error) { return f.embed(texts) }
func (f fake) Model() engine.Model                                          { return engine.Model{Name: f.name, Version: "1", Dimension: 4} }

// words knows texts by their words alone, as the baseline does.
var words = fake{"words", func(texts []string) ([][]float32, error) { return hashedWords(texts), nil }}

// perKindHere is how many of the texts that ship with the suite are used here, of each of two kinds.
const perKindHere = 20

// small is the suite with fewer texts, which takes a fraction of the time.
func small(t *testing.T, parts Parts) *Suite {
	t.Helper()
	texts, vectors, err := decodeReference(textsFile, referenceFile)
	require.NoError(t, err)
	var lines strings.Builder
	var rows []int8
	var count uint32
	taken := make(map[string]int)
	for i, one := range texts {
		if taken[one.Kind]++; taken[one.Kind] > perKindHere || (one.Kind != "user_prompt" && one.Kind != "document") {
			continue
		}
		line, err := json.Marshal(one)
		require.NoError(t, err)
		lines.Write(line)
		for _, x := range vectors[i] {
			rows = append(rows, int8(x*300))
		}
		count++
	}
	s := New(parts)
	s.texts, s.reference = []byte(lines.String()), file(lines.String(), count, uint32(len(vectors[0])), rows...)
	return s
}

// oracle knows the reference vectors of the suite's own texts.
func oracle(t *testing.T) fake {
	t.Helper()
	s := small(t, Parts{})
	texts, vectors, err := decodeReference(s.texts, s.reference)
	require.NoError(t, err)
	known := make(map[string][]float32)
	for i, text := range texts {
		known[text.Text] = vectors[i]
	}
	return fake{"oracle", func(texts []string) ([][]float32, error) {
		out := make([][]float32, len(texts))
		for i, text := range texts {
			out[i] = known[text]
		}
		return out, nil
	}}
}

func env(t *testing.T, dir string) evals.Env {
	t.Helper()
	return evals.Env{
		Data: dir, Seed: 1, Log: slog.New(slog.DiscardHandler), Steps: evals.NewSteps(""),
		Progress: func(int, int, string) {},
		Skip:     func(string, int, error) error { return nil },
	}
}

// folder is a data folder with n questions and answers.
func folder(t *testing.T, n int) string {
	t.Helper()
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, `{"id":"h%d","question":"which %d of %d","response":"answer %d and %d"}`+"\n", i, i%7, i, i%5, i)
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "open_hallucination.jsonl.gz"), []byte(lines.String()), 0o600))
	return dir
}

func run(t *testing.T, parts Parts, dir string) evals.Result {
	t.Helper()
	r, err := small(t, parts).Run(t.Context(), env(t, dir), nil)
	require.NoError(t, err)
	return r
}

func TestTheReferenceAgreesWithItself(t *testing.T) {
	r := run(t, Parts{Embedder: oracle(t)}, t.TempDir())
	m := r.Metrics["spearman"]
	require.InDelta(t, 1, m.Value, 1e-9)
	require.Equal(t, 2*perKindHere, m.N)
	require.Less(t, m.Baselines[hashedName], 0.6, "words alone are a weak embedder")
	require.InDelta(t, m.Value-m.Baselines[hashedName], m.Gains[hashedName].Value, 1e-9)
	require.Less(t, m.Gains[hashedName].Low, m.Gains[hashedName].Value)
	require.Len(t, r.Tables, 1)
	require.Len(t, r.Tables[0].Rows, 3, "all texts, and two kinds")
	require.Len(t, r.Charts, 1)
	require.Contains(t, r.Notes[0], "vectors ship with the suite")
}

func TestTheBaselineGainsNothingOverItself(t *testing.T) {
	m := run(t, Parts{Embedder: words}, t.TempDir()).Metrics
	require.Equal(t, evals.Interval{}, m["spearman"].Gains[hashedName])
	require.Greater(t, m["spearman"].High, m["spearman"].Low)
	speed := m["texts_per_second"]
	require.True(t, speed.Speed)
	require.Positive(t, speed.Low)
	require.Equal(t, batches*batchTexts, speed.N)
}

func TestAReferenceEmbedderIsComparedOnTheData(t *testing.T) {
	r := run(t, Parts{Embedder: words, Reference: words}, folder(t, 40))
	m := r.Metrics["spearman"]
	require.InDelta(t, 1, m.Value, 1e-9, "the metric is that of the data")
	require.Equal(t, 80, m.N)
	require.Len(t, r.Tables, 2, "the texts of the suite are shown still")
	require.Len(t, r.Notes, 1)
	require.Contains(t, r.Notes[0], "words 1, asked for this run, on 80 texts of the data folder")
}

func TestWithoutDataTheShippedReferenceStands(t *testing.T) {
	r := run(t, Parts{Embedder: words, Reference: words}, t.TempDir())
	require.Equal(t, 2*perKindHere, r.Metrics["spearman"].N)
	require.Contains(t, r.Notes[1], "was not used")
}

func TestFewTextsSayNothing(t *testing.T) {
	r := run(t, Parts{Embedder: words, Reference: words}, folder(t, 5))
	require.Equal(t, 2*perKindHere, r.Metrics["spearman"].N)
	require.Contains(t, r.Notes[1], "has 10 texts, want 20")
}

func TestAConstantEmbedderHasNoCorrelation(t *testing.T) {
	constant := fake{"constant", func(texts []string) ([][]float32, error) {
		out := make([][]float32, len(texts))
		for i := range out {
			out[i] = []float32{1, 0}
		}
		return out, nil
	}}
	r := run(t, Parts{Embedder: constant}, t.TempDir())
	require.NotContains(t, r.Metrics, "spearman")
	require.Contains(t, r.Unavailable["spearman"], "equally similar")
}

func TestRunsAreEqualAndFrozenChangesNothing(t *testing.T) {
	s, dir := small(t, Parts{Embedder: words, Reference: words}), folder(t, 40)
	frozen, err := s.Fit(t.Context(), env(t, dir))
	require.NoError(t, err)
	require.Nil(t, frozen)
	first, err := s.Run(t.Context(), env(t, dir), nil)
	require.NoError(t, err)
	second, err := s.Run(t.Context(), env(t, dir), []byte("null"))
	require.NoError(t, err)
	delete(first.Metrics, "texts_per_second")
	delete(second.Metrics, "texts_per_second")
	require.Equal(t, first, second)
}

func TestAnInterruptedRunAsksTheReferenceOnce(t *testing.T) {
	asked := 0
	reference := fake{"reference", func(texts []string) ([][]float32, error) {
		asked += len(texts)
		return hashedWords(texts), nil
	}}
	s, e := small(t, Parts{Embedder: words, Reference: reference}), env(t, folder(t, 20))
	e.Steps = evals.NewSteps(t.TempDir())
	for range 2 {
		_, err := s.Run(t.Context(), e, nil)
		require.NoError(t, err)
	}
	require.Equal(t, 40+2, asked, "all texts once, and one a run to learn the model's version")
}

func TestFailuresNameTheEmbedder(t *testing.T) {
	_, err := New(Parts{}).Run(t.Context(), env(t, ""), nil)
	require.ErrorIs(t, err, evals.ErrUnavailable)
	broken := fake{"broken", func([]string) ([][]float32, error) { return nil, errors.New("out of order") }}
	_, err = New(Parts{Embedder: broken}).Run(t.Context(), env(t, ""), nil)
	require.EqualError(t, err, "embedding: embed with broken: out of order")
	short := fake{"short", func([]string) ([][]float32, error) { return nil, nil }}
	_, err = New(Parts{Embedder: short}).Run(t.Context(), env(t, ""), nil)
	require.EqualError(t, err, "embedding: embed with short: 0 vectors of 16 texts")
}

func TestOneTextOfAGroupComesFirst(t *testing.T) {
	var texts []evals.Text
	for i := range 40 {
		group := "many"
		if i%10 == 0 {
			group = fmt.Sprint(i)
		}
		texts = append(texts, evals.Text{Kind: "response", Text: fmt.Sprint(i), Group: group})
	}
	groups := make(map[string]bool)
	for _, text := range pick(texts, 5, 1) {
		groups[text.Group] = true
	}
	require.Len(t, groups, 5)
	require.Len(t, pick(texts, 100, 1), 40)
}
