package relevance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
	"github.com/llm-sentinel/llm-sentinel/evals/measure"
)

// Pipeline is what serves, as far as the suite asks it.
type Pipeline interface {
	Learn(ctx context.Context, spans []engine.Span) error
	Findings(ctx context.Context, t engine.Trace) ([]engine.Finding, error)
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
func (s *Suite) Name() string { return "relevance" }

// folds is how many parts the contexts are dealt to.
const folds = 5

// fitted is what was learnt.
type fitted struct {
	Learnt     []byte             `json:"learnt,omitempty"` // what the pipeline saved; none without a detector
	Thresholds map[string]float64 `json:"thresholds"`       // that 1 % of the relevant searches exceed, by system
	Data       string             `json:"data"`             // digest of what it was fitted on
}

// errNoDetector is why nothing is measured.
var errNoDetector = errors.New("no detector says anything of type " + string(engine.RetrievalIrrelevant))

// Fit implements evals.Suite. Thresholds are chosen on scores of folds that were not learnt; what is saved has learnt all folds.
func (s *Suite) Fit(ctx context.Context, env evals.Env) (json.RawMessage, error) {
	all, err := load(env)
	if err != nil {
		return nil, err
	}
	f := fitted{Thresholds: make(map[string]float64), Data: evals.Digest(all)}
	heard, err := s.crossValidated(ctx, env, all)
	if err != nil && !errors.Is(err, errNoDetector) {
		return nil, err
	}
	if err == nil {
		if f.Learnt, err = s.learnt(ctx, all); err != nil {
			return nil, err
		}
	}
	positive, every := all.irrelevant(), measure.All(len(all))
	for _, x := range systems(all, heard) {
		f.Thresholds[x.name] = measure.ThresholdAtFPR(x.scores, positive, every, maxFPR)
	}
	return json.Marshal(f)
}

// learnt is what a pipeline saves that has learnt all relevant searches.
func (s *Suite) learnt(ctx context.Context, all searches) (saved []byte, err error) {
	err = evals.With(ctx, s.parts.Fresh, func(p Pipeline) error {
		if err := learn(ctx, p, all.relevant(func(int) bool { return true })); err != nil {
			return err
		}
		saved, err = p.Save(ctx)
		return err
	})
	return saved, err
}

func learn(ctx context.Context, p Pipeline, normal searches) error {
	if err := p.Learn(ctx, evals.History(normal, search.trace)); err != nil {
		return fmt.Errorf("learn: %w", err)
	}
	return nil
}

// Run implements evals.Suite.
func (s *Suite) Run(ctx context.Context, env evals.Env, frozen json.RawMessage) (evals.Result, error) {
	all, err := load(env)
	if err != nil {
		return evals.Result{}, err
	}
	var model *fitted
	if frozen != nil {
		if err := json.Unmarshal(frozen, &model); err != nil {
			return evals.Result{}, fmt.Errorf("frozen: %w", err)
		}
	}
	heard, err := s.hear(ctx, env, all, model)
	if err != nil && !errors.Is(err, errNoDetector) {
		return evals.Result{}, err
	}
	return newExam(env, all, heard, model).result(), nil
}

// hear asks the frozen pipeline or those of the folds. Without a detector the error is errNoDetector.
func (s *Suite) hear(ctx context.Context, env evals.Env, all searches, model *fitted) ([]evals.Opinion, error) {
	switch {
	case model == nil:
		return s.crossValidated(ctx, env, all)
	case s.parts.Restore == nil || model.Learnt == nil:
		return nil, errNoDetector
	}
	key := fmt.Sprintf("frozen %s by %s", evals.Digest(all), evals.Digest(model.Learnt))
	heard, err := evals.Resume(env.Steps, key, func() (heard []evals.Opinion, err error) {
		err = evals.With(ctx, s.parts.Saved(model.Learnt), func(p Pipeline) error {
			heard, err = opinions(ctx, p, all)
			return err
		})
		return heard, err
	})
	if err == nil && !anyFound(heard) {
		return nil, errNoDetector
	}
	return heard, err
}

// crossValidated hears, of each search, a pipeline that has learnt the relevant searches of the other folds.
func (s *Suite) crossValidated(ctx context.Context, env evals.Env, all searches) ([]evals.Opinion, error) {
	if s.parts.Fresh == nil {
		return nil, errNoDetector
	}
	out := make([]evals.Opinion, len(all))
	fold := measure.Folds(env.Seed, all.owners(), folds)
	for k := range folds {
		env.Progress(k, folds, "folds")
		judged := all.where(func(i int) bool { return fold[i] == k })
		key := fmt.Sprintf("%s fold %d of %d, seed %d", evals.Digest(all), k, folds, env.Seed)
		heard, err := evals.Resume(env.Steps, key, func() (heard []evals.Opinion, err error) {
			err = evals.With(ctx, s.parts.Fresh, func(p Pipeline) error {
				if err := learn(ctx, p, all.relevant(func(i int) bool { return fold[i] != k })); err != nil {
					return err
				}
				heard, err = opinions(ctx, p, all.pick(judged))
				return err
			})
			return heard, err
		})
		if err != nil {
			return nil, err
		}
		// A detector of this type says something of a whole fold if it is there at all; the other folds need not be tried.
		if k == 0 && !anyFound(heard) {
			return nil, errNoDetector
		}
		for at, i := range judged {
			out[i] = heard[at]
		}
	}
	env.Progress(folds, folds, "folds")
	return out, nil
}

func opinions(ctx context.Context, p Pipeline, judged searches) ([]evals.Opinion, error) {
	out := make([]evals.Opinion, 0, len(judged))
	for _, one := range judged {
		found, err := p.Findings(ctx, one.trace(evals.JudgedAt))
		if err != nil {
			return nil, fmt.Errorf("%v: %w", one, err)
		}
		out = append(out, evals.OpinionOf(found, engine.RetrievalIrrelevant))
	}
	return out, nil
}

func anyFound(heard []evals.Opinion) bool {
	return slices.ContainsFunc(heard, func(h evals.Opinion) bool { return h.Found })
}
