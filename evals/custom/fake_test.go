package custom

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
)

// world makes fake pipelines and keeps what was done with them.
type world struct {
	opened, closed int
	restored       []string
	pipelines      []*fake
	detector       engine.AnomalyType // whose findings it makes; "" makes none
	learning       bool
}

// fake counts exclamation marks: one finds something, two or more flag it.
type fake struct {
	world  *world
	learnt map[string]bool
	judged []string
}

func (w *world) parts() Parts {
	return Parts{
		Parts: evals.Parts[Pipeline]{
			Fresh: func(context.Context) (Pipeline, error) { return w.open(), nil },
			Restore: func(_ context.Context, saved []byte) (Pipeline, error) {
				w.restored = append(w.restored, string(saved))
				return w.open(), nil
			},
		},
		Series: func() (Detector, error) { return new(jump), nil },
	}
}

func (w *world) open() *fake {
	w.opened++
	f := &fake{world: w, learnt: make(map[string]bool)}
	w.pipelines = append(w.pipelines, f)
	return f
}

// said is all text of a trace.
func said(t engine.Trace) string {
	var out []string
	for _, s := range t.Spans {
		for _, m := range append(s.Input, s.Output...) {
			out = append(out, m.Text())
		}
		for _, d := range s.Retrieval.Documents {
			out = append(out, d.Text)
		}
		out = append(out, s.Tool.Result)
	}
	return strings.TrimSpace(strings.Join(out, " "))
}

func (f *fake) Learn(_ context.Context, spans []engine.Span) error {
	for _, t := range engine.Traces(spans) {
		f.learnt[said(t)] = true
	}
	return nil
}

func (f *fake) finding(t engine.Trace) engine.Finding {
	marks := strings.Count(said(t), "!")
	return engine.Finding{Type: f.world.detector, P: 1 / float64(1+marks), Raw: float64(marks), Learning: f.world.learning}
}

func (f *fake) Findings(_ context.Context, t engine.Trace) ([]engine.Finding, error) {
	f.judged = append(f.judged, said(t))
	if f.learnt[said(t)] {
		return nil, errors.New("a row was judged that had taught")
	}
	other := engine.Finding{Type: engine.LatencySpike, P: 1e-9}
	if f.world.detector == "" || strings.Contains(said(t), "silence") {
		return []engine.Finding{other}, nil
	}
	return []engine.Finding{other, f.finding(t)}, nil
}

func (f *fake) Score(_ context.Context, t engine.Trace) (engine.Verdict, error) {
	v := engine.Verdict{Anomalous: true, Contributions: []engine.Contribution{{Finding: engine.Finding{Type: engine.LatencySpike}, Score: 9}}}
	if one := f.finding(t); !one.Learning {
		v.Contributions = append(v.Contributions, engine.Contribution{Finding: one, Score: one.Raw - 0.5})
	}
	return v, nil
}

func (f *fake) Save(context.Context) ([]byte, error) { return []byte("what was learnt"), nil }

func (f *fake) Close() error {
	f.world.closed++
	return nil
}

// jump scores a point by how far it is from the one before.
type jump struct{ last float64 }

func (j *jump) Next(_ time.Time, x float64) float64 {
	distance := max(x-j.last, j.last-x)
	j.last = x
	return distance / (1 + distance)
}

// folder writes files and returns where they are.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		f, err := os.Create(filepath.Join(dir, name))
		require.NoError(t, err)
		if strings.HasSuffix(name, ".gz") {
			z := gzip.NewWriter(f)
			_, err = io.WriteString(z, text)
			require.NoError(t, errors.Join(err, z.Close()))
		} else {
			_, err = f.WriteString(text)
			require.NoError(t, err)
		}
		require.NoError(t, f.Close())
	}
	return dir
}

// load makes a suite of a definition beside its data.
func load(t *testing.T, parts Parts, yaml, name, text string) *Suite {
	t.Helper()
	s, err := Load(filepath.Join(folder(t, map[string]string{"suite.yaml": yaml, name: text}), "suite.yaml"), parts)
	require.NoError(t, err)
	return s
}

func options() evals.Options {
	return evals.Options{Seed: 1, Log: slog.New(slog.DiscardHandler), Progress: func(string, int, int, string) {}}
}

func run(t *testing.T, s *Suite, opt evals.Options) evals.Report {
	t.Helper()
	r, err := evals.Run(t.Context(), []evals.Suite{s}, opt)
	require.NoError(t, err)
	return r
}
