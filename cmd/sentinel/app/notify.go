package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/notify"
	"github.com/llm-sentinel/llm-sentinel/notify/kafka"
	"github.com/llm-sentinel/llm-sentinel/notify/otlplog"
	"github.com/llm-sentinel/llm-sentinel/notify/pagerduty"
	"github.com/llm-sentinel/llm-sentinel/notify/rabbitmq"
	"github.com/llm-sentinel/llm-sentinel/notify/slack"
	"github.com/llm-sentinel/llm-sentinel/notify/ticket"
	"github.com/llm-sentinel/llm-sentinel/notify/webhook"
)

// sender delivers to one receiver.
type sender interface {
	engine.Notifier
	Close() error
}

// opener makes the sender of a receiver whose settings are read.
type opener func(notify.Memo) (sender, error)

// openers reads the settings of each receiver as its type wants them, so that mistakes are told before anything starts.
func openers(cfg *notify.Config) (map[string]opener, error) {
	out := make(map[string]opener, len(cfg.Receivers))
	for i := range cfg.Receivers {
		r := &cfg.Receivers[i]
		open, err := openerOf(r)
		if err != nil {
			return nil, fmt.Errorf("notify: receiver %s: %w", r.Name, err)
		}
		out[r.Name] = open
	}
	return out, nil
}

func openerOf(r *notify.Receiver) (opener, error) {
	switch r.Type {
	case notify.TypeWebhook:
		return settings(r, webhook.DefaultConfig(), func(c webhook.Config, _ notify.Memo) (sender, error) { return webhook.New(c) })
	case notify.TypePagerDuty:
		return settings(r, pagerduty.DefaultConfig(), func(c pagerduty.Config, _ notify.Memo) (sender, error) { return pagerduty.New(c) })
	case notify.TypeSlack:
		return settings(r, slack.DefaultConfig(), func(c slack.Config, memo notify.Memo) (sender, error) { return slack.New(c, memo) })
	case notify.TypeTicket:
		return settings(r, ticket.DefaultConfig(), func(c ticket.Config, _ notify.Memo) (sender, error) { return ticket.New(c) })
	case notify.TypeKafka:
		return settings(r, kafka.DefaultConfig(), func(c kafka.Config, _ notify.Memo) (sender, error) { return kafka.New(c) })
	case notify.TypeRabbitMQ:
		return settings(r, rabbitmq.DefaultConfig(), func(c rabbitmq.Config, _ notify.Memo) (sender, error) { return rabbitmq.New(c) })
	case notify.TypeOTLPLog:
		return settings(r, otlplog.DefaultConfig(), func(c otlplog.Config, _ notify.Memo) (sender, error) { return otlplog.New(c) })
	}
	return nil, fmt.Errorf("there is no type %q", r.Type)
}

// settings reads and checks the settings of one receiver over the defaults of its type.
func settings[C interface{ Validate() error }](r *notify.Receiver, cfg C, open func(C, notify.Memo) (sender, error)) (opener, error) {
	if err := r.Settings.Decode(&cfg); err != nil {
		return nil, err
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return func(memo notify.Memo) (sender, error) { return open(cfg, memo) }, nil
}

// memo keeps what the notify room must remember in the store.
type memo struct{ store Store }

// Get implements notify.Memo.
func (m memo) Get(ctx context.Context, key string) (string, bool, error) {
	value, err := m.store.ReceiverMemo(ctx, memoOwner, key)
	if engine.ErrorCode(err) == engine.CodeNotFound {
		return "", false, nil
	}
	return value, err == nil, err
}

// Put implements notify.Memo.
func (m memo) Put(ctx context.Context, key, value string) error {
	return m.store.SaveReceiverMemo(ctx, memoOwner, key, value)
}

// memoOwner is whose memos they are: the keys of the notify room name their receiver themselves.
const memoOwner = "notify"

// newDispatcher opens the senders and the dispatcher over the store's outbox; nil when nobody is to be told of anything.
func (a *App) newDispatcher() (*notify.Dispatcher, error) {
	if len(a.cfg.Notify.Receivers) == 0 {
		return nil, nil
	}
	open, err := openers(&a.cfg.Notify)
	if err != nil {
		return nil, err
	}
	senders := make(map[string]engine.Notifier, len(open))
	for name, open := range open {
		s, err := open(memo{a.store})
		if err != nil {
			return nil, fmt.Errorf("notify: receiver %s: %w", name, err)
		}
		a.closers = append(a.closers, s.Close)
		senders[name] = s
	}
	return notify.New(a.cfg.Notify, notify.Parts{Outbox: a.store, Incidents: a.store, Memo: memo{a.store}, Senders: senders}, a.log, a.registry)
}

// sendTimeout bounds a single alert to a receiver without a timeout of its own.
const sendTimeout = 10 * time.Second

// SendAlert sends one alert to a receiver of the configuration at once, beside a service that may be running.
func SendAlert(ctx context.Context, cfg Config, receiver string, alert engine.Alert, log *slog.Logger) (err error) {
	i := slices.IndexFunc(cfg.Notify.Receivers, func(r notify.Receiver) bool { return r.Name == receiver })
	if i < 0 {
		return fmt.Errorf("no receiver %q: notify.receivers has %d others", receiver, len(cfg.Notify.Receivers))
	}
	open, err := openerOf(&cfg.Notify.Receivers[i])
	if err != nil {
		return fmt.Errorf("notify: receiver %s: %w", receiver, err)
	}
	store, err := OpenStore(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	s, err := open(memo{store})
	if err != nil {
		return fmt.Errorf("notify: receiver %s: %w", receiver, err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(cfg.Notify.Receivers[i].Timeout, sendTimeout))
	defer cancel()
	if err := s.Notify(ctx, alert); err != nil {
		return fmt.Errorf("notify: receiver %s: %w", receiver, err)
	}
	return nil
}
