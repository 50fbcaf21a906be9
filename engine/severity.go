package engine

import (
	"fmt"
	"time"
)

// SeverityConfig is the one table by which severity is given: each anomaly type has points to start from; score, effect, blast
// radius, duration and repetition add to them, and quiet hours take one off. 0 to 1 is low, 2 medium, 3 high, from 4 on critical.
type SeverityConfig struct {
	Base map[AnomalyType]int `yaml:"base"` // points by type; a type that is not listed has 1
	// One point each.
	ScoreAbove float64 `yaml:"score_above"` // log p / log α
	RatioAbove float64 `yaml:"ratio_above"` // current over baseline; of security events, where none is normal, any is above it
	UsersAbove int     `yaml:"users_above"` // affected users
	// These two count for incidents.
	LastedAbove time.Duration `yaml:"lasted_above"` // event time since the onset
	RaisedAbove int           `yaml:"raised_above"` // times that it was raised
	// BusinessHours are when people depend on the services. Outside of them there is one point less, except for attacks.
	BusinessHours BusinessHours `yaml:"business_hours"`
}

// BusinessHours are hours of the day, of weekdays alone or of all days. With From and To equal all hours are.
type BusinessHours struct {
	From     int    `yaml:"from"` // 0 to 24
	To       int    `yaml:"to"`   // 0 to 24, later than From
	Weekends bool   `yaml:"weekends"`
	TimeZone string `yaml:"time_zone"` // such as Europe/Berlin; "" is UTC
}

// Circumstances are what an anomaly touches, as far as it is known.
type Circumstances struct {
	Users  int
	Lasted time.Duration
	Raised int
	At     time.Time // event time; zero is within business hours
}

// DefaultSeverity is the documented table.
func DefaultSeverity() SeverityConfig {
	return SeverityConfig{
		Base: map[AnomalyType]int{
			SecurityPattern: 3, Jailbreak: 2, PromptInjection: 3, PIIExposure: 3, PolicyViolation: 2,
			ErrorRate: 2, AgentTrajectory: 2, LatencySpike: 1, TokenAbuse: 2, CostOverrun: 1,
			ModelRegression: 1, SemanticNovelty: 1, TopicDrift: 0, Traffic: 0,
			UngroundedResponse: 2, RetrievalIrrelevant: 1, EdgeDegradation: 1,
		},
		ScoreAbove: 3,
		RatioAbove: 3,
		UsersAbove: 20,

		LastedAbove: 4 * time.Hour,
		RaisedAbove: 2,
	}
}

func (c SeverityConfig) validate() error {
	for t, points := range c.Base {
		if points < 0 || points > 4 {
			return fmt.Errorf("engine: severity.base.%s must be 0 to 4, is %d", t, points)
		}
	}
	h := c.BusinessHours
	if h.From < 0 || h.To > 24 || h.From > h.To {
		return fmt.Errorf("engine: severity.business_hours must have 0 <= from <= to <= 24, are %d to %d", h.From, h.To)
	}
	if _, err := time.LoadLocation(h.TimeZone); err != nil {
		return fmt.Errorf("engine: severity.business_hours.time_zone: %w", err)
	}
	return nil
}

// include reports whether a time is within the business hours.
func (h BusinessHours) include(at time.Time) bool {
	if h.From == h.To || at.IsZero() {
		return true
	}
	zone, err := time.LoadLocation(h.TimeZone)
	if err != nil {
		zone = time.UTC // validate has seen it work
	}
	local := at.In(zone)
	weekend := local.Weekday() == time.Saturday || local.Weekday() == time.Sunday
	return local.Hour() >= h.From && local.Hour() < h.To && (h.Weekends || !weekend)
}

// attacks do not wait for the morning.
func attacks(t AnomalyType) bool {
	switch t {
	case SecurityPattern, Jailbreak, PromptInjection, PIIExposure:
		return true
	}
	return false
}

// Of returns the severity of an anomaly or incident.
func (c SeverityConfig) Of(t AnomalyType, score float64, e Effect, in Circumstances) Severity {
	points, listed := c.Base[t]
	if !listed {
		points = 1
	}
	if score > c.ScoreAbove {
		points++
	}
	if e.Ratio() > c.RatioAbove || t == SecurityPattern && e.Baseline == 0 && e.Current > 0 {
		points++
	}
	if in.Users > c.UsersAbove {
		points++
	}
	if in.Lasted > c.LastedAbove {
		points++
	}
	if in.Raised > c.RaisedAbove {
		points++
	}
	if !c.BusinessHours.include(in.At) && !attacks(t) {
		points--
	}
	switch {
	case points <= 1:
		return SeverityLow
	case points == 2:
		return SeverityMedium
	case points == 3:
		return SeverityHigh
	}
	return SeverityCritical
}
