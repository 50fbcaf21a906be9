package agentruns

import (
	"errors"
	"fmt"

	"github.com/llm-sentinel/llm-sentinel/evals"
)

// The outcomes of a run.
const (
	passed = "pass"
	failed = "fail"
)

// The kinds of step.
const (
	kindUser  = "user"
	kindModel = "llm"
	kindTool  = "tool"
)

// maxSteps bounds a run: each call of a model has all that was said before as its input.
const maxSteps = 2000

// run is one recorded run of one agent or of several.
type run struct {
	ID           string `json:"id"`
	Task         string `json:"task"`
	Source       string `json:"source"`
	Outcome      string `json:"outcome"`
	Steps        []step `json:"steps"`
	MistakeStep  *int   `json:"mistake_step"` // index of the step that decided the failure, from 0; nil: not labelled
	MistakeAgent string `json:"mistake_agent"`
}

// step is a message of a user, a call of a model or a call of a tool.
type step struct {
	Agent  string `json:"agent"`
	Kind   string `json:"kind"`
	Name   string `json:"name"`   // of the model or tool
	Input  string `json:"input"`  // a tool's arguments
	Output string `json:"output"` // what was said, or a tool's result
	Error  string `json:"error"`
}

func (r run) check() error {
	switch {
	case r.ID == "":
		return errors.New("id: is empty")
	case r.Task == "":
		return errors.New("task: is empty")
	case r.Outcome != passed && r.Outcome != failed:
		return fmt.Errorf("outcome: %q is neither %s nor %s", r.Outcome, passed, failed)
	case len(r.Steps) == 0:
		return errors.New("steps: there are none")
	case len(r.Steps) > maxSteps:
		return fmt.Errorf("steps: %d are more than %d", len(r.Steps), maxSteps)
	case r.MistakeStep != nil && (*r.MistakeStep < 0 || *r.MistakeStep >= len(r.Steps)):
		return fmt.Errorf("mistake_step: %d is not the index of one of %d steps", *r.MistakeStep, len(r.Steps))
	case r.MistakeStep != nil && r.MistakeAgent == "":
		return errors.New("mistake_agent: is empty beside a mistake_step")
	}
	for i, s := range r.Steps {
		if s.Kind != kindUser && s.Kind != kindModel && s.Kind != kindTool {
			return fmt.Errorf("steps[%d].kind: %q is none of %s, %s, %s", i, s.Kind, kindUser, kindModel, kindTool)
		}
	}
	return nil
}

// runs are in the order of the file.
type runs []run

// load splits the runs: those with a labelled mistake say where a run fails, the others whether it does.
func load(env evals.Env) (byOutcome, byMistake runs, err error) {
	all, err := evals.ReadJSONL(env, env.Path("agent_runs.jsonl.gz"), evals.Distinct(func(r run) string { return r.ID }, run.check))
	if err != nil {
		return nil, nil, err
	}
	for _, r := range all {
		if r.MistakeStep == nil {
			byOutcome = append(byOutcome, r)
		} else {
			byMistake = append(byMistake, r)
		}
	}
	return byOutcome, byMistake, nil
}

// tasks has one value a run: runs of one task stay together in folds and resamples.
func (all runs) tasks() []string {
	out := make([]string, len(all))
	for i, r := range all {
		out[i] = r.Task
	}
	return out
}

// failed has one value a run.
func (all runs) failed() []bool {
	out := make([]bool, len(all))
	for i, r := range all {
		out[i] = r.Outcome == failed
	}
	return out
}
