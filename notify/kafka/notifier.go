package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/segmentio/kafka-go"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/notify"
)

// Notifier writes to one topic. Safe for concurrent use.
type Notifier struct {
	writer    *kafka.Writer
	transport *kafka.Transport
}

var _ engine.Notifier = (*Notifier)(nil)

// New makes a Notifier. It does not connect.
func New(cfg Config) (*Notifier, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("kafka: configuration: %w", err)
	}
	transport := &kafka.Transport{ClientID: "llm-sentinel"}
	var err error
	if transport.SASL, err = cfg.SASL.mechanism(); err != nil {
		return nil, fmt.Errorf("kafka: configuration: %w", err)
	}
	if cfg.TLS.Enabled {
		if transport.TLS, err = cfg.TLS.Config(); err != nil {
			return nil, fmt.Errorf("kafka: configuration: %w", err)
		}
	}
	return &Notifier{
		transport: transport,
		writer: &kafka.Writer{
			Addr: kafka.TCP(cfg.Brokers...), Topic: cfg.Topic, Transport: transport,
			Balancer: kafka.Murmur2Balancer{Consistent: true}, RequiredAcks: kafka.RequireAll,
			BatchSize: 1, AllowAutoTopicCreation: true,
			MaxAttempts: 1, // whoever calls tries again
		},
	}, nil
}

// Notify implements engine.Notifier.
func (n *Notifier) Notify(ctx context.Context, a engine.Alert) error {
	m := notify.MessageOf(a)
	value, err := json.Marshal(m)
	if err != nil {
		return engine.Permanent(fmt.Errorf("kafka: encode alert %s: %w", a.ID, err))
	}
	err = n.writer.WriteMessages(ctx, kafka.Message{
		Key: []byte(m.Fingerprint), Value: value,
		Headers: []kafka.Header{{Key: "alert_id", Value: []byte(m.AlertID)}, {Key: "content-type", Value: []byte("application/json")}},
	})
	if err == nil {
		return nil
	}
	err = fmt.Errorf("kafka: write alert %s to %s: %w", m.AlertID, n.writer.Topic, reason(err))
	if refused(err) {
		return engine.Permanent(err)
	}
	return err
}

// Close ends the connections.
func (n *Notifier) Close() error {
	err := n.writer.Close()
	n.transport.CloseIdleConnections()
	return err
}

// reason is what was wrong with the one message.
func reason(err error) error {
	var each kafka.WriteErrors
	if errors.As(err, &each) {
		for _, err := range each {
			if err != nil {
				return err
			}
		}
	}
	return err
}

// refused reports whether the broker will never take the message. A missing right may be granted, so it is not among them.
func refused(err error) bool {
	var large kafka.MessageTooLargeError
	if errors.As(err, &large) {
		return true
	}
	for _, e := range []kafka.Error{kafka.MessageSizeTooLarge, kafka.RecordListTooLarge, kafka.InvalidTopic, kafka.InvalidRecord} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
