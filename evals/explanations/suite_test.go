package explanations

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
	"github.com/llm-sentinel/llm-sentinel/evals/scenario"
	"github.com/llm-sentinel/llm-sentinel/evals/scenarios"
)

// oracle is a pipeline that finds every incident of a day.
type oracle struct{ truths []scenario.Truth }

func (oracle) Play(_ context.Context, batches iter.Seq2[engine.Batch, error]) error {
	for _, err := range batches {
		if err != nil {
			return err
		}
	}
	return nil
}

func (o oracle) Incidents(context.Context) ([]engine.Incident, error) {
	var out []engine.Incident
	for _, t := range o.truths {
		in := slow()
		in.ID, in.Type, in.Subject = "inc-"+t.ID, engine.AnomalyType(t.Type), engine.Subject{Kind: "service", Value: t.Subject}
		in.Onset, in.LastSeen = t.Onset, t.End
		in.Evidence.From, in.Evidence.Terms = t.Onset, []string{t.Cause.Kind, t.Cause.Subject}
		out = append(out, in)
	}
	return out, nil
}

func (oracle) Close() error { return nil }

// author writes notes as it is told.
type author struct {
	write func(in engine.Incident, ev engine.Evidence) engine.Explanation
	asked int
	fail  error
}

func (a *author) Explain(_ context.Context, in engine.Incident, ev engine.Evidence) (engine.Explanation, error) {
	a.asked++
	if a.fail != nil {
		return engine.Explanation{}, a.fail
	}
	return a.write(in, ev), nil
}

// right knows the cause and says nothing wrong.
func right(_ engine.Incident, ev engine.Evidence) engine.Explanation {
	cause := engine.Subject{Kind: ev.Terms[0], Value: ev.Terms[1]}
	return engine.Explanation{
		Summary: "It was `" + cause.Value + "` [E1].", Note: "# Head\n\nIt was `" + cause.Value + "` [E1].\n",
		Hypotheses: []engine.Hypothesis{{Cause: cause, Statement: "So it was [E1].", Citations: []string{"E1"}}},
		Citations:  []engine.Citation{{ID: "E1", Text: "It was", TraceID: ev.Abnormal.TraceID.String()}},
		Took:       time.Millisecond,
	}
}

// loose rewords well half of the time, makes a figure up, and cites what is not there.
func loose() func(engine.Incident, engine.Evidence) engine.Explanation {
	n := 0
	return func(in engine.Incident, ev engine.Evidence) engine.Explanation {
		n++
		e := right(in, ev)
		e.Tokens, e.Took = 100, 2*time.Second
		if n%2 == 0 {
			e.Fallback, e.Tokens = "number", 300
			return e
		}
		e.Summary = "Nobody knows [E1] [E7]."
		e.Note += "\nUp by 77.7 %.\n"
		return e
	}
}

func runner(t *testing.T) *scenarios.Runner {
	s, err := scenario.New(scenarios.Days(3, 1)[0].Config)
	require.NoError(t, err)
	r, err := scenarios.NewRunner(scenarios.Parts{
		Open:   func(context.Context) (scenarios.Pipeline, error) { return oracle{s.Truth()}, nil },
		Decode: func(time.Time, ptrace.Traces, plog.Logs) engine.Batch { return engine.Batch{} },
		Window: 5 * time.Minute, Days: 1,
	})
	require.NoError(t, err)
	return r
}

func environment(dir string) evals.Env {
	return evals.Env{Seed: 3, Log: slog.New(slog.DiscardHandler), Steps: evals.NewSteps(dir), Progress: func(int, int, string) {}}
}

