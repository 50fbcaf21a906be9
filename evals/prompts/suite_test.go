package prompts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world makes pipelines whose detectors count exclamation marks: three and more are significant. It records what they were told.
type world struct {
	injections bool // whether there is a detector of injections
	mu         sync.Mutex
	pipelines  []*fake
}

type fake struct {
	injections bool
	Known      []engine.Memo
	Normal     []string
	restored   bool
	asked      []string
	closed     bool
}

func (w *world) parts() Parts {
	open := func(f *fake) (Pipeline, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		f.injections = w.injections
		w.pipelines = append(w.pipelines, f)
		return f, nil
	}
	return Parts{
		Fresh: func(context.Context) (Pipeline, error) { return open(&fake{}) },
		Restore: func(_ context.Context, saved []byte) (Pipeline, error) {
			f := &fake{restored: true}
			if err := json.Unmarshal(saved, f); err != nil {
				return nil, err
			}
			return open(f)
		},
	}
}

func (f *fake) Learn(_ context.Context, spans []engine.Span) error {
	if f.restored || f.Normal != nil {
		return errors.New("learnt twice")
	}
	for _, s := range spans {
		f.Normal = append(f.Normal, content(s))
	}
	return nil
}

func (f *fake) Attacks(_ context.Context, known []engine.Memo) error {
	if f.restored {
		return errors.New("taught when frozen")
	}
	f.Known = append(f.Known, known...)
	return nil
}

func content(s engine.Span) string {
	if s.Operation == engine.OpRetrieval {
		return s.Retrieval.Documents[0].Text
	}
	return s.Input[0].Text()
}

func (f *fake) Findings(_ context.Context, t engine.Trace) ([]engine.Finding, error) {
	s := t.Spans[0]
	marks := strings.Count(content(s), "!")
	f.asked = append(f.asked, content(s))
	finding := engine.Finding{Type: engine.Jailbreak, P: 1, Raw: float64(marks), Learning: f.Normal == nil}
	if marks >= 3 {
		finding.P = 0.001
	}
	if len(f.Known) > 0 {
		finding.Known = &engine.Neighbor{Memo: f.Known[0]}
	}
	if s.Operation == engine.OpRetrieval {
		if !f.injections {
			return nil, nil
		}
		finding.Type = engine.PromptInjection
	}
	return []engine.Finding{finding, {Type: engine.LatencySpike, P: 0.5}}, nil
}

func (f *fake) Save(context.Context) ([]byte, error) { return json.Marshal(f) }

func (f *fake) Close() error {
	f.closed = true
	return nil
}

// write makes a folder with the data, one text a line.
func write(t *testing.T, lines ...string) string {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "prompts.jsonl.gz"), []byte(strings.Join(lines, "\n")), 0o600))
	return dir
}

func line(t *testing.T, x text) string {
	out, err := json.Marshal(x)
	require.NoError(t, err)
	return string(out)
}

// corpus has 40 benign prompts, of which 10 are role-play, 10 pairs of jailbreaks, 20 benign documents and 12 injections of 6 families.
// mark says how many exclamation marks a text has.
func corpus(t *testing.T, mark func(text) int) []string {
	var out []string
	add := func(x text) {
		x.ID = fmt.Sprintf("%s-%d", x.Label, len(out))
		x.Text = fmt.Sprintf("note %d", len(out)) + strings.Repeat("!", mark(x))
		if x.Label == labelInjection {
			x.Text += "\nthe document as it was"
		}
		out = append(out, line(t, x))
	}
	for i := range 40 {
		family := "instruction"
		if i%4 == 0 {
			family = "role-play"
		}
		add(text{Kind: kindUser, Label: labelBenign, Family: family})
	}
	for i := range 20 {
		add(text{Kind: kindUser, Label: labelJailbreak, Family: "in-the-wild", Cluster: json.Number(fmt.Sprint(i / 2))})
	}
	for range 20 {
		add(text{Kind: kindDocument, Label: labelBenign, Family: "news"})
	}
	for i := range 12 {
		add(text{Kind: kindDocument, Label: labelInjection, Family: fmt.Sprintf("trick %d", i/2), Position: "start"})
	}
	return out
}

// marked gives attacks two exclamation marks and benign texts none.
func marked(x text) int {
	if x.attack() {
		return 2
	}
	return 0
}

func options(data string) evals.Options {
	return evals.Options{Data: data, Seed: 7, Log: slog.New(slog.DiscardHandler), Progress: func(string, int, int, string) {}}
}

func run(t *testing.T, s *Suite, opt evals.Options) (evals.Report, evals.Result) {
	report, err := evals.Run(t.Context(), []evals.Suite{s}, opt)
	require.NoError(t, err)
	require.Len(t, report.Results, 1, "%v", report.Unavailable)
	return report, report.Results[0]
}

