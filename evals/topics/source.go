package topics

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/llm-sentinel/llm-sentinel/evals"
	"github.com/llm-sentinel/llm-sentinel/evals/scenario"
)

// The sources of prompts.
const (
	labelled = "prompts"   // families of benign prompts of the data folder
	invented = "scenarios" // what users ask the assistants of generated traffic
)

var sources = [...]string{labelled, invented}

// assistant is what a service can be asked.
type assistant []topic

// topic is prompts about one thing.
type topic struct {
	name    string
	prompts []string
}

const (
	leastTopics  = 3   // that an assistant needs
	leastPrompts = 20  // that a topic needs
	written      = 300 // prompts of an invented topic
	promptWords  = 60  // of a prompt that are played
)

// line is a line of the labelled prompts.
type line struct {
	ID     string `json:"id"`
	Text   string `json:"text"`
	Kind   string `json:"kind"`
	Label  string `json:"label"`
	Family string `json:"family"`
}

func (l line) check() error {
	switch {
	case l.ID == "":
		return errors.New("id: is empty")
	case strings.TrimSpace(l.Text) == "":
		return errors.New("text: is empty")
	case l.Kind == "":
		return errors.New("kind: is empty")
	case l.Label == "":
		return errors.New("label: is empty")
	case l.Family == "":
		return errors.New("family: is empty")
	}
	return nil
}

// load returns the assistants of a source; ErrUnavailable says why there are none.
func load(env evals.Env, source string) ([]assistant, error) {
	if source == invented {
		return asked(env.Seed)
	}
	a, err := families(env)
	return []assistant{a}, err
}

// families is one assistant, whose topics are the families of what users typed and meant well.
func families(env evals.Env) (assistant, error) {
	lines, err := evals.ReadJSONL(env, env.Path("prompts.jsonl.gz"), evals.Distinct(func(l line) string { return l.ID }, line.check))
	if err != nil {
		return nil, err
	}
	var all assistant
	for _, l := range lines {
		if l.Kind != "user" || l.Label != "benign" {
			continue
		}
		i := slices.IndexFunc(all, func(t topic) bool { return t.name == l.Family })
		if i < 0 {
			i = len(all)
			all = append(all, topic{name: l.Family})
		}
		all[i].prompts = append(all[i].prompts, beginning(l.Text))
	}
	all = slices.DeleteFunc(all, func(t topic) bool { return len(t.prompts) < leastPrompts })
	if len(all) < leastTopics {
		return nil, evals.Unavailable("%s has %d families of %d benign prompts of users, %d are needed", env.Path("prompts.jsonl.gz"), len(all), leastPrompts, leastTopics)
	}
	return all, nil
}

// beginning is the first words of a prompt: long ones would take most of the time, and a topic shows early.
func beginning(text string) string {
	words := strings.Fields(text)
	return strings.Join(words[:min(len(words), promptWords)], " ")
}

// asked is the assistants of generated traffic.
func asked(seed uint64) ([]assistant, error) {
	all, err := scenario.Asked(seed, written)
	if err != nil {
		return nil, fmt.Errorf("topics: %w", err)
	}
	var out []assistant
	for _, one := range all {
		var a assistant
		for _, t := range one.Topics {
			a = append(a, topic{one.Name + "/" + t.Name, t.Prompts})
		}
		out = append(out, a)
	}
	return out, nil
}
