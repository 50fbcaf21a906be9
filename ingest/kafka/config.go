package kafka

import (
	"cmp"
	"net"
	"regexp"
	"slices"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// What a topic has unless it says otherwise.
const (
	DefaultTopic = "llm.telemetry"
	DefaultGroup = "sentinel-anomaly"
)

// Encoding says how the messages of a topic are encoded.
type Encoding string

// The encodings. EncodingAuto looks at the first byte of each message.
const (
	EncodingAuto  Encoding = "auto"
	EncodingProto Encoding = "otlp_proto"
	EncodingJSON  Encoding = "otlp_json"
)

// Signal says what the messages of a topic are.
type Signal string

// The signals. SignalAuto tells traces from logs by trying. SignalSecurity is the JSON of security events instead of OTLP.
const (
	SignalAuto     Signal = "auto"
	SignalTraces   Signal = "traces"
	SignalLogs     Signal = "logs"
	SignalSecurity Signal = "security"
)

// Start says where a group begins in a partition of which it has committed nothing.
type Start string

// The starts.
const (
	StartEarliest Start = "earliest"
	StartLatest   Start = "latest"
)

// Mechanism is how a client authenticates by SASL.
type Mechanism string

// The mechanisms.
const (
	MechanismNone        Mechanism = "none"
	MechanismPlain       Mechanism = "plain"
	MechanismScramSHA256 Mechanism = "scram-sha-256"
	MechanismScramSHA512 Mechanism = "scram-sha-512"
)

// Config says what to read from where.
type Config struct {
	Brokers  []string `yaml:"brokers"` // host:port of some; the others are asked for. None switches Kafka off
	ClientID string   `yaml:"client_id"`
	Topics   []Topic  `yaml:"topics"`
	TLS      TLS      `yaml:"tls"`
	SASL     SASL     `yaml:"sasl"`

	MaxMessageBytes int `yaml:"max_message_bytes"` // of one message, before and after its own gzip; larger ones are dead letters
	// Messages that are handed over and not done, over all topics. Their payloads are not kept here, so this bounds what the engine
	// is given, and what comes again after a crash.
	MaxInFlightMessages int `yaml:"max_in_flight_messages"`
	MaxInFlightBytes    int `yaml:"max_in_flight_bytes"`

	CommitInterval time.Duration `yaml:"commit_interval"`
	SessionTimeout time.Duration `yaml:"session_timeout"` // silence after which the broker gives this member's partitions to others
}

// Topic is one topic and how it is read. What is left out has its default.
type Topic struct {
	Name       string   `yaml:"name"`
	Group      string   `yaml:"group"`       // "" is sentinel-anomaly
	Encoding   Encoding `yaml:"encoding"`    // "" is auto
	Signal     Signal   `yaml:"signal"`      // "" is auto
	Start      Start    `yaml:"start"`       // "" is earliest
	DeadLetter string   `yaml:"dead_letter"` // topic; "" is the name with .dlq
}

// TLS says whether and how connections are encrypted. Certificates are always verified.
type TLS struct {
	Enabled    bool   `yaml:"enabled"`
	CAFile     string `yaml:"ca_file"`     // PEM file of the authorities to trust; "" is the system's
	CertFile   string `yaml:"cert_file"`   // PEM files of the client; both or none
	KeyFile    string `yaml:"key_file"`    //
	ServerName string `yaml:"server_name"` // that certificates must have; "" is the host of each broker
}

// SASL is who to authenticate as.
type SASL struct {
	Mechanism    Mechanism     `yaml:"mechanism"`
	Username     string        `yaml:"username"`
	Password     engine.Secret `yaml:"password"`
	PasswordFile string        `yaml:"password_file"` // read at the start instead of password; the end of its line is cut
}

// DefaultConfig reads one topic once brokers are named.
func DefaultConfig() Config {
	return Config{
		Brokers:             []string{},
		ClientID:            "sentinel",
		Topics:              []Topic{Topic{Name: DefaultTopic}.withDefaults()},
		SASL:                SASL{Mechanism: MechanismNone},
		MaxMessageBytes:     16 << 20,
		MaxInFlightMessages: 200_000,
		MaxInFlightBytes:    512 << 20,
		CommitInterval:      time.Second,
		SessionTimeout:      10 * time.Second,
	}
}

// Enabled reports whether brokers are named.
func (c Config) Enabled() bool { return len(c.Brokers) > 0 }

func (t Topic) withDefaults() Topic {
	t.Group = cmp.Or(t.Group, DefaultGroup)
	t.Encoding = cmp.Or(t.Encoding, EncodingAuto)
	t.Signal = cmp.Or(t.Signal, SignalAuto)
	t.Start = cmp.Or(t.Start, StartEarliest)
	t.DeadLetter = cmp.Or(t.DeadLetter, t.Name+".dlq")
	return t
}

// topicName is what Kafka allows.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// Validate reports the first setting that makes no sense.
func (c Config) Validate() error {
	for _, b := range c.Brokers {
		if _, _, err := net.SplitHostPort(b); err != nil {
			return engine.Errorf(engine.CodeInvalid, "kafka: broker %q: want host:port", b)
		}
	}
	if err := c.validateTopics(); err != nil {
		return err
	}
	if err := c.TLS.validate(); err != nil {
		return err
	}
	if err := c.SASL.validate(); err != nil {
		return err
	}
	switch {
	case c.MaxMessageBytes < 1:
		return engine.Errorf(engine.CodeInvalid, "kafka: max_message_bytes is %d, want at least 1", c.MaxMessageBytes)
	case c.MaxInFlightMessages < 1:
		return engine.Errorf(engine.CodeInvalid, "kafka: max_in_flight_messages is %d, want at least 1", c.MaxInFlightMessages)
	case c.MaxInFlightBytes < 1:
		return engine.Errorf(engine.CodeInvalid, "kafka: max_in_flight_bytes is %d, want at least 1", c.MaxInFlightBytes)
	case c.CommitInterval < 10*time.Millisecond:
		return engine.Errorf(engine.CodeInvalid, "kafka: commit_interval is %s, want at least 10ms", c.CommitInterval)
	case c.SessionTimeout < time.Second:
		return engine.Errorf(engine.CodeInvalid, "kafka: session_timeout is %s, want at least 1s", c.SessionTimeout)
	}
	return nil
}

func (c Config) validateTopics() error {
	if c.Enabled() && len(c.Topics) == 0 {
		return engine.Errorf(engine.CodeInvalid, "kafka: topics: name at least one")
	}
	read := map[string]bool{}
	for _, t := range c.Topics {
		if read[t.Name] {
			return engine.Errorf(engine.CodeInvalid, "kafka: topic %s is listed twice", t.Name)
		}
		read[t.Name] = true
	}
	for _, t := range c.Topics {
		t = t.withDefaults()
		switch {
		case !topicName.MatchString(t.Name):
			return engine.Errorf(engine.CodeInvalid, "kafka: topic %q: want 1 to 249 letters, digits, dots, underscores or hyphens", t.Name)
		case !topicName.MatchString(t.DeadLetter):
			return engine.Errorf(engine.CodeInvalid, "kafka: topic %s: dead_letter %q is no name of a topic", t.Name, t.DeadLetter)
		case read[t.DeadLetter]:
			return engine.Errorf(engine.CodeInvalid, "kafka: topic %s: dead_letter %s is read too", t.Name, t.DeadLetter)
		case !slices.Contains([]Encoding{EncodingAuto, EncodingProto, EncodingJSON}, t.Encoding):
			return engine.Errorf(engine.CodeInvalid, "kafka: topic %s: encoding %q is none of auto, otlp_proto, otlp_json", t.Name, t.Encoding)
		case !slices.Contains([]Signal{SignalAuto, SignalTraces, SignalLogs, SignalSecurity}, t.Signal):
			return engine.Errorf(engine.CodeInvalid, "kafka: topic %s: signal %q is none of auto, traces, logs, security", t.Name, t.Signal)
		case t.Signal == SignalSecurity && t.Encoding == EncodingProto:
			return engine.Errorf(engine.CodeInvalid, "kafka: topic %s: security events are JSON and not otlp_proto", t.Name)
		case !slices.Contains([]Start{StartEarliest, StartLatest}, t.Start):
			return engine.Errorf(engine.CodeInvalid, "kafka: topic %s: start %q is none of earliest, latest", t.Name, t.Start)
		}
	}
	return nil
}

func (t TLS) validate() error {
	switch {
	case (t.CertFile == "") != (t.KeyFile == ""):
		return engine.Errorf(engine.CodeInvalid, "kafka: tls: cert_file and key_file belong together")
	case !t.Enabled && t != TLS{}:
		return engine.Errorf(engine.CodeInvalid, "kafka: tls: enabled is false, and the other settings have no effect")
	}
	return nil
}

func (s SASL) validate() error {
	switch s.Mechanism {
	case MechanismNone:
		if s.Username != "" || s.Password != "" || s.PasswordFile != "" {
			return engine.Errorf(engine.CodeInvalid, "kafka: sasl: mechanism is none, and the other settings have no effect")
		}
		return nil
	case MechanismPlain, MechanismScramSHA256, MechanismScramSHA512:
	default:
		return engine.Errorf(engine.CodeInvalid, "kafka: sasl: mechanism %q is none of none, plain, scram-sha-256, scram-sha-512", s.Mechanism)
	}
	if s.Username == "" {
		return engine.Errorf(engine.CodeInvalid, "kafka: sasl: username must be set for mechanism %s", s.Mechanism)
	}
	if (s.Password == "") == (s.PasswordFile == "") {
		return engine.Errorf(engine.CodeInvalid, "kafka: sasl: set one of password and password_file")
	}
	return nil
}
