package app

import (
	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/ingest/kafka"
	"github.com/llm-sentinel/llm-sentinel/ingest/rabbitmq"
)

// source is a broker that is read from.
type source interface {
	engine.Source
	Degraded() []engine.Degradation
}

// openSources opens the brokers that the configuration names.
func (a *App) openSources() error {
	if a.cfg.Kafka.Enabled() {
		s, err := kafka.New(a.cfg.Kafka, a.mapper, a.log, a.registry)
		if err != nil {
			return err
		}
		// It commits what is stored, and leaves its group, once the pipeline has drained.
		a.closers = append(a.closers, s.Close)
		a.sources = append(a.sources, s)
	}
	if a.cfg.RabbitMQ.URL != "" {
		s, err := rabbitmq.New(a.cfg.RabbitMQ, a.log, a.registry)
		if err != nil {
			return err
		}
		a.sources = append(a.sources, s)
	}
	return nil
}
