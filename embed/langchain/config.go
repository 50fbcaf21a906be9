package langchain

import (
	"fmt"

	"github.com/llm-sentinel/llm-sentinel/embed"
	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Provider names whose protocol is spoken.
type Provider string

// The providers.
const (
	ProviderVoyageAI    Provider = "voyageai"
	ProviderJina        Provider = "jina"
	ProviderHuggingFace Provider = "huggingface"
)

// Config says whose model is asked and how patiently.
type Config struct {
	Provider           Provider `yaml:"provider"`
	embed.RemoteConfig `yaml:",inline"`
	APIKey             engine.Secret `yaml:"api_key"`
	// Version is of the model, where one name stands for different ones over time: vectors of two versions are never compared.
	Version string `yaml:"version"`
}

// DefaultConfig asks Voyage AI.
func DefaultConfig() Config {
	c := Config{Provider: ProviderVoyageAI, RemoteConfig: embed.DefaultRemoteConfig()}
	c.BaseURL, c.Model = "https://api.voyageai.com/v1", "voyage-3.5-lite"
	return c
}

// Validate says what is wrong with the configuration. The API key is not part of what it says.
func (c Config) Validate() error {
	switch c.Provider {
	case ProviderVoyageAI, ProviderJina, ProviderHuggingFace:
	default:
		return fmt.Errorf("langchain: provider is %q, want %s, %s or %s", c.Provider, ProviderVoyageAI, ProviderJina, ProviderHuggingFace)
	}
	if c.APIKey == "" {
		return fmt.Errorf("langchain: api_key is empty, want the key of %s", c.Provider)
	}
	if err := c.RemoteConfig.Validate(); err != nil {
		return fmt.Errorf("langchain: %w", err)
	}
	return nil
}
