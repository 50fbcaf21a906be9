package explanations

import (
	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals/scenarios"
)

// known is an incident that was found and whose cause is known.
type known struct {
	day      string
	kind     string
	incident engine.Incident // with its evidence
	cause    engine.Subject
	ground   ground
}

// knownOf are the incidents of a day that were matched with a true one, as the engine hands them to an explainer.
func knownOf(day scenarios.Day, p scenarios.Played) ([]known, error) {
	var out []known
	for _, m := range p.Matches() {
		in := m.Incident
		if in.Evidence == nil {
			continue
		}
		in.Onset = in.Evidence.From // a note is about this time, where the incident was raised before
		g, err := newGround(in, *in.Evidence)
		if err != nil {
			return nil, err
		}
		out = append(out, known{
			day: day.Name(), kind: m.Truth.Type, incident: in, ground: g,
			cause: engine.Subject{Kind: m.Truth.Cause.Kind, Value: m.Truth.Cause.Subject},
		})
	}
	return out, nil
}

// byTurns chooses n incidents, one of each kind in turn; all of them in their order when n is 0 or no less than there are.
func byTurns(found []known, n int) []int {
	out := make([]int, 0, len(found))
	if n == 0 || n >= len(found) {
		for i := range found {
			out = append(out, i)
		}
		return out
	}
	rank := make([]int, len(found)) // how many of its kind come before
	seen := make(map[string]int)
	for i, k := range found {
		rank[i] = seen[k.kind]
		seen[k.kind]++
	}
	for turn := 0; len(out) < n; turn++ {
		for i := range found {
			if rank[i] == turn && len(out) < n {
				out = append(out, i)
			}
		}
	}
	return out
}