func TestFiguresOfKnownNotes(t *testing.T) {
	model := &author{write: loose()}
	parts := Parts{Runner: runner(t), Deterministic: &author{write: right}, Models: []Model{{"small", model}}}
	s, err := New(parts)
	require.NoError(t, err)
	require.Equal(t, "explanations", s.Name())
	env := environment(t.TempDir())
	result, err := s.Run(t.Context(), env, nil)
	require.NoError(t, err)

	value := func(name string) float64 {
		require.Contains(t, result.Metrics, name)
		return result.Metrics[name].Value
	}
	require.Equal(t, 6, result.Metrics["deterministic.cause_accuracy"].N)
	require.Equal(t, 1.0, value("deterministic.cause_accuracy"))
	require.Equal(t, 0.0, result.Metrics["deterministic.cause_accuracy"].Baselines["subject"], "each was found on a service")
	require.Equal(t, 1.0, value("deterministic.claims_supported"))
	require.Equal(t, 1.0, value("deterministic.citations_resolve"))
	require.Equal(t, 0.0, value("deterministic.fallback_rate"))
	require.Equal(t, 0.0, value("deterministic.tokens_per_note"))
	require.InDelta(t, 0.001, value("deterministic.seconds_per_note"), 1e-9)
	require.True(t, result.Metrics["deterministic.seconds_per_note"].Speed)

	require.Equal(t, 0.5, value("small.cause_accuracy"), "the summary must name it")
	require.Equal(t, -0.5, result.Metrics["small.cause_accuracy"].Gains["deterministic"].Value)
	require.InDelta(t, 6.0/9, value("small.claims_supported"), 1e-9, "three notes of one claim, three of two")
	require.InDelta(t, 18.0/21, value("small.citations_resolve"), 1e-9)
	require.Equal(t, 0.5, value("small.fallback_rate"))
	require.Equal(t, 200.0, value("small.tokens_per_note"))
	require.Equal(t, 1.0, result.Metrics["small.claims_supported"].Baselines["deterministic"])

	// A language model is asked once a note, over an interruption too.
	again, err := s.Run(t.Context(), env, nil)
	require.NoError(t, err)
	require.Equal(t, 6, model.asked)
	require.Equal(t, result.Metrics, again.Metrics)

	frozen, err := s.Fit(t.Context(), env)
	require.NoError(t, err)
	require.Nil(t, frozen)
}

func TestModelNotesAreOfAllKinds(t *testing.T) {
	found := []known{{kind: "a"}, {kind: "a"}, {kind: "a"}, {kind: "b"}, {kind: "b"}, {kind: "c"}}
	require.Equal(t, []int{0, 3, 5, 1}, byTurns(found, 4))
	require.Equal(t, []int{0, 1, 2, 3, 4, 5}, byTurns(found, 0))
	require.Equal(t, []int{0, 1, 2, 3, 4, 5}, byTurns(found, 9))

	model := &author{write: right}
	s, err := New(Parts{Runner: runner(t), Deterministic: &author{write: right}, Models: []Model{{"small", model}}, ModelNotes: 2})
	require.NoError(t, err)
	result, err := s.Run(t.Context(), environment(""), nil)
	require.NoError(t, err)
	require.Equal(t, 2, model.asked)
	require.Equal(t, 2, result.Metrics["small.cause_accuracy"].N)
}

// A server that is not there says nothing about its model.
func TestUnreachableModelIsUnavailable(t *testing.T) {
	gone := &author{write: func(in engine.Incident, ev engine.Evidence) engine.Explanation {
		e := right(in, ev)
		e.Fallback = "unavailable"
		return e
	}}
	s, err := New(Parts{Runner: runner(t), Deterministic: &author{write: right}, Models: []Model{{"small", gone}}})
	require.NoError(t, err)
	result, err := s.Run(t.Context(), environment(""), nil)
	require.NoError(t, err)
	require.NotContains(t, result.Metrics, "small.cause_accuracy")
	require.Contains(t, result.Unavailable, "small.cause_accuracy")
}

func TestFailures(t *testing.T) {
	s, err := New(Parts{Runner: runner(t), Deterministic: &author{fail: errors.New("no type")}})
	require.NoError(t, err)
	_, err = s.Run(t.Context(), environment(""), nil)
	require.ErrorContains(t, err, "deterministic: note of inc-truth-1")

	nothing, err := scenarios.NewRunner(scenarios.Parts{Window: time.Minute})
	require.NoError(t, err)
	s, err = New(Parts{Runner: nothing, Deterministic: &author{}})
	require.NoError(t, err)
	_, err = s.Run(t.Context(), environment(""), nil)
	require.ErrorIs(t, err, evals.ErrUnavailable)

	for want, parts := range map[string]Parts{
		"no runner":        {Deterministic: &author{}},
		"no deterministic": {Runner: nothing},
		"negative":         {Runner: nothing, Deterministic: &author{}, ModelNotes: -1},
		`model ""`:         {Runner: nothing, Deterministic: &author{}, Models: []Model{{Explainer: &author{}}}},
		`model "x"`:        {Runner: nothing, Deterministic: &author{}, Models: []Model{{"x", &author{}}, {"x", &author{}}}},
	} {
		_, err := New(parts)
		require.ErrorContains(t, err, want)
	}
}
