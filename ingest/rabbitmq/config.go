package rabbitmq

import (
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Config says which broker and queues to read.
type Config struct {
	URL           engine.Secret `yaml:"url"`            // amqp:// or amqps:// with user, password and virtual host
	SecurityQueue string        `yaml:"security_queue"` // "" reads none
	GatewayQueue  string        `yaml:"gateway_queue"`  // "" reads none

	Prefetch        int `yaml:"prefetch"`          // messages of one queue that may be unacknowledged
	MaxPriority     int `yaml:"max_priority"`      // of a queue that is declared here; one that exists stays as it is
	BatchEvents     int `yaml:"batch_events"`      // most events of one batch
	MaxMessageBytes int `yaml:"max_message_bytes"` // a longer message is a dead letter

	BatchWait    time.Duration `yaml:"batch_wait"`    // how long the first event of a batch waits for more
	RetryPause   time.Duration `yaml:"retry_pause"`   // before a batch that failed is returned to its queue
	ReconnectMin time.Duration `yaml:"reconnect_min"` // first pause before connecting again; it grows from there
	ReconnectMax time.Duration `yaml:"reconnect_max"`
	Timeout      time.Duration `yaml:"timeout"` // for a connection to open, and for the broker to confirm a dead letter
	Heartbeat    time.Duration `yaml:"heartbeat"`
	DrainTimeout time.Duration `yaml:"drain_timeout"` // for batches under way when the source stops

	TLS TLSConfig `yaml:"tls"` // with amqps:// only
}

// TLSConfig names PEM files. Without a CA file the system's authorities are trusted.
type TLSConfig struct {
	CAFile     string `yaml:"ca_file"`
	CertFile   string `yaml:"cert_file"` // of the client; both or none
	KeyFile    string `yaml:"key_file"`
	ServerName string `yaml:"server_name"` // "" is the host of the URL
}

// DefaultConfig reads both queues of the platform. It has no URL: without one nothing is read.
func DefaultConfig() Config {
	return Config{
		SecurityQueue:   "security.events",
		GatewayQueue:    "gateway.events",
		Prefetch:        256,
		MaxPriority:     10,
		BatchEvents:     128,
		MaxMessageBytes: 256 << 10,
		BatchWait:       20 * time.Millisecond,
		RetryPause:      time.Second,
		ReconnectMin:    500 * time.Millisecond,
		ReconnectMax:    30 * time.Second,
		Timeout:         10 * time.Second,
		Heartbeat:       10 * time.Second,
		DrainTimeout:    10 * time.Second,
	}
}

// Validate names the first setting that makes no sense. It never repeats the URL, which holds a password.
func (c Config) Validate() error {
	uri, err := amqp.ParseURI(c.URL.Reveal())
	if err != nil {
		return engine.Errorf(engine.CodeInvalid, "rabbitmq: url: want amqp://user:password@host:port/vhost or amqps://")
	}
	for _, p := range []struct {
		name         string
		value, least float64
		most         float64
	}{
		{"prefetch", float64(c.Prefetch), 1, 65_535},
		{"max_priority", float64(c.MaxPriority), 1, 255},
		{"batch_events", float64(c.BatchEvents), 1, 65_535},
		{"max_message_bytes", float64(c.MaxMessageBytes), 1, 16 << 20},
		{"batch_wait", c.BatchWait.Seconds(), 0, 60},
		{"retry_pause", c.RetryPause.Seconds(), 0.001, 3600},
		{"reconnect_min", c.ReconnectMin.Seconds(), 0.001, 3600},
		{"reconnect_max", c.ReconnectMax.Seconds(), c.ReconnectMin.Seconds(), 3600},
		{"timeout", c.Timeout.Seconds(), 0.001, 3600},
		{"heartbeat", c.Heartbeat.Seconds(), 1, 3600},
		{"drain_timeout", c.DrainTimeout.Seconds(), 0, 3600},
	} {
		if !(p.value >= p.least && p.value <= p.most) {
			return engine.Errorf(engine.CodeInvalid, "rabbitmq: %s must be from %v to %v, is %v", p.name, p.least, p.most, p.value)
		}
	}
	switch {
	case c.SecurityQueue == "" && c.GatewayQueue == "":
		return engine.Errorf(engine.CodeInvalid, "rabbitmq: security_queue and gateway_queue are both empty")
	case c.SecurityQueue == c.GatewayQueue:
		return engine.Errorf(engine.CodeInvalid, "rabbitmq: security_queue and gateway_queue are both %s", c.SecurityQueue)
	case (c.TLS.CertFile == "") != (c.TLS.KeyFile == ""):
		return engine.Errorf(engine.CodeInvalid, "rabbitmq: tls.cert_file and tls.key_file belong together")
	case c.TLS != (TLSConfig{}) && uri.Scheme != "amqps":
		return engine.Errorf(engine.CodeInvalid, "rabbitmq: tls is for amqps://, the url is %s://", uri.Scheme)
	}
	return nil
}

// queue is one queue to read and how its messages are understood.
type queue struct {
	name    string
	dialect dialect
}

func (q queue) dead() string { return q.name + ".dead" }

func (c Config) queues() []queue {
	var out []queue
	if c.SecurityQueue != "" {
		out = append(out, queue{c.SecurityQueue, guardEvents})
	}
	if c.GatewayQueue != "" {
		out = append(out, queue{c.GatewayQueue, gatewayEvents})
	}
	return out
}

// address names the broker in logs and errors, without credentials.
func (c Config) address() string {
	uri, err := amqp.ParseURI(c.URL.Reveal())
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%s:%d", uri.Host, uri.Port)
}
