package agentruns

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
	"github.com/llm-sentinel/llm-sentinel/evals/measure"
)

// Pipeline is what serves, as far as the suite asks it.
type Pipeline interface {
	Learn(ctx context.Context, spans []engine.Span) error
	Score(ctx context.Context, t engine.Trace) (engine.Verdict, error)
	Save(ctx context.Context) ([]byte, error)
	Close() error
}

// Parts make pipelines.
type Parts = evals.Parts[Pipeline]

// Suite implements evals.Suite.
type Suite struct{ parts Parts }

// New returns the suite over pipelines that parts make.
func New(parts Parts) *Suite { return &Suite{parts} }

// Name implements evals.Suite.
func (s *Suite) Name() string { return "agent-runs" }

// folds is how many parts the tasks are dealt to.
const folds = 5

// fitted is what pipelines saved that have learnt the runs of the one kind and of the other; nil where the data had none to learn.
type fitted struct {
	Outcome []byte `json:"outcome,omitempty"`
	Mistake []byte `json:"mistake,omitempty"`
	Data    string `json:"data"` // digest of all runs
}

// part is one half of the suite: its runs, which of them are taken for normal, and what was frozen.
type part struct {
	name   string
	runs   runs
	normal func(run) bool
	frozen []byte
}

// parts of the suite. Passed runs are normal. Runs with a labelled mistake have all failed, yet most of what happens in them is as it
// should be: whatever is usual among them is the only normal there is.
func halves(byOutcome, byMistake runs, f fitted) (outcome, mistake part) {
	return part{"outcome", byOutcome, func(r run) bool { return r.Outcome == passed }, f.Outcome},
		part{"mistake", byMistake, func(run) bool { return true }, f.Mistake}
}

// Fit implements evals.Suite.
func (s *Suite) Fit(ctx context.Context, env evals.Env) (json.RawMessage, error) {
	if s.parts.Fresh == nil {
		return nil, evals.Unavailable("there is no pipeline")
	}
	byOutcome, byMistake, err := load(env)
	if err != nil {
		return nil, err
	}
	outcome, mistake := halves(byOutcome, byMistake, fitted{})
	f := fitted{Data: evals.Digest([]runs{byOutcome, byMistake})}
	if f.Outcome, err = s.learnt(ctx, outcome); err != nil {
		return nil, err
	}
	env.Progress(1, 2, outcome.name)
	if f.Mistake, err = s.learnt(ctx, mistake); err != nil {
		return nil, err
	}
	env.Progress(2, 2, mistake.name)
	return json.Marshal(f)
}

func (s *Suite) learnt(ctx context.Context, p part) (saved []byte, err error) {
	normal := p.where(func(i int) bool { return p.normal(p.runs[i]) })
	if len(normal) == 0 {
		return nil, nil
	}
	err = evals.With(ctx, s.parts.Fresh, func(pipeline Pipeline) error {
		if err := learn(ctx, pipeline, p.pick(normal)); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		saved, err = pipeline.Save(ctx)
		return err
	})
	return saved, err
}

func learn(ctx context.Context, p Pipeline, normal runs) error {
	if err := p.Learn(ctx, evals.History(normal, run.trace)); err != nil {
		return fmt.Errorf("learn: %w", err)
	}
	return nil
}

func (p part) where(hold func(i int) bool) []int {
	var out []int
	for i := range p.runs {
		if hold(i) {
			out = append(out, i)
		}
	}
	return out
}

func (p part) pick(which []int) runs {
	out := make(runs, 0, len(which))
	for _, i := range which {
		out = append(out, p.runs[i])
	}
	return out
}

// Run implements evals.Suite.
func (s *Suite) Run(ctx context.Context, env evals.Env, frozen json.RawMessage) (evals.Result, error) {
	result := evals.NewResult(s.Name())
	byOutcome, byMistake, err := load(env)
	if err != nil {
		return result, err
	}
	var f fitted
	if frozen != nil {
		if err := json.Unmarshal(frozen, &f); err != nil {
			return result, fmt.Errorf("frozen: %w", err)
		}
	}
	outcome, mistake := halves(byOutcome, byMistake, f)
	for _, p := range []part{outcome, mistake} {
		judged, why, err := s.judge(ctx, env, p, frozen != nil)
		if err != nil {
			return result, fmt.Errorf("%s: %w", p.name, err)
		}
		x := exam{env.Seed, p.runs, judged, &result}
		if p.name == outcome.name {
			x.outcome(why)
		} else {
			x.mistake(why)
		}
	}
	result.Notes = append(result.Notes, notes(frozen != nil)...)
	if f.Data == evals.Digest([]runs{byOutcome, byMistake}) {
		result.Notes = append(result.Notes, evals.Flattered)
	}
	return result, nil
}

// judge has one judgement a run, or none with the reason why not.
func (s *Suite) judge(ctx context.Context, env evals.Env, p part, frozen bool) (_ []judgement, why string, err error) {
	var judged []judgement
	switch {
	case len(p.runs) == 0:
		return nil, "the data has no such runs", nil
	case !frozen && s.parts.Fresh == nil, frozen && s.parts.Restore == nil:
		return nil, "there is no pipeline", nil
	case frozen && p.frozen == nil:
		return nil, "the model was fitted without such runs", nil
	case frozen:
		judged, err = s.frozen(ctx, env, p)
	default:
		judged, err = s.crossValidated(ctx, env, p)
	}
	return judged, "", err
}

func (s *Suite) frozen(ctx context.Context, env evals.Env, p part) ([]judgement, error) {
	key := fmt.Sprintf("frozen %s %s by %s", p.name, evals.Digest(p.runs), evals.Digest(p.frozen))
	return evals.Resume(env.Steps, key, func() (judged []judgement, err error) {
		err = evals.With(ctx, s.parts.Saved(p.frozen), func(pipeline Pipeline) error {
			judged, err = p.runs.judge(ctx, pipeline)
			return err
		})
		return judged, err
	})
}

// crossValidated judges each run by a pipeline that has learnt the normal runs of the other folds.
func (s *Suite) crossValidated(ctx context.Context, env evals.Env, p part) ([]judgement, error) {
	out := make([]judgement, len(p.runs))
	fold := measure.Folds(env.Seed, p.runs.tasks(), folds)
	for k := range folds {
		env.Progress(k, folds, p.name)
		which := p.where(func(i int) bool { return fold[i] == k })
		if len(which) == 0 {
			continue
		}
		key := fmt.Sprintf("%s %s fold %d of %d, seed %d", p.name, evals.Digest(p.runs), k, folds, env.Seed)
		judged, err := evals.Resume(env.Steps, key, func() (judged []judgement, err error) {
			err = evals.With(ctx, s.parts.Fresh, func(pipeline Pipeline) error {
				normal := p.where(func(i int) bool { return fold[i] != k && p.normal(p.runs[i]) })
				if err := learn(ctx, pipeline, p.pick(normal)); err != nil {
					return err
				}
				judged, err = p.pick(which).judge(ctx, pipeline)
				return err
			})
			return judged, err
		})
		if err != nil {
			return nil, err
		}
		for at, i := range which {
			out[i] = judged[at]
		}
	}
	env.Progress(folds, folds, p.name)
	return out, nil
}

func (all runs) judge(ctx context.Context, p Pipeline) ([]judgement, error) {
	out := make([]judgement, 0, len(all))
	for _, r := range all {
		v, err := p.Score(ctx, r.trace(evals.JudgedAt))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.ID, err)
		}
		out = append(out, r.judge(v))
	}
	return out, nil
}
