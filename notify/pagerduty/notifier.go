package pagerduty

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/notify"
)

const (
	routingKeyLength = 32
	maxSummary       = 1024 // characters
	maxDedupKey      = 255
	incidentMark     = "{id}"
)

// Config is which service of PagerDuty is paged.
type Config struct {
	RoutingKey  engine.Secret `yaml:"routing_key"`  // 32 characters: the integration key of an Events API v2 integration
	BaseURL     string        `yaml:"base_url"`     // https://events.eu.pagerduty.com in the EU
	IncidentURL string        `yaml:"incident_url"` // a link to an incident, with {id} in it; "" shows none
	TLS         notify.TLS    `yaml:"tls"`
}

// DefaultConfig lacks a routing key.
func DefaultConfig() Config { return Config{BaseURL: "https://events.pagerduty.com"} }

// Validate reports every setting that cannot work.
func (c Config) Validate() error {
	var errs []error
	if len(c.RoutingKey) != routingKeyLength {
		errs = append(errs, fmt.Errorf("routing_key: has %d characters, want %d", len(c.RoutingKey), routingKeyLength))
	}
	if err := notify.CheckURL(c.BaseURL); err != nil {
		errs = append(errs, fmt.Errorf("base_url: %w", err))
	}
	if c.IncidentURL != "" && (notify.CheckURL(c.IncidentURL) != nil || !strings.Contains(c.IncidentURL, incidentMark)) {
		errs = append(errs, errors.New("incident_url: must be an http or https URL with {id} in it"))
	}
	return errors.Join(errs...)
}

// Notifier sends events to one service. Safe for concurrent use.
type Notifier struct {
	cfg  Config
	url  string
	http *notify.HTTP
}

var _ engine.Notifier = (*Notifier)(nil)

// New makes a Notifier. It does not connect.
func New(cfg Config) (*Notifier, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("pagerduty: configuration: %w", err)
	}
	client, err := notify.NewHTTP(cfg.TLS)
	if err != nil {
		return nil, fmt.Errorf("pagerduty: configuration: %w", err)
	}
	return &Notifier{cfg: cfg, url: strings.TrimSuffix(cfg.BaseURL, "/") + "/v2/enqueue", http: client}, nil
}

// event is a request of the Events API v2.
type event struct {
	RoutingKey string   `json:"routing_key"`
	Action     string   `json:"event_action"`
	DedupKey   string   `json:"dedup_key"`
	Payload    *payload `json:"payload,omitempty"` // of a trigger
	Client     string   `json:"client,omitempty"`
	ClientURL  string   `json:"client_url,omitempty"`
	Links      []link   `json:"links,omitempty"`
}

type payload struct {
	Summary   string         `json:"summary"`
	Source    string         `json:"source"`
	Severity  string         `json:"severity"`
	Timestamp string         `json:"timestamp"`
	Class     string         `json:"class,omitempty"`
	Details   notify.Message `json:"custom_details"`
}

type link struct {
	Href string `json:"href"`
	Text string `json:"text"`
}

// severities maps ours to the four that PagerDuty knows.
var severities = map[engine.Severity]string{
	engine.SeverityCritical: "critical", engine.SeverityHigh: "error", engine.SeverityMedium: "warning", engine.SeverityLow: "info",
}

// Notify implements engine.Notifier.
func (n *Notifier) Notify(ctx context.Context, a engine.Alert) error {
	m := notify.MessageOf(a)
	body, err := json.Marshal(n.event(m))
	if err != nil {
		return engine.Permanent(fmt.Errorf("pagerduty: encode alert %s: %w", a.ID, err))
	}
	answer, err := n.http.Send(ctx, http.MethodPost, n.url, http.Header{"Content-Type": {"application/json"}}, body)
	if err == nil {
		err = answer.Err()
	}
	if err != nil {
		return fmt.Errorf("pagerduty: deliver alert %s: %w", m.AlertID, err)
	}
	return nil
}

// Close drops idle connections.
func (n *Notifier) Close() error { return n.http.Close() }

func (n *Notifier) event(m notify.Message) event {
	e := event{RoutingKey: n.cfg.RoutingKey.Reveal(), Action: "trigger", DedupKey: cut(m.IncidentID, maxDedupKey)}
	switch {
	case m.Status == engine.StatusResolved:
		e.Action = "resolve"
		return e
	case m.Change == engine.ChangeAcknowledged:
		e.Action = "acknowledge"
		return e
	}
	source := "llm-sentinel"
	if len(m.AffectedServices) > 0 {
		source = m.AffectedServices[0]
	}
	e.Payload = &payload{
		Summary:   cut(fmt.Sprintf("[%s] %s", m.Severity, cmp.Or(m.Title, string(m.AnomalyType))), maxSummary),
		Source:    source,
		Severity:  cmp.Or(severities[m.Severity], "error"),
		Timestamp: m.Timestamp.Format(time.RFC3339Nano),
		Class:     string(m.AnomalyType),
		Details:   m,
	}
	e.Client = "LLM-Sentinel"
	if n.cfg.IncidentURL != "" {
		e.ClientURL = strings.ReplaceAll(n.cfg.IncidentURL, incidentMark, url.PathEscape(m.IncidentID))
		e.Links = []link{{Href: e.ClientURL, Text: "Incident " + m.IncidentID}}
	}
	return e
}

// cut bounds a text to n characters.
func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
