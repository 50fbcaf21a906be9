package ticket

import (
	"context"
	"fmt"
	"net/http"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/notify"
)

// Notifier files alerts with one system. Safe for concurrent use.
type Notifier struct {
	cfg       Config
	templates *templates
	http      *notify.HTTP
}

var _ engine.Notifier = (*Notifier)(nil)

// New makes a Notifier. It tries the templates and does not connect.
func New(cfg Config) (*Notifier, error) {
	t, err := cfg.compile()
	if err != nil {
		return nil, fmt.Errorf("ticket: configuration: %w", err)
	}
	client, err := notify.NewHTTP(cfg.TLS)
	if err != nil {
		return nil, fmt.Errorf("ticket: configuration: %w", err)
	}
	return &Notifier{cfg: cfg, templates: t, http: client}, nil
}

// Notify implements engine.Notifier.
func (n *Notifier) Notify(ctx context.Context, a engine.Alert) error {
	m := notify.MessageOf(a)
	address, err := n.templates.address(m)
	if err != nil {
		return engine.Permanent(fmt.Errorf("ticket: alert %s: %w", m.AlertID, err))
	}
	body, err := n.templates.text(m)
	if err != nil {
		return engine.Permanent(fmt.Errorf("ticket: alert %s: %w", m.AlertID, err))
	}
	header := http.Header{}
	n.cfg.Headers.Apply(header)
	header.Set("Content-Type", n.cfg.ContentType)
	header.Set(idempotencyHeader, m.AlertID)
	answer, err := n.http.Send(ctx, n.cfg.Method, address, header, body)
	if err == nil {
		err = answer.Err()
	}
	if err != nil {
		return fmt.Errorf("ticket: deliver alert %s: %w", m.AlertID, err)
	}
	return nil
}

// Close drops idle connections.
func (n *Notifier) Close() error { return n.http.Close() }
