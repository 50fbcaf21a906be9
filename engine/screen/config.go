package screen

import (
	"fmt"
	"time"
)

// Config bounds the tier and states from which size on a deviation matters.
type Config struct {
	Window      time.Duration `yaml:"window"`       // length of a window in event time
	MaxSeries   int           `yaml:"max_series"`   // series in memory, at most 4 KiB each; the least recently used goes to the store
	MaxShelved  int           `yaml:"max_shelved"`  // series kept in the store, those in memory among them; the oldest goes first
	MaxServices int           `yaml:"max_services"` // services with traffic, cost and users
	MaxUsers    int           `yaml:"max_users"`    // heavy users followed, a service
	MinSamples  int           `yaml:"min_samples"`  // spans that a baseline needs before it speaks
	MinWindows  int           `yaml:"min_windows"`  // windows that a rate needs before it speaks
	HalfLife    time.Duration `yaml:"half_life"`    // event time after which what was learnt weighs half
	AdoptAfter  time.Duration `yaml:"adopt_after"`  // a new level that lasts this long is learnt

	LatencyRatio  float64       `yaml:"latency_ratio"`  // least factor over the baseline
	LatencyExcess time.Duration `yaml:"latency_excess"` // and least excess over it
	ErrorExcess   float64       `yaml:"error_excess"`   // least excess of the error proportion, in (0, 1]
	TokenRatio    float64       `yaml:"token_ratio"`    // least factor of a trace's or user's tokens
	TokenExcess   int           `yaml:"token_excess"`   // and least excess
	CostRatio     float64       `yaml:"cost_ratio"`
	// TrafficRatio is the least factor by which traffic rises or falls. A rise alone harms nobody, so it is high.
	TrafficRatio    float64 `yaml:"traffic_ratio"`
	RegressionRatio float64 `yaml:"regression_ratio"` // least factor of one version's median over the other's

	MaxCallSeries  int     `yaml:"max_call_series"`  // series of model calls whose numbers beside latency and tokens are followed
	CallCostExcess float64 `yaml:"call_cost_excess"` // least excess of one call's cost, in the currency of the spans
	// JointRatio is the least factor of one number of a call over what its other numbers lead to expect, JointTokenExcess the least
	// excess where that is tokens; latency_excess and call_cost_excess hold for the others.
	JointRatio       float64 `yaml:"joint_ratio"`
	JointTokenExcess int     `yaml:"joint_token_excess"`
	// SequenceWindows are the windows that the numbers of a service are followed before a new value of them is spoken of: two days, so that
	// each hour was seen more than once.
	SequenceWindows int `yaml:"sequence_windows"`
}

// DefaultConfig is what serve uses without a configuration file.
func DefaultConfig() Config {
	return Config{
		Window:          5 * time.Minute,
		MaxSeries:       200_000,
		MaxShelved:      1_000_000,
		MaxServices:     256,
		MaxUsers:        512,
		MinSamples:      50,
		MinWindows:      24,
		HalfLife:        72 * time.Hour,
		AdoptAfter:      12 * time.Hour,
		LatencyRatio:    1.5,
		LatencyExcess:   50 * time.Millisecond,
		ErrorExcess:     0.1,
		TokenRatio:      3,
		TokenExcess:     1_000,
		CostRatio:       3,
		TrafficRatio:    10,
		RegressionRatio: 1.3,
		MaxCallSeries:   1_024,
		CallCostExcess:  0.01,

		JointRatio:       2,
		JointTokenExcess: 200,
		SequenceWindows:  576,
	}
}

// Validate names the first setting that makes no sense.
func (c Config) Validate() error {
	for _, p := range []struct {
		name         string
		value, least float64
	}{
		{"window", c.Window.Seconds(), 1},
		{"max_series", float64(c.MaxSeries), 1},
		{"max_shelved", float64(c.MaxShelved), float64(c.MaxSeries)},
		{"max_services", float64(c.MaxServices), 1},
		{"max_users", float64(c.MaxUsers), 1},
		{"min_samples", float64(c.MinSamples), 2},
		{"min_windows", float64(c.MinWindows), 1},
		{"half_life", c.HalfLife.Hours(), 1},
		{"adopt_after", c.AdoptAfter.Seconds(), 0},
		{"latency_ratio", c.LatencyRatio, 1},
		{"latency_excess", c.LatencyExcess.Seconds(), 0},
		{"error_excess", c.ErrorExcess, 0},
		{"token_ratio", c.TokenRatio, 1},
		{"token_excess", float64(c.TokenExcess), 0},
		{"cost_ratio", c.CostRatio, 1},
		{"traffic_ratio", c.TrafficRatio, 1},
		{"regression_ratio", c.RegressionRatio, 1},
		{"max_call_series", float64(c.MaxCallSeries), 1},
		{"call_cost_excess", c.CallCostExcess, 0},
		{"joint_ratio", c.JointRatio, 1},
		{"joint_token_excess", float64(c.JointTokenExcess), 0},
		{"sequence_windows", float64(c.SequenceWindows), 100},
	} {
		if !(p.value >= p.least) {
			return fmt.Errorf("screen: %s must be at least %v, is %v", p.name, p.least, p.value)
		}
	}
	if c.Window%time.Second != 0 || (24*time.Hour)%c.Window != 0 {
		return fmt.Errorf("screen: window must be whole seconds that divide a day, is %s", c.Window)
	}
	return nil
}