// The data lies as plain lines here: what is gzip and what is not is told apart by its content.
func TestRun(t *testing.T) {
	w := &world{injections: true}
	report, r := run(t, New(w.parts()), options(write(t, corpus(t, marked)...)))
	require.Empty(t, report.Skipped)

	// P is 1 for all of them, so the raw scores decide, and separate.
	for _, name := range []string{
		"jailbreak.auroc", "jailbreak_hard.auroc", "jailbreak.tpr_at_1pct_fpr", "injection.auroc", "injection.tpr_at_1pct_fpr",
		"shipped.jailbreak.auroc", "shipped.injection.auroc",
	} {
		require.InDelta(t, 1, r.Metrics[name].Value, 1e-12, name)
		require.Contains(t, r.Metrics[name].Baselines, "length", name)
		require.Contains(t, r.Metrics[name].Baselines, "keywords", name)
	}
	require.Equal(t, 60, r.Metrics["jailbreak.auroc"].N)
	require.Equal(t, 30, r.Metrics["jailbreak_hard.auroc"].N)
	require.Equal(t, 20, r.Metrics["jailbreak.tpr_at_1pct_fpr"].N)
	require.Equal(t, 32, r.Metrics["injection.auroc"].N)
	require.Contains(t, r.Metrics["jailbreak.auroc"].Gains, "keywords")
	require.InDelta(t, 0.5, r.Metrics["jailbreak.auroc"].Baselines["keywords"], 1e-12)

	// No benign text of the data has an exclamation mark, so all of the list that has one is above.
	listed, err := overDefence()
	require.NoError(t, err)
	loud := 0
	for _, x := range listed {
		if strings.Contains(x.Text, "!") {
			loud++
		}
	}
	require.InDelta(t, float64(loud)/float64(len(listed)+10), r.Metrics["over_defence.fpr"].Value, 1e-12)
	require.True(t, r.Metrics["over_defence.fpr"].Lower)
	require.Equal(t, len(listed)+10, r.Metrics["over_defence.fpr"].N)

	require.Contains(t, r.Unavailable["novelty.jailbreak.auroc"], "semantic_novelty")
	require.Contains(t, r.Unavailable["novelty.injection.auroc"], "document")
	require.Len(t, r.Charts, 3)
	require.Contains(t, r.Confusions[0].Rows, "in-the-wild (jailbreak)")
	at := slices.Index(r.Confusions[0].Rows, "in-the-wild (jailbreak)")
	require.Equal(t, []int{0, 20}, r.Confusions[0].Counts[at])
}

// What judges a text has learnt neither it nor an attack of its cluster or family, and every text is judged once.
func TestLeftOut(t *testing.T) {
	w := &world{injections: true}
	data := write(t, corpus(t, marked)...)
	run(t, New(w.parts()), options(data))
	env := evals.Env{Data: data}
	texts, err := load(env)
	require.NoError(t, err)
	by := make(map[string]text)
	for _, x := range texts {
		by[x.Text] = x
	}
	require.Len(t, w.pipelines, folds+1)
	times := make(map[string]int)
	for _, p := range w.pipelines {
		require.True(t, p.closed)
		if p.Normal == nil { // what ships
			require.Len(t, p.asked, len(texts))
			continue
		}
		known := make(map[string]bool)
		for _, m := range p.Known {
			require.NotContains(t, m.Text, "as it was", "only the injected line is taught")
			for _, x := range texts {
				if x.ID == m.ID {
					known[x.group()] = true
				}
			}
		}
		require.NotEmpty(t, known)
		for _, asked := range p.asked {
			times[asked]++
			require.NotContains(t, p.Normal, asked)
			require.False(t, by[asked].attack() && known[by[asked].group()], asked)
		}
		for _, normal := range p.Normal {
			require.False(t, by[normal].attack())
			require.False(t, by[normal].Listed)
		}
	}
	require.Len(t, times, len(texts))
	for asked, n := range times {
		require.Equal(t, 1, n, asked)
	}
}

