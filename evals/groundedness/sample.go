package groundedness

import (
	"errors"
	"fmt"

	"github.com/llm-sentinel/llm-sentinel/evals"
)

// The labels of a response.
const (
	grounded     = "grounded"
	hallucinated = "hallucinated"
)

// tasks are what responses were written for; each is measured apart.
var tasks = [...]string{"summary", "qa"}

// sample is a labelled response with what it had to rest on.
type sample struct {
	ID       string `json:"id"`
	Context  string `json:"context"`
	Question string `json:"question"` // empty for summaries
	Response string `json:"response"`
	Label    string `json:"label"`
	Task     string `json:"task"`
	Grade    string `json:"grade"` // finer than the label, may be empty
}

func (s sample) check() error {
	switch {
	case s.ID == "":
		return errors.New("id: is empty")
	case s.Context == "":
		return errors.New("context: is empty")
	case s.Response == "":
		return errors.New("response: is empty")
	case s.Label != grounded && s.Label != hallucinated:
		return fmt.Errorf("label: %q is neither %s nor %s", s.Label, grounded, hallucinated)
	case s.Task != tasks[0] && s.Task != tasks[1]:
		return fmt.Errorf("task: %q is neither %s nor %s", s.Task, tasks[0], tasks[1])
	}
	return nil
}

// samples of one task, in the order of the file.
type samples []sample

func load(env evals.Env) (map[string]samples, error) {
	all, err := evals.ReadJSONL(env, env.Path("groundedness.jsonl.gz"), evals.Distinct(func(s sample) string { return s.ID }, sample.check))
	if err != nil {
		return nil, err
	}
	out := make(map[string]samples)
	for _, s := range all {
		out[s.Task] = append(out[s.Task], s)
	}
	return out, nil
}

// hallucinated has one value a sample.
func (all samples) hallucinated() []bool {
	out := make([]bool, len(all))
	for i, s := range all {
		out[i] = s.Label == hallucinated
	}
	return out
}

// contexts has one value a sample: responses to one context stay together in folds and resamples.
func (all samples) contexts() []string {
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = s.Context
	}
	return out
}

// grounded are the samples that hold and are grounded: what is normal.
func (all samples) grounded(hold func(i int) bool) samples {
	var out samples
	for i, s := range all {
		if s.Label == grounded && hold(i) {
			out = append(out, s)
		}
	}
	return out
}

// where lists the samples that hold.
func (all samples) where(hold func(i int) bool) []int {
	var out []int
	for i := range all {
		if hold(i) {
			out = append(out, i)
		}
	}
	return out
}

func (all samples) pick(which []int) samples {
	out := make(samples, 0, len(which))
	for _, i := range which {
		out = append(out, all[i])
	}
	return out
}
