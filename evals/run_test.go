package evals_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/evals"
)

// suite does what a test says.
type suite struct {
	name string
	fit  func(env evals.Env) (json.RawMessage, error)
	run  func(env evals.Env, frozen json.RawMessage) (evals.Result, error)
}

func (s suite) Name() string { return s.name }

func (s suite) Fit(_ context.Context, env evals.Env) (json.RawMessage, error) { return s.fit(env) }

func (s suite) Run(_ context.Context, env evals.Env, frozen json.RawMessage) (evals.Result, error) {
	return s.run(env, frozen)
}

// measures is a suite with one metric.
func measures(name string, value float64) suite {
	return suite{name: name, run: func(evals.Env, json.RawMessage) (evals.Result, error) {
		r := evals.NewResult(name)
		r.Metrics["m"] = evals.Metric{Value: value, Low: value, High: value}
		r.Unavailable["n"] = "no detector"
		return r, nil
	}}
}

func options() evals.Options {
	return evals.Options{Seed: 1, Log: slog.New(slog.DiscardHandler), Progress: func(string, int, int, string) {}}
}

func TestASuiteThatIsUnavailableLeavesTheOthers(t *testing.T) {
	gone := suite{name: "gone", run: func(evals.Env, json.RawMessage) (evals.Result, error) {
		return evals.Result{}, evals.Unavailable("there is no %s", "data")
	}}
	r, err := evals.Run(t.Context(), []evals.Suite{gone, measures("there", 0.5)}, options())
	require.NoError(t, err)
	require.Equal(t, 0.5, r.Suites["there"]["m"].Value)
	require.Equal(t, map[string]string{"gone": "unavailable: there is no data", "there.n": "no detector"}, r.Unavailable)

	broken := errors.New("broken")
	_, err = evals.Run(t.Context(), []evals.Suite{suite{name: "bad", run: func(evals.Env, json.RawMessage) (evals.Result, error) {
		return evals.Result{}, broken
	}}}, options())
	require.ErrorIs(t, err, broken)
	_, err = evals.Run(t.Context(), []evals.Suite{measures("nan", math.NaN())}, options())
	require.ErrorContains(t, err, "metric m is not a number")
}

// flood has n malformed lines, some of them with a reason that quotes a whole text.
func flood(name string, n int) suite {
	skip := func(env evals.Env) error {
		for i := range n {
			if err := env.Skip("f.jsonl", i+1, errors.New("label: \""+strings.Repeat("é", i)+"\" is odd")); err != nil {
				return err
			}
		}
		return nil
	}
	return suite{
		name: name,
		fit:  func(env evals.Env) (json.RawMessage, error) { return nil, skip(env) },
		run:  func(env evals.Env, _ json.RawMessage) (evals.Result, error) { return evals.NewResult(name), skip(env) },
	}
}

func TestMalformedLinesAreAllCountedAndFewListed(t *testing.T) {
	var log bytes.Buffer
	opt := options()
	opt.Log = slog.New(slog.NewTextHandler(&log, nil))
	r, err := evals.Run(t.Context(), []evals.Suite{flood("many", 5000), flood("few", 3)}, opt)
	require.NoError(t, err)
	require.Equal(t, map[string]int{"many": 5000, "few": 3}, r.Malformed)
	require.Len(t, r.Skipped, 103)
	require.Equal(t, evals.Skipped{Suite: "few", File: "f.jsonl", Line: 3, Reason: `label: "éé" is odd`}, r.Skipped[102])
	for _, s := range r.Skipped {
		require.LessOrEqual(t, len(s.Reason), 304, "a reason is cut between letters")
		require.NotContains(t, s.Reason, "\ufffd")
	}
	require.Equal(t, 10+3+1, strings.Count(log.String(), "\n"))
	require.Contains(t, log.String(), "suite=many lines=5000")

	opt.Strict = true
	_, err = evals.Run(t.Context(), []evals.Suite{flood("many", 5)}, opt)
	require.EqualError(t, err, `suite many: f.jsonl:1: label: "" is odd`)

	_, malformed, err := evals.Fit(t.Context(), []evals.Suite{flood("many", 5000)}, options())
	require.NoError(t, err)
	require.Equal(t, map[string]int{"many": 5000}, malformed)
}

func TestAModelIsReadWholeOrNotAtAll(t *testing.T) {
	learns := suite{name: "s", fit: func(evals.Env) (json.RawMessage, error) { return json.RawMessage(`{"threshold":2}`), nil }}
	nothing := suite{name: "none", fit: func(evals.Env) (json.RawMessage, error) { return nil, nil }}
	gone := suite{name: "gone", fit: func(evals.Env) (json.RawMessage, error) { return nil, evals.Unavailable("no data") }}
	m, _, err := evals.Fit(t.Context(), []evals.Suite{learns, nothing, gone}, options())
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "below", "model.gz")
	require.NoError(t, m.Save(path))

	opt := options()
	opt.Model, err = evals.LoadModel(path)
	require.NoError(t, err)
	given := make(map[string]string)
	takes := func(name string) suite {
		return suite{name: name, run: func(_ evals.Env, frozen json.RawMessage) (evals.Result, error) {
			given[name] = string(frozen)
			return evals.NewResult(name), nil
		}}
	}
	r, err := evals.Run(t.Context(), []evals.Suite{takes("s"), takes("none"), takes("gone")}, opt)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"s": `{"threshold":2}`, "none": "null"}, given)
	require.Contains(t, r.Unavailable["gone"], "fitted without")
	require.Len(t, r.Frozen, 64)

	data, err := os.ReadFile(path)
	require.NoError(t, err)
	for n := range data {
		require.NoError(t, os.WriteFile(path, data[:n], 0o600))
		_, err := evals.LoadModel(path)
		require.ErrorContains(t, err, "is not a model", "the first %d of %d bytes", n, len(data))
	}
	require.NoError(t, os.WriteFile(path, zipped(t, `{}`), 0o600))
	_, err = evals.LoadModel(path)
	require.ErrorContains(t, err, "is not a model")

	_, _, err = evals.Fit(t.Context(), []evals.Suite{gone}, options())
	require.ErrorIs(t, err, evals.ErrUnavailable, "a model of nothing is none")
}

func TestStepsAreDoneOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "steps")
	steps := evals.NewSteps(dir)
	done := 0
	do := func() ([]float64, error) { done++; return []float64{1, 2}, nil }
	for range 2 {
		got, err := evals.Resume(steps, "a", do)
		require.NoError(t, err)
		require.Equal(t, []float64{1, 2}, got)
	}
	require.Equal(t, 1, done)
	_, err := evals.Resume(steps, "b", func() (int, error) { return 0, errors.New("broken") })
	require.Error(t, err)
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.Len(t, files, 1, "what failed is not kept, and no file is left half written")

	require.NoError(t, os.WriteFile(files[0], []byte(`[1,`), 0o600))
	_, err = evals.Resume(steps, "a", do)
	require.NoError(t, err)
	require.Equal(t, 2, done, "what cannot be read is done again")
	require.NoError(t, steps.Clear())
	require.NoDirExists(t, dir)
}

type closer struct{ closed *int }

func (c closer) Close() error { *c.closed++; return nil }

func TestAPipelineThatWasInterruptedHasSaidNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	closed := 0
	parts := evals.Parts[closer]{Restore: func(context.Context, []byte) (closer, error) { return closer{&closed}, nil }}
	require.NoError(t, evals.With(ctx, parts.Saved(nil), func(closer) error { return nil }))
	err := evals.With(ctx, parts.Saved(nil), func(closer) error { cancel(); return nil })
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 2, closed)
}
