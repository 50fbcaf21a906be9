package openai

import (
	"fmt"

	"github.com/llm-sentinel/llm-sentinel/embed"
	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Config says which model is asked and how patiently.
type Config struct {
	embed.RemoteConfig `yaml:",inline"`
	APIKey             engine.Secret `yaml:"api_key"`
	// Version is of the model, where one name stands for different ones over time: vectors of two versions are never compared.
	Version string `yaml:"version"`
}

// DefaultConfig asks OpenAI for its small model.
func DefaultConfig() Config {
	c := Config{RemoteConfig: embed.DefaultRemoteConfig()}
	c.BaseURL, c.Model = "https://api.openai.com/v1", "text-embedding-3-small"
	return c
}

// Validate says what is wrong with the configuration. The API key is not part of what it says.
func (c Config) Validate() error {
	if err := c.RemoteConfig.Validate(); err != nil {
		return fmt.Errorf("openai: %w", err)
	}
	return nil
}
