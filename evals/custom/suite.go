package custom

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
	"github.com/llm-sentinel/llm-sentinel/evals/measure"
)

// Pipeline is what serves, away from live traffic.
type Pipeline interface {
	Learn(ctx context.Context, spans []engine.Span) error                   // takes spans as what is normal; once
	Findings(ctx context.Context, t engine.Trace) ([]engine.Finding, error) // of every detector, those that still learn too; teaches nothing
	Score(ctx context.Context, t engine.Trace) (engine.Verdict, error)      // the synchronous answer; teaches nothing
	Save(ctx context.Context) ([]byte, error)                               // everything that it has learnt; only Close may follow
	Close() error
}

// Detector scores the points of one series as they come.
type Detector interface {
	// Next is how anomalous the value x at a time is, after all earlier points and before any later one.
	Next(at time.Time, x float64) float64
}

// Parts make what is measured. What is nil is not built, and its tasks are unavailable.
type Parts struct {
	evals.Parts[Pipeline]
	Series func() (Detector, error) // one for each series
}

// Suite implements evals.Suite for one definition.
type Suite struct {
	definition definition
	parts      Parts
}

// Load reads a suite's definition. Its errors name file, line and field. The data is read when the suite runs.
func Load(path string, parts Parts) (*Suite, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("suite: %w", err)
	}
	d, err := parse(path, text)
	if err != nil {
		return nil, fmt.Errorf("suite: %w", err)
	}
	return &Suite{definition: d, parts: parts}, nil
}

// Name implements evals.Suite.
func (s *Suite) Name() string { return s.definition.Name }

// model is what Fit freezes.
type model struct {
	Pipeline []byte `json:"pipeline"` // as saved
	Data     string `json:"data"`     // digest of what it learnt from
}

// Fit implements evals.Suite: the pipeline learns all that is normal in the data. A suite that names nothing normal learns nothing.
func (s *Suite) Fit(ctx context.Context, env evals.Env) (json.RawMessage, error) {
	d := &s.definition
	if d.Normal == nil {
		return nil, nil
	}
	if s.parts.Fresh == nil {
		return nil, evals.Unavailable("nothing serves the task %s", d.Task)
	}
	data, err := d.read(env)
	if err != nil {
		return nil, err
	}
	m := model{Data: data.digest}
	err = evals.With(ctx, s.parts.Fresh, func(p Pipeline) (err error) {
		if err := s.teach(ctx, p, data.rows, func(int) bool { return true }); err != nil {
			return err
		}
		m.Pipeline, err = p.Save(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("learn: %w", err)
	}
	return json.Marshal(m)
}

// Run implements evals.Suite. A figure that the definition requires and that cannot be measured is an error.
func (s *Suite) Run(ctx context.Context, env evals.Env, frozen json.RawMessage) (evals.Result, error) {
	d := &s.definition
	data, err := d.read(env)
	if err != nil {
		return evals.Result{}, err
	}
	c, err := newContest(d, data.rows)
	if err != nil {
		return evals.Result{}, err
	}
	if d.Task == taskSeries {
		err = c.play(ctx, s.parts.Series)
	} else {
		err = s.scoreTexts(ctx, env, data, c, frozen)
	}
	if err != nil {
		return evals.Result{}, err
	}
	return c.result(env.Seed)
}

// scoreTexts asks the pipeline about all rows that do not teach.
func (s *Suite) scoreTexts(ctx context.Context, env evals.Env, data data, c *contest, frozen json.RawMessage) error {
	d := &s.definition
	if s.parts.Fresh == nil {
		c.why = "nothing serves the task " + d.Task
		return nil
	}
	done := 0
	judged := func() {
		done++
		env.Progress(done, len(c.rows), "judging "+d.Name)
	}
	// part judges the rows at the given places of c by a pipeline of its own; it can be resumed.
	part := func(key string, open func(context.Context) (Pipeline, error), teach func(Pipeline) error, places []int) error {
		rows := make([]row, len(places))
		for k, i := range places {
			rows[k] = c.rows[i]
		}
		opinions, err := evals.Resume(env.Steps, key+" "+data.digest, func() (out []opinion, err error) {
			err = evals.With(ctx, open, func(p Pipeline) error {
				if err := teach(p); err != nil {
					return err
				}
				out, err = d.judge(ctx, p, rows, judged)
				return err
			})
			return out, err
		})
		if err != nil {
			return err
		}
		for k, i := range places {
			c.opinions[i] = opinions[k]
		}
		return nil
	}
	all := measure.All(len(c.rows))
	nothing := func(Pipeline) error { return nil }
	switch {
	case d.Normal == nil:
		c.note("Nothing was learnt from the data: this is what ships in the binary.")
		return part("shipped", s.parts.Fresh, nothing, all)
	case frozen != nil:
		var m model
		if err := json.Unmarshal(frozen, &m); err != nil || m.Pipeline == nil {
			return errors.New("the model was fitted when the suite learnt nothing: fit it again")
		}
		if s.parts.Restore == nil {
			c.why = "nothing restores a frozen pipeline"
			return nil
		}
		c.note("What is normal was learnt when the model was fitted; nothing was learnt from this data.")
		if d.Normal.Folds > 0 && m.Data == data.digest {
			c.note(evals.Flattered)
		}
		return part("frozen "+evals.Digest(m.Pipeline), s.parts.Saved(m.Pipeline), nothing, all)
	case d.Normal.Folds == 0:
		c.note("%d rows with %s in %q were learnt as normal; they are not scored.", len(data.rows)-len(c.rows), d.Normal.Field, d.Normal.Values)
		teach := func(p Pipeline) error { return s.teach(ctx, p, data.rows, nil) }
		return part("rows", s.parts.Fresh, teach, all)
	}
	c.note("Cross-validated: each of %d folds was judged by a pipeline that had learnt the negatives of the others; a group is never in two.", d.Normal.Folds)
	fold := measure.Folds(env.Seed, c.groups, d.Normal.Folds)
	for f := range d.Normal.Folds {
		var places []int
		for i := range fold {
			if fold[i] == f {
				places = append(places, i)
			}
		}
		teach := func(p Pipeline) error {
			return s.teach(ctx, p, c.rows, func(i int) bool { return fold[i] != f })
		}
		if err := part(fmt.Sprintf("fold %d seed %d", f, env.Seed), s.parts.Fresh, teach, places); err != nil {
			return err
		}
	}
	return nil
}

// teach has the pipeline learn the rows that are normal: those marked so or, cross-validating, the negatives of the places that are in.
func (s *Suite) teach(ctx context.Context, p Pipeline, rows []row, in func(i int) bool) error {
	var usual []row
	for i, r := range rows {
		if s.definition.Normal.Folds == 0 && r.Normal || s.definition.Normal.Folds > 0 && !r.Positive && in(i) {
			usual = append(usual, r)
		}
	}
	if len(usual) == 0 {
		return errors.New("no row is normal: nothing can be learnt")
	}
	return p.Learn(ctx, evals.History(usual, s.definition.trace))
}
