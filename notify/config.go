package notify

import (
	"errors"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// The types of receiver, one a package below this one.
const (
	TypeWebhook   = "webhook"
	TypePagerDuty = "pagerduty"
	TypeSlack     = "slack"
	TypeTicket    = "ticket"
	TypeKafka     = "kafka"
	TypeRabbitMQ  = "rabbitmq"
	TypeOTLPLog   = "otlplog"
)

var types = []string{TypeWebhook, TypePagerDuty, TypeSlack, TypeTicket, TypeKafka, TypeRabbitMQ, TypeOTLPLog}

// Config says who is told of what, and when.
type Config struct {
	PollInterval time.Duration `yaml:"poll_interval"` // how often the outbox is looked at when nobody wakes the dispatcher
	DrainTimeout time.Duration `yaml:"drain_timeout"` // for deliveries under way when the service stops
	Retry        Retry         `yaml:"retry"`

	Receivers        []Receiver `yaml:"receivers"`
	DefaultReceivers []string   `yaml:"default_receivers"` // of alerts that no route matches
	Routes           []Route    `yaml:"routes"`            // tried in order
	Mutes            []Mute     `yaml:"mutes"`             // windows that routes name
}

// Retry is how a delivery that failed is tried again: after Initial, then after twice as long each time up to Max, less a
// random part of up to a half.
type Retry struct {
	Initial     time.Duration `yaml:"initial"`
	Max         time.Duration `yaml:"max"`
	MaxAttempts int           `yaml:"max_attempts"` // then it is a dead letter
}

// Receiver is somebody who can be told.
type Receiver struct {
	Name string `yaml:"name"`
	Type string `yaml:"type"`
	// GroupInterval is the least time between two messages about one incident: of what happens meanwhile only the latest is
	// sent. 0 sends everything.
	GroupInterval time.Duration `yaml:"group_interval"`
	Concurrency   int           `yaml:"concurrency"` // deliveries at once; 0 is 4
	Timeout       time.Duration `yaml:"timeout"`     // of one attempt; 0 is 10s
	Settings      Settings      `yaml:"settings"`    // as the type wants them
}

// What a receiver that does not say otherwise has.
const (
	defaultConcurrency = 4
	defaultTimeout     = 10 * time.Second
)

// Route sends the alerts that match to its receivers. The first route that matches is the last one that is looked at,
// unless it says continue. A route without receivers drops what it matches.
type Route struct {
	Match     Match        `yaml:"match"`
	Receivers []string     `yaml:"receivers"`
	Continue  bool         `yaml:"continue"` // look at the routes after it too
	Mute      []string     `yaml:"mute"`     // names of windows in which nothing is sent
	Escalate  []Escalation `yaml:"escalate"`
}

// Match selects alerts. Empty fields do not restrict; all that are set must agree.
type Match struct {
	MinSeverity engine.Severity   `yaml:"min_severity"`
	Severities  []engine.Severity `yaml:"severities"`
	Services    []string          `yaml:"services"` // any affected service; * stands for any text, ? for one character
	Types       []string          `yaml:"types"`    // as services
	Changes     []string          `yaml:"changes"`  // raised, raised again, reclassified, explained, acknowledged, resolved
}

// Escalation tells further receivers of an incident that is still open, which is neither acknowledged nor resolved, a while
// after it was raised. From then on they are told of what happens to it as well.
type Escalation struct {
	After     time.Duration `yaml:"after"` // wall time since the alert was routed
	Receivers []string      `yaml:"receivers"`
}

// Mute is a time window that comes back every week. What would be sent in it waits for its end, and of what waits about one
// incident only the latest is sent then.
type Mute struct {
	Name     string   `yaml:"name"`
	Days     []string `yaml:"days"`      // mon to sun, or ranges such as mon-fri; empty is every day
	Hours    string   `yaml:"hours"`     // such as "22:00-06:00", which belongs to the day it begins on; "" is the whole day
	TimeZone string   `yaml:"time_zone"` // an IANA name; "" is UTC
}

// DefaultConfig tells nobody.
func DefaultConfig() Config {
	return Config{
		PollInterval:     time.Second,
		DrainTimeout:     10 * time.Second,
		Retry:            Retry{Initial: time.Second, Max: 5 * time.Minute, MaxAttempts: 300},
		Receivers:        []Receiver{},
		DefaultReceivers: []string{},
		Routes:           []Route{},
		Mutes:            []Mute{},
	}
}

// Validate reports every setting that cannot work. Verify reports what works but hardly as it was meant, too.
func (c Config) Validate() error {
	var errs []error
	for _, p := range c.Verify() {
		if p.Fatal {
			errs = append(errs, errors.New(p.String()))
		}
	}
	return errors.Join(errs...)
}
