package ticket

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/notify"
)

const idempotencyHeader = "Idempotency-Key"

// maxTemplateBytes bounds what an operator writes, and maxBodyBytes what comes of it.
const (
	maxTemplateBytes = 64 << 10
	maxBodyBytes     = 1 << 20
)

// Config is the request that files an alert.
type Config struct {
	URL         engine.Secret  `yaml:"url"`    // a template; http or https; a secret, since it may hold a token
	Method      string         `yaml:"method"` // POST, PUT or PATCH
	ContentType string         `yaml:"content_type"`
	Body        string         `yaml:"body"` // a template
	Headers     notify.Headers `yaml:"headers"`
	TLS         notify.TLS     `yaml:"tls"`
}

// DefaultConfig lacks a URL, and sends a title and a description as JSON.
func DefaultConfig() Config {
	return Config{
		Method:      http.MethodPost,
		ContentType: "application/json",
		Body: `{"title": {{json .Title}}, "description": {{json .Explanation}}, "severity": {{json .Severity}}, "status": {{json .Status}}, ` +
			`"incident_id": {{json .IncidentID}}, "alert_id": {{json .AlertID}}, "recommendations": {{json .Recommendations}}}`,
	}
}

// Validate reports every setting that cannot work, templates included.
func (c Config) Validate() error {
	_, err := c.compile()
	return err
}

func (c Config) check() error {
	var errs []error
	if !slices.Contains([]string{http.MethodPost, http.MethodPut, http.MethodPatch}, c.Method) {
		errs = append(errs, fmt.Errorf("method: %q is none of POST, PUT, PATCH", c.Method))
	}
	if c.ContentType == "" {
		errs = append(errs, errors.New("content_type: is empty"))
	}
	if len(c.Body) > maxTemplateBytes || len(c.URL) > maxTemplateBytes {
		errs = append(errs, fmt.Errorf("body: a template is longer than %d bytes", maxTemplateBytes))
	}
	if err := c.Headers.Validate("Content-Type", idempotencyHeader); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
