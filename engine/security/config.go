package security

import (
	"fmt"
	"time"
)

// Config bounds the detector and states from which size on a pattern matters.
type Config struct {
	Window   time.Duration `yaml:"window"`    // length in event time of what is a burst; events are counted by tenths of it
	HalfLife time.Duration `yaml:"half_life"` // event time after which what was learnt weighs half
	// AdoptAfter is how long a burst goes on before it is learnt as normal.
	AdoptAfter time.Duration `yaml:"adopt_after"`

	MinEvents int     `yaml:"min_events"` // of one subject in a window
	MinRatio  float64 `yaml:"min_ratio"`  // least factor over its own past and its peers
	// ExtremeEvents and ExtremeRatio stand in while too little was seen to know what is normal.
	ExtremeEvents int     `yaml:"extreme_events"`
	ExtremeRatio  float64 `yaml:"extreme_ratio"`
	MinPeers      int     `yaml:"min_peers"`   // active subjects, counted by window, that must have been seen
	MinWindows    int     `yaml:"min_windows"` // that a subject's own past, a signature and a service need

	CrowdEvents  int `yaml:"crowd_events"`  // least events of a distributed campaign and of a volume
	CrowdSources int `yaml:"crowd_sources"` // least identities of a distributed campaign

	RepeatDays int `yaml:"repeat_days"` // least days with attacks, of the last 14, of a repeated violator
	MinTraces  int `yaml:"min_traces"`  // of a service before attacks that were answered are told

	MaxSubjects   int `yaml:"max_subjects"`   // identities followed, of each of three kinds of memory: bursts, days, habits
	MaxSignatures int `yaml:"max_signatures"` // signatures followed
	MaxServices   int `yaml:"max_services"`
	MaxTraces     int `yaml:"max_traces"` // traces remembered until their event comes, and the other way round
	MaxEvents     int `yaml:"max_events"` // event ids remembered
}

// DefaultConfig is what serve uses without a configuration file.
func DefaultConfig() Config {
	return Config{
		Window:        10 * time.Minute,
		HalfLife:      72 * time.Hour,
		AdoptAfter:    12 * time.Hour,
		MinEvents:     10,
		MinRatio:      5,
		ExtremeEvents: 20,
		ExtremeRatio:  10,
		MinPeers:      50,
		MinWindows:    36,
		CrowdEvents:   30,
		CrowdSources:  5,
		RepeatDays:    5,
		MinTraces:     500,
		MaxSubjects:   10_000,
		MaxSignatures: 1_000,
		MaxServices:   256,
		MaxTraces:     10_000,
		MaxEvents:     65_536,
	}
}

// Validate names the first setting that makes no sense.
func (c Config) Validate() error {
	for _, p := range []struct {
		name              string
		value, least, max float64
	}{
		{"window", c.Window.Minutes(), 1, 60},
		{"half_life", c.HalfLife.Hours(), 1, 24 * 365},
		{"adopt_after", c.AdoptAfter.Minutes(), 0, 60 * 24 * 365},
		{"min_events", float64(c.MinEvents), 2, 1e6},
		{"min_ratio", c.MinRatio, 1, 1e6},
		{"extreme_events", float64(c.ExtremeEvents), float64(c.MinEvents), 1e6},
		{"extreme_ratio", c.ExtremeRatio, c.MinRatio, 1e6},
		{"min_peers", float64(c.MinPeers), 1, 1e6},
		{"min_windows", float64(c.MinWindows), 2, 1e4},
		{"crowd_events", float64(c.CrowdEvents), 2, 1e6},
		{"crowd_sources", float64(c.CrowdSources), 2, maxSources},
		{"repeat_days", float64(c.RepeatDays), 2, repeatHorizon},
		{"min_traces", float64(c.MinTraces), 1, 1e9},
		{"max_subjects", float64(c.MaxSubjects), 1, 65_536},
		{"max_signatures", float64(c.MaxSignatures), 1, 65_536},
		{"max_services", float64(c.MaxServices), 1, 65_536},
		{"max_traces", float64(c.MaxTraces), 1, 1e6},
		{"max_events", float64(c.MaxEvents), 1, 1e7},
	} {
		if !(p.value >= p.least && p.value <= p.max) {
			return fmt.Errorf("security: %s must be from %v to %v, is %v", p.name, p.least, p.max, p.value)
		}
	}
	if c.Window%(ticks*time.Second) != 0 || (24*time.Hour)%c.Window != 0 {
		return fmt.Errorf("security: window must be a multiple of %d seconds that divides a day, is %s", ticks, c.Window)
	}
	if float64(c.MinWindows) > c.HalfLife.Minutes()/c.Window.Minutes() {
		return fmt.Errorf("security: min_windows (%d of %s) must fit into half_life, is %s", c.MinWindows, c.Window, c.HalfLife)
	}
	return nil
}
