package explain

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Provider says which protocol the language model speaks.
type Provider string

// The providers. With ProviderNone every note is deterministic.
const (
	ProviderNone      Provider = "none"
	ProviderOllama    Provider = "ollama"
	ProviderOpenAI    Provider = "openai"
	ProviderAnthropic Provider = "anthropic"
)

// Config is how explanations are written.
type Config struct {
	LLM    LLM    `yaml:"llm"`
	Budget Budget `yaml:"budget"`
	// CacheSize is how many explanations are kept to be returned again for the same fingerprint and evidence.
	CacheSize int `yaml:"cache_size"`
}

// LLM is the language model that notes are written with, and its limits.
type LLM struct {
	Provider        Provider      `yaml:"provider"`
	Model           string        `yaml:"model"`
	BaseURL         string        `yaml:"base_url"` // "" is the provider's usual address
	APIKey          engine.Secret `yaml:"api_key"`
	Timeout         time.Duration `yaml:"timeout"`           // of one call; the wait for one's turn is as long at most
	MaxOutputTokens int           `yaml:"max_output_tokens"` // of one reply
	ContextTokens   int           `yaml:"context_tokens"`    // prompt and reply together; a larger prompt is not sent
}

// Budget bounds what is spent on the language model, on wall time in UTC. A limit of 0 allows nothing, so a model without
// a price needs no money.
type Budget struct {
	TokensPerHour int64   `yaml:"tokens_per_hour"`
	TokensPerDay  int64   `yaml:"tokens_per_day"`
	CostPerHour   float64 `yaml:"cost_per_hour"`
	CostPerDay    float64 `yaml:"cost_per_day"`
	PriceInput    float64 `yaml:"price_input"`  // of a million tokens, in the currency of the costs
	PriceOutput   float64 `yaml:"price_output"` // of a million tokens
}

// DefaultConfig asks no language model, and keeps one that is configured to modest limits.
func DefaultConfig() Config {
	return Config{
		LLM: LLM{
			Provider:        ProviderNone,
			Timeout:         2 * time.Minute,
			MaxOutputTokens: 1000,
			ContextTokens:   8192,
		},
		Budget: Budget{
			TokensPerHour: 100_000,
			TokensPerDay:  500_000,
			CostPerHour:   1,
			CostPerDay:    5,
		},
		CacheSize: 512,
	}
}

// Validate reports every setting that cannot work.
func (c Config) Validate() error {
	var errs []error
	if c.CacheSize < 1 {
		errs = append(errs, fmt.Errorf("cache_size: %d is below 1", c.CacheSize))
	}
	if err := c.LLM.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("llm: %w", err))
	}
	if err := c.Budget.validate(); err != nil {
		errs = append(errs, fmt.Errorf("budget: %w", err))
	}
	return errors.Join(errs...)
}

// Validate reports every setting that cannot work. Without a provider the others do not matter.
func (l LLM) Validate() error {
	var errs []error
	switch l.Provider {
	case ProviderNone:
		return nil
	case ProviderOllama, ProviderOpenAI, ProviderAnthropic:
	default:
		return fmt.Errorf("provider: %q is none of none, ollama, openai, anthropic", l.Provider)
	}
	if l.Model == "" {
		errs = append(errs, fmt.Errorf("model: must be named for provider %s", l.Provider))
	}
	if l.BaseURL != "" {
		if u, err := url.Parse(l.BaseURL); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			errs = append(errs, errors.New("base_url: must be an http or https URL"))
		} else if u.User != nil {
			errs = append(errs, errors.New("base_url: must not hold credentials; use api_key"))
		}
	}
	if l.Timeout <= 0 {
		errs = append(errs, fmt.Errorf("timeout: %s is not positive", l.Timeout))
	}
	if l.MaxOutputTokens < 64 {
		errs = append(errs, fmt.Errorf("max_output_tokens: %d is below 64", l.MaxOutputTokens))
	}
	if l.ContextTokens <= l.MaxOutputTokens {
		errs = append(errs, fmt.Errorf("context_tokens: %d is not above max_output_tokens %d", l.ContextTokens, l.MaxOutputTokens))
	}
	return errors.Join(errs...)
}

func (b Budget) validate() error {
	var errs []error
	for name, v := range map[string]float64{
		"tokens_per_hour": float64(b.TokensPerHour), "tokens_per_day": float64(b.TokensPerDay),
		"cost_per_hour": b.CostPerHour, "cost_per_day": b.CostPerDay,
		"price_input": b.PriceInput, "price_output": b.PriceOutput,
	} {
		if !(v >= 0) {
			errs = append(errs, fmt.Errorf("%s: %v is not 0 or more", name, v))
		}
	}
	return errors.Join(errs...)
}
