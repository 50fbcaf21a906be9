package webhook

import (
	"errors"
	"fmt"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/notify"
)

const (
	idempotencyHeader = "Idempotency-Key"
	signatureHeader   = "Sentinel-Signature"
)

// Config is where requests go and how they are signed.
type Config struct {
	URL            engine.Secret  `yaml:"url"`             // http or https; a secret, since it may hold a token
	Secret         engine.Secret  `yaml:"secret"`          // requests are signed with it; "" signs none
	PreviousSecret engine.Secret  `yaml:"previous_secret"` // signed with as well, while secret replaces it
	Headers        notify.Headers `yaml:"headers"`         // added to every request
	TLS            notify.TLS     `yaml:"tls"`
}

// DefaultConfig lacks a URL.
func DefaultConfig() Config { return Config{} }

// Validate reports every setting that cannot work.
func (c Config) Validate() error {
	var errs []error
	if err := notify.CheckURL(c.URL.Reveal()); err != nil {
		errs = append(errs, fmt.Errorf("url: %w", err))
	}
	if c.Secret == "" && c.PreviousSecret != "" {
		errs = append(errs, errors.New("previous_secret: there is no secret that replaces it"))
	}
	if err := c.Headers.Validate("Content-Type", idempotencyHeader, signatureHeader); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
