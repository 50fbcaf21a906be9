package agentruns

// The baselines.
const (
	runLength         = "run_length"
	alwaysStep1       = "always_step_1"
	firstStep         = "first_step"
	mostFrequentAgent = "most_frequent_agent"
)

// mostFrequent is the agent with the most model calls in the run, the first to speak of several; tools that run code are nobody's agent.
func (r run) mostFrequent() string {
	calls := make(map[string]int)
	var order []string
	for _, s := range r.Steps {
		if s.Kind != kindModel {
			continue
		}
		if calls[s.Agent]++; calls[s.Agent] == 1 {
			order = append(order, s.Agent)
		}
	}
	best := ""
	for _, agent := range order {
		if calls[agent] > calls[best] {
			best = agent
		}
	}
	return best
}
