package scenario

import (
	"fmt"
	"slices"
	"time"
)

// Kind is a kind of incident, named like the anomaly type by which it should be found.
type Kind string

// The kinds of incident that a scenario can hold.
const (
	LatencySpike    Kind = "latency_spike"    // a model version in one service answers slowly
	ErrorRate       Kind = "error_rate"       // calls to one provider fail
	TokenAbuse      Kind = "token_abuse"      // one user floods one service with very long calls
	Jailbreak       Kind = "jailbreak"        // one API key sends a campaign of attack prompts
	AgentTrajectory Kind = "agent_trajectory" // a new agent version repeats a tool call over and over
	SemanticNovelty Kind = "semantic_novelty" // many users ask about a topic that was never seen
)

// Kinds returns all kinds of incident.
func Kinds() []Kind {
	return []Kind{LatencySpike, ErrorRate, TokenAbuse, Jailbreak, AgentTrajectory, SemanticNovelty}
}

const (
	coolDown = time.Hour        // free of incidents at the end of the scenario
	minSlot  = 90 * time.Minute // room that one incident needs, the calm around it included
)

// Config says what a scenario holds.
type Config struct {
	// Seed decides everything that is random: services, people, texts, volumes, times and who is guilty.
	Seed uint64 `yaml:"seed"`
	// Start is the event time of the beginning. Volumes follow the hour of its day (UTC).
	Start time.Time `yaml:"start"`
	// Duration is the simulated time in which requests begin; answers may end a little later.
	Duration time.Duration `yaml:"duration"`
	// Warmup is the time before the first incident and decoy.
	Warmup time.Duration `yaml:"warmup"`
	// RequestsPerHour is the mean volume over a day of all services together, before incidents, between 60 and
	// 1,000,000. Below about 400 an incident may touch fewer than 40 traces.
	RequestsPerHour float64 `yaml:"requests_per_hour"`
	// Control leaves all incidents out. Decoys and the traffic that no incident touches stay the same.
	Control bool `yaml:"control"`
	// Incidents are the kinds to mix in, each once; nil means all, an empty list none.
	Incidents []Kind `yaml:"incidents"`
	// Strength scales the effects of the incidents, above 0 and at most 1: how much slower, how many errors, attempts,
	// tokens, loops and odd questions. At 1 a person would see each of them.
	Strength float64 `yaml:"strength"`
	// Overlap lets incidents come in pairs: the second begins before the middle of the first.
	Overlap bool `yaml:"overlap"`
	// Decoys is how many there are of each kind, between 0 and 8: a deployment without effect, a peak of usual requests,
	// one slow request.
	Decoys int `yaml:"decoys"`
	// ContentInLogs makes the smallest service send prompts and answers as log records
	// (gen_ai.client.inference.operation.details) instead of span attributes.
	ContentInLogs bool `yaml:"content_in_logs"`
}

// DefaultConfig is one day from evening to evening with all six incidents, about 11,000 traces in 60,000 spans.
func DefaultConfig() Config {
	return Config{
		Seed:            1,
		Start:           time.Date(2025, time.October, 6, 22, 0, 0, 0, time.UTC),
		Duration:        24 * time.Hour,
		Warmup:          8 * time.Hour,
		RequestsPerHour: 450,
		Strength:        1,
		Decoys:          1,
	}
}

// Validate reports the first field that cannot be used.
func (c Config) Validate() error {
	if c.Start.IsZero() {
		return fmt.Errorf("scenario: start is not set")
	}
	if !(c.RequestsPerHour >= 60 && c.RequestsPerHour <= 1e6) {
		return fmt.Errorf("scenario: requests_per_hour %g is not between 60 and 1000000", c.RequestsPerHour)
	}
	if !(c.Strength > 0 && c.Strength <= 1) {
		return fmt.Errorf("scenario: strength %g is not above 0 and at most 1", c.Strength)
	}
	if c.Decoys < 0 || c.Decoys > 8 {
		return fmt.Errorf("scenario: decoys %d is not between 0 and 8", c.Decoys)
	}
	for i, k := range c.Incidents {
		if !slices.Contains(Kinds(), k) {
			return fmt.Errorf("scenario: incidents: unknown kind %q", k)
		}
		if slices.Contains(c.Incidents[:i], k) {
			return fmt.Errorf("scenario: incidents: %q is listed twice", k)
		}
	}
	if c.Warmup <= 0 {
		return fmt.Errorf("scenario: warmup %s is not positive", c.Warmup)
	}
	// Decoys need room even where there is no incident.
	need := c.Warmup + coolDown + time.Duration(max(2, len(c.kinds())))*minSlot
	if c.Duration < need || c.Duration > 366*24*time.Hour {
		return fmt.Errorf("scenario: duration %s is not between %s, which this warmup and these incidents need, and 8784h",
			c.Duration, need)
	}
	return nil
}

func (c Config) kinds() []Kind {
	if c.Incidents == nil {
		return Kinds()
	}
	return c.Incidents
}

func (c Config) end() time.Time { return c.Start.Add(c.Duration) }
