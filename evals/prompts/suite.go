package prompts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
)

// Pipeline is what serves, away from live traffic.
type Pipeline interface {
	Learn(ctx context.Context, spans []engine.Span) error                   // takes spans as what is normal; once
	Attacks(ctx context.Context, known []engine.Memo) error                 // takes texts as known attacks
	Findings(ctx context.Context, t engine.Trace) ([]engine.Finding, error) // of every detector, those that still learn too; teaches nothing
	Save(ctx context.Context) ([]byte, error)                               // everything that it has learnt
	Close() error
}

// Parts make pipelines. Without Fresh there is nothing to measure but the baselines.
type Parts = evals.Parts[Pipeline]

// Suite implements evals.Suite.
type Suite struct{ parts Parts }

// New returns the suite for what the parts make.
func New(parts Parts) *Suite { return &Suite{parts} }

// Name implements evals.Suite.
func (s *Suite) Name() string { return "prompts" }

// model is what Fit freezes: a pipeline that knows all of the data, and the thresholds that cross-validation found there.
type model struct {
	Pipeline   []byte             `json:"pipeline,omitempty"` // as saved; none when nothing serves
	Thresholds map[string]float64 `json:"thresholds"`         // by thresholdKey
	Data       string             `json:"data"`               // digest of the texts that it was fitted on
}

// Fit implements evals.Suite. The thresholds come from cross-validation, since the saved pipeline knows every text of the data and
// would find all that is benign there more normal than it will find anything else.
func (s *Suite) Fit(ctx context.Context, env evals.Env) (json.RawMessage, error) {
	texts, err := load(env)
	if err != nil {
		return nil, err
	}
	m := model{Data: evals.Digest(ofData(texts))}
	var served []opinion
	if s.parts.Fresh != nil {
		progress := counter(env, folds+1)
		if served, err = s.crossValidate(ctx, env, texts, progress); err != nil {
			return nil, err
		}
		err = evals.With(ctx, s.parts.Fresh, func(p Pipeline) error {
			if err := teach(ctx, p, texts); err != nil {
				return err
			}
			m.Pipeline, err = p.Save(ctx)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("prompts: learn all of the data: %w", err)
		}
		progress("learnt all of the data")
	}
	m.Thresholds = newBoard(texts, served, nil, nil).thresholds()
	return json.Marshal(m)
}

// Run implements evals.Suite.
func (s *Suite) Run(ctx context.Context, env evals.Env, frozen json.RawMessage) (evals.Result, error) {
	texts, err := load(env)
	if err != nil {
		return evals.Result{}, err
	}
	var served, shipped []opinion
	var m model
	progress := counter(env, folds+1)
	if frozen != nil {
		if err := json.Unmarshal(frozen, &m); err != nil {
			return evals.Result{}, fmt.Errorf("prompts: the frozen model cannot be read: %w", err)
		}
		if m.Thresholds == nil {
			return evals.Result{}, errors.New("prompts: the frozen model holds no thresholds")
		}
		if s.parts.Restore != nil && m.Pipeline != nil {
			progress = counter(env, 2)
			served, err = s.scoreFrozen(ctx, texts, m.Pipeline, progress)
		}
	} else if s.parts.Fresh != nil {
		served, err = s.crossValidate(ctx, env, texts, progress)
	}
	if err == nil && s.parts.Fresh != nil {
		shipped, err = s.scoreShipped(ctx, env, texts, progress)
	}
	if err != nil {
		return evals.Result{}, err
	}
	r := newBoard(texts, served, shipped, m.Thresholds).result(env.Seed)
	if m.Data == evals.Digest(ofData(texts)) {
		r.Notes = append(r.Notes, evals.Flattered)
	}
	return r, nil
}

// folds is how many parts the data is cross-validated in. Learning is what costs, and grows with it.
const folds = 5

// crossValidate judges each text by a pipeline that has learnt the other folds.
func (s *Suite) crossValidate(ctx context.Context, env evals.Env, texts []text, progress func(step string)) ([]opinion, error) {
	fold := deal(texts, env.Seed)
	out := make([]opinion, len(texts))
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.SetLimit(runtime.GOMAXPROCS(0))
	for f := range folds {
		tasks.Go(func() error {
			var learnt, held []text
			var at []int
			for i, t := range texts {
				switch {
				case fold[i] == f:
					held, at = append(held, t), append(at, i)
				case !t.Listed:
					learnt = append(learnt, t)
				}
			}
			opinions, err := evals.Resume(env.Steps, "fold "+evals.Digest(learnt)+" "+evals.Digest(held), func() (out []opinion, err error) {
				err = evals.With(ctx, s.parts.Fresh, func(p Pipeline) error {
					if err := teach(ctx, p, learnt); err != nil {
						return err
					}
					out, err = judge(ctx, p, held)
					return err
				})
				return out, err
			})
			if err != nil {
				return fmt.Errorf("prompts: fold %d: %w", f+1, err)
			}
			for k, i := range at {
				out[i] = opinions[k]
			}
			progress("cross-validated")
			return nil
		})
	}
	return out, tasks.Wait()
}

// scoreFrozen judges all texts by a saved pipeline.
func (s *Suite) scoreFrozen(ctx context.Context, texts []text, saved []byte, progress func(step string)) (out []opinion, err error) {
	err = evals.With(ctx, s.parts.Saved(saved), func(p Pipeline) error {
		out, err = judge(ctx, p, texts)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("prompts: the frozen pipeline: %w", err)
	}
	progress("judged by the frozen pipeline")
	return out, nil
}

// scoreShipped judges all texts by a pipeline that has learnt nothing.
func (s *Suite) scoreShipped(ctx context.Context, env evals.Env, texts []text, progress func(step string)) ([]opinion, error) {
	out, err := evals.Resume(env.Steps, "shipped "+evals.Digest(texts), func() (out []opinion, err error) {
		err = evals.With(ctx, s.parts.Fresh, func(p Pipeline) error {
			out, err = judge(ctx, p, texts)
			return err
		})
		return out, err
	})
	if err != nil {
		return nil, fmt.Errorf("prompts: what ships: %w", err)
	}
	progress("judged by what ships")
	return out, nil
}

// counter tells of steps that end in any order, one at a time.
func counter(env evals.Env, total int) func(step string) {
	var mu sync.Mutex
	done := 0
	return func(step string) {
		mu.Lock()
		defer mu.Unlock()
		done++
		env.Progress(done, total, step)
	}
}
