package ollama

import (
	"fmt"
	"net/url"
	"time"
)

// Config says which model is asked and how patiently.
type Config struct {
	BaseURL string `yaml:"base_url"` // of the server, such as http://127.0.0.1:11434
	Model   string `yaml:"model"`    // as `ollama list` names it, such as all-minilm
	// Dimension is the expected length of the vectors, up to 65,536; 0 takes what the model gives when it is first asked.
	Dimension  int           `yaml:"dimension"`
	BatchSize  int           `yaml:"batch_size"`  // texts a request, 1 to 4096
	Timeout    time.Duration `yaml:"timeout"`     // of one request
	MaxRetries int           `yaml:"max_retries"` // further tries after the first, 0 to 10
	RetryDelay time.Duration `yaml:"retry_delay"` // before the first retry; it doubles each time, give or take a half
}

// DefaultConfig asks a local Ollama for all-minilm.
func DefaultConfig() Config {
	return Config{
		BaseURL:    "http://127.0.0.1:11434",
		Model:      "all-minilm",
		BatchSize:  64,
		Timeout:    10 * time.Second,
		MaxRetries: 2,
		RetryDelay: 200 * time.Millisecond,
	}
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	base, err := url.Parse(c.BaseURL)
	switch {
	case err != nil:
		return fmt.Errorf("ollama: base_url: %w", err)
	case base.Scheme != "http" && base.Scheme != "https" || base.Host == "":
		return fmt.Errorf("ollama: base_url is %q, want http://HOST:PORT or https://HOST", c.BaseURL)
	case c.Model == "":
		return fmt.Errorf("ollama: model is empty, want a name that `ollama list` shows")
	case c.Dimension < 0 || c.Dimension > 1<<16:
		return fmt.Errorf("ollama: dimension is %d, want 0 (ask the model) to 65536", c.Dimension)
	case c.BatchSize < 1 || c.BatchSize > 4096:
		return fmt.Errorf("ollama: batch_size is %d, want 1 to 4096", c.BatchSize)
	case c.Timeout <= 0:
		return fmt.Errorf("ollama: timeout is %v, want more than 0", c.Timeout)
	case c.MaxRetries < 0 || c.MaxRetries > 10:
		return fmt.Errorf("ollama: max_retries is %d, want 0 to 10", c.MaxRetries)
	case c.RetryDelay <= 0:
		return fmt.Errorf("ollama: retry_delay is %v, want more than 0", c.RetryDelay)
	}
	return nil
}
