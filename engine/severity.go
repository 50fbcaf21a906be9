package engine

import "fmt"

// SeverityConfig is the one table by which severity is given: each anomaly type has points to start from, and score, effect
// and blast radius add to them. 0 to 1 is low, 2 medium, 3 high, from 4 on critical.
type SeverityConfig struct {
	Base map[AnomalyType]int `yaml:"base"` // points by type; a type that is not listed has 1
	// One point each.
	ScoreAbove float64 `yaml:"score_above"` // log p / log α
	RatioAbove float64 `yaml:"ratio_above"` // current over baseline; of security events, where none is normal, any is above it
	UsersAbove int     `yaml:"users_above"` // affected users
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
	}
}

func (c SeverityConfig) validate() error {
	for t, points := range c.Base {
		if points < 0 || points > 4 {
			return fmt.Errorf("engine: severity.base.%s must be 0 to 4, is %d", t, points)
		}
	}
	return nil
}

// Of returns the severity of an anomaly or incident.
func (c SeverityConfig) Of(t AnomalyType, score float64, e Effect, users int) Severity {
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
	if users > c.UsersAbove {
		points++
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
