package rabbitmq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/notify"
)

const (
	heartbeat    = 10 * time.Second
	closeTimeout = time.Second
)

// Notifier publishes to one broker. Safe for concurrent use.
type Notifier struct {
	cfg  Config
	amqp amqp091.Config
	turn chan struct{} // held by whoever uses link
	link *link
}

// link is a connection with one channel in confirm mode.
type link struct {
	connection *amqp091.Connection
	channel    *amqp091.Channel
	returned   chan amqp091.Return
}

var _ engine.Notifier = (*Notifier)(nil)

// New makes a Notifier. It does not connect.
func New(cfg Config) (*Notifier, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("rabbitmq: configuration: %w", err)
	}
	trust, err := cfg.TLS.Config()
	if err != nil {
		return nil, fmt.Errorf("rabbitmq: configuration: %w", err)
	}
	properties := amqp091.NewConnectionProperties()
	properties.SetClientConnectionName("llm-sentinel notify")
	return &Notifier{
		cfg: cfg, turn: make(chan struct{}, 1),
		amqp: amqp091.Config{TLSClientConfig: trust, Heartbeat: heartbeat, Properties: properties},
	}, nil
}

// Notify implements engine.Notifier.
func (n *Notifier) Notify(ctx context.Context, a engine.Alert) error {
	m := notify.MessageOf(a)
	body, err := json.Marshal(m)
	if err != nil {
		return engine.Permanent(fmt.Errorf("rabbitmq: encode alert %s: %w", a.ID, err))
	}
	queue := n.cfg.NormalQueue
	if m.Severity.Rank() >= engine.SeverityHigh.Rank() {
		queue = n.cfg.HighQueue
	}
	select {
	case n.turn <- struct{}{}:
		defer func() { <-n.turn }()
	case <-ctx.Done():
		return fmt.Errorf("rabbitmq: publish alert %s: wait for one's turn: %w", m.AlertID, ctx.Err())
	}
	err = n.publish(ctx, queue, amqp091.Publishing{
		MessageId: m.AlertID, Type: "alert", AppId: "llm-sentinel", Timestamp: m.Timestamp,
		ContentType: "application/json", ContentEncoding: "utf-8", DeliveryMode: amqp091.Persistent, Body: body,
	})
	if err != nil {
		return fmt.Errorf("rabbitmq: publish alert %s to %s: %w", m.AlertID, queue, err)
	}
	return nil
}

// errReturned says that the broker has no queue for the message. Somebody may still make one.
var errReturned = errors.New("no queue takes it")

// publish sends one message and waits for the broker's word on it.
func (n *Notifier) publish(ctx context.Context, queue string, p amqp091.Publishing) error {
	l, err := n.connected(ctx)
	if err != nil {
		return err
	}
	confirmation, err := l.channel.PublishWithDeferredConfirmWithContext(ctx, n.cfg.Exchange, queue, true, false, p)
	if err != nil {
		n.drop()
		return err
	}
	acked, err := confirmation.WaitContext(ctx)
	switch {
	case err != nil:
		// A late word on this message would be taken for one on the next.
		n.drop()
		return fmt.Errorf("wait for the broker's confirmation: %w", err)
	case !acked && l.channel.IsClosed():
		n.drop()
		return errors.New("the connection broke before the broker's confirmation")
	case !acked:
		return errors.New("the broker did not take it")
	}
	select {
	case r := <-l.returned: // which comes before the confirmation
		return fmt.Errorf("%w: %d %s", errReturned, r.ReplyCode, r.ReplyText)
	default:
		return nil
	}
}

// connected returns the link, opened anew where it is needed.
func (n *Notifier) connected(ctx context.Context) (*link, error) {
	if n.link != nil && !n.link.channel.IsClosed() {
		return n.link, nil
	}
	n.drop()
	cfg := n.amqp
	cfg.Dial = func(network, address string) (net.Conn, error) {
		connection, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if deadline, ok := ctx.Deadline(); ok { // of the handshake; the client clears it
			if err := connection.SetDeadline(deadline); err != nil {
				return nil, errors.Join(err, connection.Close())
			}
		}
		return connection, nil
	}
	connection, err := amqp091.DialConfig(n.cfg.URL.Reveal(), cfg)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", n.hide(err))
	}
	n.link = &link{connection: connection}
	l := n.link
	if l.channel, err = connection.Channel(); err == nil {
		l.returned = l.channel.NotifyReturn(make(chan amqp091.Return, 1))
		err = l.channel.Confirm(false)
	}
	for _, queue := range []string{n.cfg.HighQueue, n.cfg.NormalQueue} {
		if err == nil && n.cfg.DeclareQueues {
			_, err = l.channel.QueueDeclare(queue, true, false, false, false, nil)
		}
	}
	if err != nil {
		n.drop()
		return nil, fmt.Errorf("open: %w", err)
	}
	return l, nil
}

// hide keeps the password out of an error.
func (n *Notifier) hide(err error) error {
	uri, parseErr := amqp091.ParseURI(n.cfg.URL.Reveal())
	if parseErr == nil && uri.Password != "" && strings.Contains(err.Error(), uri.Password) {
		return errors.New(strings.ReplaceAll(err.Error(), uri.Password, "***"))
	}
	return err
}

// drop closes the link, whatever state it is in.
func (n *Notifier) drop() {
	if n.link == nil {
		return
	}
	_ = n.link.connection.CloseDeadline(time.Now().Add(closeTimeout)) // it is given up in any case
	n.link = nil
}

// Close ends the connection.
func (n *Notifier) Close() error {
	n.turn <- struct{}{}
	defer func() { <-n.turn }()
	n.drop()
	return nil
}
