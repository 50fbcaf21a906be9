package ollama

import (
	"fmt"

	"github.com/llm-sentinel/llm-sentinel/embed"
)

// Config says which model is asked, by the name that `ollama list` shows, and how patiently.
type Config embed.RemoteConfig

// DefaultConfig asks a local Ollama for all-minilm.
func DefaultConfig() Config {
	c := embed.DefaultRemoteConfig()
	c.BaseURL, c.Model = "http://127.0.0.1:11434", "all-minilm"
	return Config(c)
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	if err := embed.RemoteConfig(c).Validate(); err != nil {
		return fmt.Errorf("ollama: %w", err)
	}
	return nil
}
