package groundedness

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
func (s *Suite) Name() string { return "groundedness" }

// folds is how many parts the contexts are dealt to.
const folds = 5

// fitted is what was learnt of one task.
type fitted struct {
	Learnt     []byte             `json:"learnt,omitempty"` // what the pipeline saved; none without a detector
	Threshold  *float64           `json:"threshold,omitempty"`
	Thresholds map[string]float64 `json:"thresholds"` // of the baselines, by name
	Data       string             `json:"data"`       // digest of what it was fitted on
}

// errNoDetector is why a task is not measured.
var errNoDetector = errors.New("no detector says anything of type " + string(engine.UngroundedResponse) + " yet")

// Fit implements evals.Suite. The threshold is chosen on scores of folds that were not learnt; what is saved has learnt all folds.
func (s *Suite) Fit(ctx context.Context, env evals.Env) (json.RawMessage, error) {
	byTask, err := load(env)
	if err != nil {
		return nil, err
	}
	model := make(map[string]fitted)
	for _, task := range tasks {
		all := byTask[task]
		if len(all) == 0 {
			continue
		}
		positive := all.hallucinated()
		every := measure.All(len(all))
		f := fitted{Thresholds: make(map[string]float64), Data: evals.Digest(all)}
		for _, b := range baselines {
			f.Thresholds[b.name] = threshold(all.scored(b), positive, every)
		}
		heard, err := s.crossValidated(ctx, env, task, all)
		if err != nil && !errors.Is(err, errNoDetector) {
			return nil, err
		}
		if err == nil {
			t := threshold(scoresOf(heard), positive, every)
			f.Threshold = &t
			if f.Learnt, err = s.learnt(ctx, all); err != nil {
				return nil, err
			}
		}
		model[task] = f
	}
	return json.Marshal(model)
}

// learnt is what a pipeline saves that has learnt all grounded samples.
func (s *Suite) learnt(ctx context.Context, all samples) (saved []byte, err error) {
	err = evals.With(ctx, s.parts.Fresh, func(p Pipeline) error {
		if err := learn(ctx, p, all.grounded(func(int) bool { return true })); err != nil {
			return err
		}
		saved, err = p.Save(ctx)
		return err
	})
	return saved, err
}

func learn(ctx context.Context, p Pipeline, normal samples) error {
	if err := p.Learn(ctx, evals.History(normal, sample.trace)); err != nil {
		return fmt.Errorf("learn: %w", err)
	}
	return nil
}

// Run implements evals.Suite.
func (s *Suite) Run(ctx context.Context, env evals.Env, frozen json.RawMessage) (evals.Result, error) {
	result := evals.NewResult(s.Name())
	byTask, err := load(env)
	if err != nil {
		return result, err
	}
	var model map[string]fitted
	if frozen != nil {
		if err := json.Unmarshal(frozen, &model); err != nil {
			return result, fmt.Errorf("frozen: %w", err)
		}
	}
	x := exam{env: env, result: &result}
	flattered := false
	for _, task := range tasks {
		all := byTask[task]
		f, known := model[task]
		switch {
		case len(all) == 0:
			x.unavailable(task, "the data has no such responses")
			continue
		case !all.bothLabels():
			x.unavailable(task, "the data needs both grounded and hallucinated responses")
			continue
		case frozen != nil && !known:
			x.unavailable(task, "the model was fitted without such responses")
			continue
		}
		flattered = flattered || known && f.Data == evals.Digest(all)
		heard, err := s.hear(ctx, env, task, all, frozen != nil, f)
		if err != nil && !errors.Is(err, errNoDetector) {
			return result, fmt.Errorf("%s: %w", task, err)
		}
		if err != nil {
			heard = nil
			x.unavailable(task, err.Error())
		}
		var fixed *fitted
		if frozen != nil {
			fixed = &f
		}
		x.measure(task, all, heard, fixed)
	}
	x.notes(frozen != nil, flattered)
	return result, nil
}

// hear asks the frozen pipeline or those of the folds. Without a detector the error is errNoDetector.
func (s *Suite) hear(ctx context.Context, env evals.Env, task string, all samples, frozen bool, f fitted) ([]evals.Opinion, error) {
	switch {
	case !frozen:
		return s.crossValidated(ctx, env, task, all)
	case s.parts.Restore == nil || f.Learnt == nil:
		return nil, errNoDetector
	}
	key := fmt.Sprintf("frozen %s %s by %s", task, evals.Digest(all), evals.Digest(f.Learnt))
	heard, err := evals.Resume(env.Steps, key, func() (heard []evals.Opinion, err error) {
		err = evals.With(ctx, s.parts.Saved(f.Learnt), func(p Pipeline) error {
			heard, err = opinions(ctx, p, all)
			return err
		})
		return heard, err
	})
	if err == nil && !anyFound(heard) {
		err = errNoDetector
	}
	return heard, err
}

// crossValidated hears, of each sample, a pipeline that has learnt the grounded samples of the other folds.
func (s *Suite) crossValidated(ctx context.Context, env evals.Env, task string, all samples) ([]evals.Opinion, error) {
	if s.parts.Fresh == nil {
		return nil, errNoDetector
	}
	out := make([]evals.Opinion, len(all))
	detector := false
	fold := measure.Folds(env.Seed, all.contexts(), folds)
	for k := range folds {
		env.Progress(k, folds, task)
		judged := all.where(func(i int) bool { return fold[i] == k })
		if len(judged) == 0 {
			continue
		}
		key := fmt.Sprintf("%s %s fold %d of %d, seed %d", task, evals.Digest(all), k, folds, env.Seed)
		heard, err := evals.Resume(env.Steps, key, func() (heard []evals.Opinion, err error) {
			err = evals.With(ctx, s.parts.Fresh, func(p Pipeline) error {
				if err := learn(ctx, p, all.grounded(func(i int) bool { return fold[i] != k })); err != nil {
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
		if detector = detector || anyFound(heard); !detector {
			return nil, errNoDetector
		}
		for at, i := range judged {
			out[i] = heard[at]
		}
	}
	env.Progress(folds, folds, task)
	return out, nil
}

func opinions(ctx context.Context, p Pipeline, judged samples) ([]evals.Opinion, error) {
	out := make([]evals.Opinion, 0, len(judged))
	for _, one := range judged {
		found, err := p.Findings(ctx, one.trace(evals.JudgedAt))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", one.ID, err)
		}
		out = append(out, evals.OpinionOf(found, engine.UngroundedResponse))
	}
	return out, nil
}

func anyFound(heard []evals.Opinion) bool {
	return slices.ContainsFunc(heard, func(h evals.Opinion) bool { return h.Found })
}
