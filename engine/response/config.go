package response

import (
	"errors"
	"fmt"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Config says how much history the detectors need and what they look for.
type Config struct {
	MinAnswers  int             `yaml:"min_answers"`  // calm answers of a service that a proportion needs
	MaxServices int             `yaml:"max_services"` // services followed
	HalfLife    time.Duration   `yaml:"half_life"`    // event time after which what was learnt weighs half
	MaxBytes    int             `yaml:"max_bytes"`    // of an answer or prompt that are read
	LeakWords   int             `yaml:"leak_words"`   // consecutive words of the system prompt that are a leak
	Canaries    []engine.Secret `yaml:"canaries"`     // texts that no answer may ever hold
}

// DefaultConfig is what serve uses without a configuration file.
func DefaultConfig() Config {
	return Config{MinAnswers: 100, MaxServices: 256, HalfLife: 72 * time.Hour, MaxBytes: 32 << 10, LeakWords: 20, Canaries: []engine.Secret{}}
}

// minCanary is the length from which on a canary is not met by chance, in bytes.
const minCanary = 8

// Validate names the first setting that makes no sense.
func (c Config) Validate() error {
	if c.MinAnswers < 1 || c.MaxServices < 1 || c.HalfLife <= 0 || c.MaxBytes < 1 || c.LeakWords < 5 {
		return fmt.Errorf("response: min_answers, max_services, half_life and max_bytes must be positive, leak_words at least 5: %+v", c)
	}
	for _, x := range c.Canaries {
		if len(x) < minCanary {
			return errors.New("response: a canary must have at least 8 bytes, or it is met by chance")
		}
	}
	return nil
}
