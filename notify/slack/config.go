package slack

import (
	"errors"
	"fmt"
	"strings"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/notify"
)

// Config is which channel is told, and how: either token and channel, or webhook_url.
type Config struct {
	Token       engine.Secret `yaml:"token"`        // of a bot, xoxb-…
	Channel     string        `yaml:"channel"`      // id, such as C0123456789, or #name
	WebhookURL  engine.Secret `yaml:"webhook_url"`  // of an incoming webhook
	BaseURL     string        `yaml:"base_url"`     // of Slack's Web API
	IncidentURL string        `yaml:"incident_url"` // a link to an incident, with {id} in it; "" shows none
	TLS         notify.TLS    `yaml:"tls"`
}

// DefaultConfig lacks a token or webhook.
func DefaultConfig() Config { return Config{BaseURL: "https://slack.com/api"} }

// Validate reports every setting that cannot work.
func (c Config) Validate() error {
	var errs []error
	switch {
	case c.WebhookURL == "" && c.Token == "":
		errs = append(errs, errors.New("token: neither it nor webhook_url is set"))
	case c.WebhookURL != "" && c.Token != "":
		errs = append(errs, errors.New("token: it and webhook_url exclude each other"))
	case c.WebhookURL != "":
		if err := notify.CheckURL(c.WebhookURL.Reveal()); err != nil {
			errs = append(errs, fmt.Errorf("webhook_url: %w", err))
		}
	default:
		if c.Channel == "" || len(c.Channel) > 100 {
			errs = append(errs, errors.New("channel: must be the id or #name of a channel"))
		}
		if strings.ContainsAny(c.Token.Reveal(), " \r\n\t") {
			errs = append(errs, errors.New("token: holds white space"))
		}
		if err := notify.CheckURL(c.BaseURL); err != nil {
			errs = append(errs, fmt.Errorf("base_url: %w", err))
		}
	}
	if c.IncidentURL != "" && (notify.CheckURL(c.IncidentURL) != nil || !strings.Contains(c.IncidentURL, incidentMark)) {
		errs = append(errs, errors.New("incident_url: must be an http or https URL with {id} in it"))
	}
	return errors.Join(errs...)
}
