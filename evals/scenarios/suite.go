package scenarios

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/llm-sentinel/llm-sentinel/evals"
)

// Suite is the suite "scenarios".
type Suite struct{ runner *Runner }

// New makes the suite of the days that a runner plays.
func New(runner *Runner) (*Suite, error) {
	if runner == nil {
		return nil, errors.New("scenarios: no runner")
	}
	return &Suite{runner}, nil
}

// Name implements evals.Suite.
func (*Suite) Name() string { return "scenarios" }

// Fit implements evals.Suite: there is nothing to freeze, each day is learnt from its own beginning as a service would.
func (*Suite) Fit(context.Context, evals.Env) (json.RawMessage, error) { return nil, nil }

// Run implements evals.Suite.
func (s *Suite) Run(ctx context.Context, env evals.Env, _ json.RawMessage) (evals.Result, error) {
	days, played, err := s.runner.Play(ctx, env)
	if err != nil {
		return evals.Result{}, err
	}
	product, thresholds := judge(days, played)
	r := report{
		Result: evals.NewResult(s.Name()), seed: env.Seed, window: s.runner.parts.Window,
		days: days, product: product, thresholds: thresholds,
	}
	r.notes()
	r.metrics()
	r.tables()
	r.delays()
	r.confusion()
	return r.Result, nil
}
