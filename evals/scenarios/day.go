package scenarios

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/llm-sentinel/llm-sentinel/evals/scenario"
)

// Day is one scenario to be played, and what it is an example of.
type Day struct {
	Condition string
	Config    scenario.Config
}

// conditions are what the days vary, in turn. Each condition with incidents comes before any is repeated.
var conditions = []struct {
	name string
	vary func(*scenario.Config)
}{
	{"usual", func(*scenario.Config) {}},
	{"overlapping", func(c *scenario.Config) { c.Overlap = true }},
	{"control", func(c *scenario.Config) { c.Control, c.Decoys = true, 3 }},
	{"weak", func(c *scenario.Config) { c.Strength = weak }},
	{"little traffic", func(c *scenario.Config) { c.RequestsPerHour = 250 }},
	{"weak, overlapping", func(c *scenario.Config) { c.Strength, c.Overlap = weak, true }},
	{"many decoys", func(c *scenario.Config) { c.Decoys = 3 }},
	{"dense", func(c *scenario.Config) { c.Duration, c.Warmup, c.RequestsPerHour = 16*time.Hour, 6*time.Hour, 600 }},
	{"long control", func(c *scenario.Config) { c.Control, c.Duration, c.RequestsPerHour = true, 48*time.Hour, 200 }},
	{"much traffic, overlapping", func(c *scenario.Config) {
		c.Overlap, c.Duration, c.Warmup, c.RequestsPerHour = true, 18*time.Hour, 6*time.Hour, 800
	}},
}

// weak incidents are a third as strong as those of the demo.
const weak = 1.0 / 3

// firstSeed keeps the days apart from the demo's, on which the product was looked at while it was built.
const firstSeed = 1_000_000

// Days are n days. Day i depends on the seed and on i alone, so that more days are the same days and some more.
func Days(seed uint64, n int) []Day {
	out := make([]Day, n)
	for i := range out {
		c := conditions[i%len(conditions)]
		cfg := scenario.DefaultConfig()
		cfg.Seed = firstSeed + 1000*seed + uint64(i)
		c.vary(&cfg)
		out[i] = Day{c.name, cfg}
	}
	return out
}

// Name is short, and unlike that of any other day.
func (d Day) Name() string { return fmt.Sprintf("seed %d, %s", d.Config.Seed, d.Condition) }

// length is the simulated time in days.
func (d Day) length() float64 { return d.Config.Duration.Hours() / 24 }

// key names all that playing the day depends on.
func (d Day) key(window time.Duration) (string, error) {
	cfg, err := json.Marshal(d.Config)
	return fmt.Sprintf("day/%s/%s", window, cfg), err
}
