package explanations

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
	"github.com/llm-sentinel/llm-sentinel/evals/scenarios"
)

// Deterministic is the name of the explainer without a language model.
const Deterministic = "deterministic"

// Model is an explainer with a language model.
type Model struct {
	Name      string // of its metrics
	Explainer engine.Explainer
}

// Parts are what cmd hands over.
type Parts struct {
	Runner        *scenarios.Runner
	Deterministic engine.Explainer
	Models        []Model
	// ModelNotes is how many notes each language model writes, of all kinds of incident in turn; 0 is all of them.
	ModelNotes int
}

// Suite is the suite "explanations".
type Suite struct{ parts Parts }

// New makes the suite.
func New(parts Parts) (*Suite, error) {
	if parts.Runner == nil {
		return nil, errors.New("explanations: no runner")
	}
	if parts.Deterministic == nil {
		return nil, errors.New("explanations: no deterministic explainer")
	}
	if parts.ModelNotes < 0 {
		return nil, fmt.Errorf("explanations: %d notes of a model are negative", parts.ModelNotes)
	}
	for i, m := range parts.Models {
		same := func(o Model) bool { return o.Name == m.Name }
		if m.Name == "" || m.Name == Deterministic || m.Explainer == nil || slices.ContainsFunc(parts.Models[:i], same) {
			return nil, fmt.Errorf("explanations: model %q needs a name of its own and an explainer", m.Name)
		}
	}
	return &Suite{parts}, nil
}

// Name implements evals.Suite.
func (*Suite) Name() string { return "explanations" }

// Fit implements evals.Suite: nothing is learnt.
func (*Suite) Fit(context.Context, evals.Env) (json.RawMessage, error) { return nil, nil }

// Run implements evals.Suite.
func (s *Suite) Run(ctx context.Context, env evals.Env, _ json.RawMessage) (evals.Result, error) {
	days, played, err := s.parts.Runner.Play(ctx, env)
	if err != nil {
		return evals.Result{}, err
	}
	var found []known
	for i, p := range played {
		of, err := knownOf(days[i], p)
		if err != nil {
			return evals.Result{}, err
		}
		found = append(found, of...)
	}
	if len(found) == 0 {
		return evals.Result{}, evals.Unavailable("no incident was found that a note could be written about")
	}
	r := report{Result: evals.NewResult(s.Name()), seed: env.Seed, known: found}
	every := byTurns(found, 0)
	plain, err := write(ctx, env, Model{Deterministic, s.parts.Deterministic}, found, every)
	if err != nil {
		return evals.Result{}, err
	}
	r.deterministic(plain)
	for _, m := range s.parts.Models {
		chosen := byTurns(found, s.parts.ModelNotes)
		notes, err := write(ctx, env, m, found, chosen)
		if err != nil {
			return evals.Result{}, err
		}
		r.model(m.Name, chosen, notes, plain)
	}
	return r.Result, nil
}

// write has notes of the chosen incidents written and checks them, in their order.
func write(ctx context.Context, env evals.Env, m Model, found []known, chosen []int) ([]checked, error) {
	out := make([]checked, 0, len(chosen))
	for n, i := range chosen {
		k := found[i]
		ask := func() (engine.Explanation, error) {
			note, err := m.Explainer.Explain(ctx, k.incident, *k.incident.Evidence)
			return note, errors.Join(err, ctx.Err()) // a note for want of time is none
		}
		var note engine.Explanation
		var err error
		if m.Name == Deterministic {
			note, err = ask()
		} else {
			key := strings.Join([]string{"note", m.Name, k.day, k.incident.ID, k.incident.Evidence.Digest}, "/")
			note, err = evals.Resume(env.Steps, key, ask)
			env.Progress(n+1, len(chosen), m.Name)
		}
		if err != nil {
			return nil, fmt.Errorf("explanations: %s: note of %s on %s: %w", m.Name, k.incident.ID, k.day, err)
		}
		out = append(out, check(note, k.ground, k.cause))
	}
	return out, nil
}
