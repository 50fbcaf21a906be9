package rabbitmq

import (
	"errors"
	"fmt"

	"github.com/rabbitmq/amqp091-go"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/notify"
)

// Config is which broker is written to, and where.
type Config struct {
	URL           engine.Secret `yaml:"url"` // amqp:// or amqps://, with user, password and virtual host
	TLS           notify.TLS    `yaml:"tls"` // of amqps
	Exchange      string        `yaml:"exchange"`
	HighQueue     string        `yaml:"high_queue"`     // of high and critical incidents
	NormalQueue   string        `yaml:"normal_queue"`   // of the others
	DeclareQueues bool          `yaml:"declare_queues"` // make them, durable, where they are missing
}

// DefaultConfig lacks a URL.
func DefaultConfig() Config {
	return Config{HighQueue: "incidents.high-priority", NormalQueue: "incidents.normal", DeclareQueues: true}
}

const maxName = 255 // of a queue or exchange, by the protocol

// Validate reports every setting that cannot work.
func (c Config) Validate() error {
	var errs []error
	if _, err := amqp091.ParseURI(c.URL.Reveal()); err != nil {
		errs = append(errs, errors.New("url: must be an amqp or amqps URL")) // the error would show it
	}
	for name, value := range map[string]string{"high_queue": c.HighQueue, "normal_queue": c.NormalQueue} {
		if value == "" || len(value) > maxName {
			errs = append(errs, fmt.Errorf("%s: must have 1 to %d bytes", name, maxName))
		}
	}
	if len(c.Exchange) > maxName {
		errs = append(errs, fmt.Errorf("exchange: is longer than %d bytes", maxName))
	}
	return errors.Join(errs...)
}
