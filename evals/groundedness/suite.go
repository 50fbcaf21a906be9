package groundedness

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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

// Parts make pipelines: one that knows what ships in the binary, and one that knows what was saved. Nil: there is none.
type Parts struct {
	Fresh    func(ctx context.Context) (Pipeline, error)
	Restore func(ctx context.Context, saved []byte) (Pipeline, error)
}

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
	Learnt     []byte                 `json:"learnt,omitempty"` // what the pipeline saved; none without a detector
	Threshold  *strangeness           `json:"threshold,omitempty"`
	Thresholds map[string]strangeness `json:"thresholds"` // of the baselines, by name
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
		every := all.where(func(int) bool { return true })
		f := fitted{Thresholds: make(map[string]strangeness)}
		for _, b := range baselines {
			f.Thresholds[b.name] = threshold(all.scored(b), positive, every)
		}
		heard, err := s.crossValidated(ctx, env, task, all)
		if err != nil && !errors.Is(err, errNoDetector) {
			return nil, err
		}
		if err == nil {
			t := threshold(strange(heard), positive, every)
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
	p, err := s.parts.Fresh(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if err := p.Learn(ctx, all.history(all.where(func(i int) bool { return all[i].Label == grounded }))); err != nil {
		return nil, fmt.Errorf("learn: %w", err)
	}
	return p.Save(ctx)
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
	x.notes(frozen != nil)
	return result, nil
}

// hear asks the frozen pipeline or those of the folds. Without a detector the error is errNoDetector.
func (s *Suite) hear(ctx context.Context, env evals.Env, task string, all samples, frozen bool, f fitted) ([]said, error) {
	switch {
	case !frozen:
		return s.crossValidated(ctx, env, task, all)
	case s.parts.Restore == nil || f.Learnt == nil:
		return nil, errNoDetector
	}
	sum := sha256.Sum256(f.Learnt)
	key := fmt.Sprintf("frozen %s %s by %s", task, all.digest(), hex.EncodeToString(sum[:12]))
	heard, err := evals.Resume(env.Steps, key, func() (heard []said, err error) {
		p, err := s.parts.Restore(ctx, f.Learnt)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, p.Close()) }()
		return findings(ctx, p, all, all.where(func(int) bool { return true }))
	})
	if err == nil && !anyFound(heard) {
		err = errNoDetector
	}
	return heard, err
}

// crossValidated hears, of each sample, a pipeline that has learnt the grounded samples of the other folds.
func (s *Suite) crossValidated(ctx context.Context, env evals.Env, task string, all samples) ([]said, error) {
	if s.parts.Fresh == nil {
		return nil, errNoDetector
	}
	out := make([]said, len(all))
	detector := false
	fold := measure.Folds(env.Seed, all.contexts(), folds)
	for k := range folds {
		env.Progress(k, folds, task)
		judged := all.where(func(i int) bool { return fold[i] == k })
		if len(judged) == 0 {
			continue
		}
		key := fmt.Sprintf("%s %s fold %d of %d, seed %d", task, all.digest(), k, folds, env.Seed)
		heard, err := evals.Resume(env.Steps, key, func() (heard []said, err error) {
			p, err := s.parts.Fresh(ctx)
			if err != nil {
				return nil, err
			}
			defer func() { err = errors.Join(err, p.Close()) }()
			normal := all.where(func(i int) bool { return fold[i] != k && all[i].Label == grounded })
			if err := p.Learn(ctx, all.history(normal)); err != nil {
				return nil, fmt.Errorf("learn: %w", err)
			}
			return findings(ctx, p, all, judged)
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

func findings(ctx context.Context, p Pipeline, all samples, judged []int) ([]said, error) {
	out := make([]said, 0, len(judged))
	for _, i := range judged {
		found, err := p.Findings(ctx, all[i].trace(judgedAt))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", all[i].ID, err)
		}
		out = append(out, hear(found))
	}
	return out, nil
}

func anyFound(heard []said) bool {
	return slices.ContainsFunc(heard, func(h said) bool { return h.Found })
}
