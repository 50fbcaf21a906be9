package topic

import (
	"fmt"
	"time"
)

// Config says how topics are found and when their mix has drifted. Times are event time.
type Config struct {
	Window      time.Duration `yaml:"window"`       // over which shares are compared
	MinPrompts  int           `yaml:"min_prompts"`  // that a window needs; one with fewer goes on
	MinWindows  int           `yaml:"min_windows"`  // calm ones before a drift is told
	Join        float64       `yaml:"join"`         // similarity to a cluster's centre from which on a prompt belongs to it
	Merge       float64       `yaml:"merge"`        // similarity of two centres from which on their clusters are one
	MaxTopics   int           `yaml:"max_topics"`   // a service
	MaxServices int           `yaml:"max_services"` // services, times embedding models
	PerUser     int           `yaml:"per_user"`     // prompts of one user that count in a window
	MinShift    float64       `yaml:"min_shift"`    // least rise of a topic's share
	MinUsers    int           `yaml:"min_users"`    // different users that a topic that grows needs, where users are known
	HalfLife    time.Duration `yaml:"half_life"`    // after which what was learnt weighs half
	AdoptAfter  time.Duration `yaml:"adopt_after"`  // a mix that lasts for longer is learnt
	Excerpt     int           `yaml:"excerpt_bytes"`
}

// DefaultConfig compares hours.
func DefaultConfig() Config {
	return Config{
		Window: time.Hour, MinPrompts: 40, MinWindows: 12, Join: 0.45, Merge: 0.8, MaxTopics: 48, MaxServices: 256, PerUser: 3,
		MinShift: 0.15, MinUsers: 5, HalfLife: 72 * time.Hour, AdoptAfter: 24 * time.Hour, Excerpt: 200,
	}
}

// Validate names the first setting that makes no sense.
func (c Config) Validate() error {
	switch {
	case c.Window < time.Minute || c.HalfLife < c.Window || c.AdoptAfter < c.Window:
		return fmt.Errorf("topics: window must be at least 1m, half_life and adopt_after at least window, are %v, %v, %v", c.Window, c.HalfLife, c.AdoptAfter)
	case c.MinPrompts < 10 || c.MinWindows < 1 || c.PerUser < 1 || c.MinUsers < 1 || c.MaxServices < 1:
		return fmt.Errorf("topics: min_prompts must be at least 10, min_windows, per_user, min_users and max_services positive: %+v", c)
	case c.MaxTopics < 2 || c.MaxTopics > 1000:
		return fmt.Errorf("topics: max_topics must be 2 to 1000, is %d", c.MaxTopics)
	case !(c.Join > 0 && c.Join < c.Merge && c.Merge <= 1):
		return fmt.Errorf("topics: join must be above 0 and below merge, merge at most 1, are %v, %v", c.Join, c.Merge)
	case !(c.MinShift > 0 && c.MinShift < 1):
		return fmt.Errorf("topics: min_shift must be in (0, 1), is %v", c.MinShift)
	case c.Excerpt < 0:
		return fmt.Errorf("topics: excerpt_bytes must not be negative, is %d", c.Excerpt)
	}
	return nil
}