// A frozen model is given other data: nothing is learnt from it, and its own threshold counts.
func TestFrozen(t *testing.T) {
	w := &world{injections: true}
	suite := New(w.parts())
	// Benign texts of the data that is fitted have two marks and are calm; threshold: two marks.
	fitted := options(write(t, corpus(t, func(x text) int {
		if x.attack() {
			return 4
		}
		return 2
	})...))
	m, skipped, err := evals.Fit(t.Context(), []evals.Suite{suite}, fitted)
	require.NoError(t, err)
	require.Empty(t, skipped)
	require.Len(t, w.pipelines, folds+1)
	require.Len(t, w.pipelines[folds].Normal, 60)

	// Elsewhere half of the attacks have one mark: they separate from the benign ones, which have none, and yet stay below.
	n := 0
	other := options(write(t, corpus(t, func(x text) int {
		if n++; !x.attack() {
			return 0
		}
		return 1 + 3*(n%2)
	})...))
	other.Model = &m
	_, r := run(t, suite, other)
	require.InDelta(t, 1, r.Metrics["jailbreak.auroc"].Value, 1e-12)
	require.InDelta(t, 0.5, r.Metrics["jailbreak.tpr_at_1pct_fpr"].Value, 1e-12)
	require.InDelta(t, 0.5, r.Metrics["injection.tpr_at_1pct_fpr"].Value, 1e-12)
	require.NotContains(t, strings.Join(r.Notes, " "), "this very data")
	require.Contains(t, strings.Join(r.Notes, " "), "Frozen")

	fitted.Model = &m
	_, r = run(t, suite, fitted)
	require.Contains(t, strings.Join(r.Notes, " "), "this very data")

	// A model from before there was a detector of injections has no threshold for it.
	var old model
	require.NoError(t, json.Unmarshal(m.Suites["prompts"], &old))
	delete(old.Thresholds, thresholdKey(servedInjection, kindDocument))
	m.Suites["prompts"], err = json.Marshal(old)
	require.NoError(t, err)
	_, r = run(t, suite, other)
	require.Contains(t, r.Unavailable["injection.tpr_at_1pct_fpr"], "no threshold")
	require.Contains(t, r.Metrics, "injection.auroc")

	m.Suites["prompts"] = json.RawMessage(`{}`)
	_, err = evals.Run(t.Context(), []evals.Suite{suite}, other)
	require.ErrorContains(t, err, "no thresholds")
}

func TestUnavailable(t *testing.T) {
	data := write(t, corpus(t, marked)...)
	_, r := run(t, New((&world{}).parts()), options(data))
	require.Contains(t, r.Metrics, "jailbreak.auroc")
	for _, name := range []string{"injection.auroc", "injection.tpr_at_1pct_fpr", "shipped.injection.auroc"} {
		require.Contains(t, r.Unavailable[name], "prompt_injection", name)
	}

	none := New(Parts{})
	_, r = run(t, none, options(data))
	require.Empty(t, r.Metrics)
	require.Len(t, r.Unavailable, len(figures))
	require.Len(t, r.Tables[0].Rows, len(figures), "the baselines are shown all the same")
	require.NotEqual(t, "–", r.Tables[0].Rows[0][1])
	m, _, err := evals.Fit(t.Context(), []evals.Suite{none}, options(data))
	require.NoError(t, err)
	other := options(data)
	other.Model = &m
	_, r = run(t, none, other)
	require.Empty(t, r.Metrics)

	benign := slices.DeleteFunc(corpus(t, marked), func(l string) bool { return strings.Contains(l, "jailbreak") })
	_, r = run(t, New((&world{}).parts()), options(write(t, benign...)))
	require.Contains(t, r.Unavailable["jailbreak.auroc"], "lacks")

	report, err := evals.Run(t.Context(), []evals.Suite{none}, options(t.TempDir()))
	require.NoError(t, err)
	require.Contains(t, report.Unavailable["prompts"], "prompts.jsonl.gz")
}

func TestMalformed(t *testing.T) {
	lines := append(corpus(t, marked), `{"id":"x","text":"hi","kind":"user","label":"nasty","family":"f"}`, `{"id":`)
	opt := options(write(t, lines...))
	report, _ := run(t, New(Parts{}), opt)
	require.Len(t, report.Skipped, 2)
	require.Equal(t, len(lines)-1, report.Skipped[0].Line)
	require.Contains(t, report.Skipped[0].Reason, "label")
	opt.Strict = true
	_, err := evals.Run(t.Context(), []evals.Suite{New(Parts{})}, opt)
	require.ErrorContains(t, err, fmt.Sprintf("prompts.jsonl.gz:%d", len(lines)-1))
}

// Two runs agree to the digit, and one that was interrupted goes on where it stopped.
func TestRepeatable(t *testing.T) {
	opt := options(write(t, corpus(t, marked)...))
	opt.Steps = t.TempDir()
	w := &world{injections: true}
	_, first := run(t, New(w.parts()), opt)
	_, again := run(t, New(w.parts()), opt)
	require.Equal(t, first, again)
	require.Len(t, w.pipelines, folds+1, "nothing is done twice")
	opt.Steps = ""
	_, anew := run(t, New(w.parts()), opt)
	require.Equal(t, first, anew)
}

func TestFailures(t *testing.T) {
	broken := errors.New("no room")
	opt := options(write(t, corpus(t, marked)...))
	s := New(Parts{Fresh: func(context.Context) (Pipeline, error) { return nil, broken }})
	_, err := evals.Run(t.Context(), []evals.Suite{s}, opt)
	require.ErrorIs(t, err, broken)
	_, _, err = evals.Fit(t.Context(), []evals.Suite{s}, opt)
	require.ErrorIs(t, err, broken)
}
