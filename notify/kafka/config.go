package kafka

import (
	"errors"
	"fmt"
	"net"
	"regexp"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/notify"
)

// The mechanisms of SASL.
const (
	MechanismPlain       = "plain"
	MechanismScramSHA256 = "scram-sha-256"
	MechanismScramSHA512 = "scram-sha-512"
)

// Config is which topic of which cluster is written to.
type Config struct {
	Brokers []string `yaml:"brokers"` // host:port, some of the cluster's
	Topic   string   `yaml:"topic"`
	TLS     TLS      `yaml:"tls"`
	SASL    SASL     `yaml:"sasl"`
}

// TLS is whether and how connections are encrypted.
type TLS struct {
	Enabled    bool `yaml:"enabled"`
	notify.TLS `yaml:",inline"`
}

// SASL is who we are.
type SASL struct {
	Mechanism string        `yaml:"mechanism"` // plain, scram-sha-256 or scram-sha-512; "" is nobody
	Username  string        `yaml:"username"`
	Password  engine.Secret `yaml:"password"`
}

// DefaultConfig lacks brokers.
func DefaultConfig() Config { return Config{Brokers: []string{}, Topic: "incident.alerts"} }

var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// Validate reports every setting that cannot work.
func (c Config) Validate() error {
	var errs []error
	if len(c.Brokers) == 0 {
		errs = append(errs, errors.New("brokers: is empty"))
	}
	for _, b := range c.Brokers {
		if _, _, err := net.SplitHostPort(b); err != nil {
			errs = append(errs, fmt.Errorf("brokers: %q is not host:port", b))
		}
	}
	if !topicName.MatchString(c.Topic) || c.Topic == "." || c.Topic == ".." {
		errs = append(errs, fmt.Errorf("topic: %q is no name of a topic", c.Topic))
	}
	if _, err := c.SASL.mechanism(); err != nil {
		errs = append(errs, err)
	}
	if c.SASL.Mechanism == MechanismPlain && !c.TLS.Enabled {
		errs = append(errs, errors.New("sasl: plain sends the password as it is; enable tls or use scram"))
	}
	return errors.Join(errs...)
}

func (s SASL) mechanism() (sasl.Mechanism, error) {
	if s.Mechanism != "" && (s.Username == "" || s.Password == "") {
		return nil, fmt.Errorf("sasl: %s needs username and password", s.Mechanism)
	}
	switch s.Mechanism {
	case "":
		if s.Username != "" || s.Password != "" {
			return nil, errors.New("sasl: there is a username or password and no mechanism")
		}
		return nil, nil
	case MechanismPlain:
		return plain.Mechanism{Username: s.Username, Password: s.Password.Reveal()}, nil
	case MechanismScramSHA256:
		return scram.Mechanism(scram.SHA256, s.Username, s.Password.Reveal())
	case MechanismScramSHA512:
		return scram.Mechanism(scram.SHA512, s.Username, s.Password.Reveal())
	}
	return nil, fmt.Errorf("sasl.mechanism: %q is none of plain, scram-sha-256, scram-sha-512", s.Mechanism)
}
