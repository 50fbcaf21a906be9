package slack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/notify"
)

// Notifier tells one channel. Safe for concurrent use, as long as what it is told of one incident comes one after the other.
type Notifier struct {
	cfg   Config
	base  string
	memo  notify.Memo
	http  *notify.HTTP
	limit *rate.Limiter
}

var _ engine.Notifier = (*Notifier)(nil)

// New makes a Notifier. The memo is needed with a token only. It does not connect.
func New(cfg Config, memo notify.Memo) (*Notifier, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("slack: configuration: %w", err)
	}
	client, err := notify.NewHTTP(cfg.TLS)
	if err != nil {
		return nil, fmt.Errorf("slack: configuration: %w", err)
	}
	return &Notifier{
		cfg: cfg, base: strings.TrimSuffix(cfg.BaseURL, "/"), memo: memo, http: client,
		limit: rate.NewLimiter(rate.Every(time.Second), 1),
	}, nil
}

// Close drops idle connections.
func (n *Notifier) Close() error { return n.http.Close() }

// Notify implements engine.Notifier.
func (n *Notifier) Notify(ctx context.Context, a engine.Alert) error {
	m := notify.MessageOf(a)
	var err error
	if n.cfg.WebhookURL != "" {
		err = n.announce(ctx, m)
	} else {
		err = n.keepCurrent(ctx, m)
	}
	if err != nil {
		return fmt.Errorf("slack: deliver alert %s: %w", m.AlertID, err)
	}
	return nil
}

// announce posts through an incoming webhook.
func (n *Notifier) announce(ctx context.Context, m notify.Message) error {
	switch m.Change {
	case engine.ChangeRaised, engine.ChangeRaisedAgain, notify.ChangeEscalated, engine.ChangeResolved:
	default:
		return nil
	}
	answer, err := n.send(ctx, n.cfg.WebhookURL.Reveal(), http.Header{}, render(m, n.cfg.IncidentURL))
	if err != nil {
		return err
	}
	return answer.Err()
}

// place is where the message of an incident stands.
type place struct {
	Channel string `json:"channel"`
	TS      string `json:"ts"`
}

// keepCurrent posts the message of an incident or edits the one that there is.
func (n *Notifier) keepCurrent(ctx context.Context, m notify.Message) error {
	key := fmt.Sprintf("slack/%s/%s/%d", n.cfg.Channel, m.IncidentID, m.Raised)
	known, found, err := n.memo.Get(ctx, key)
	if err != nil {
		return fmt.Errorf("look up its message: %w", err)
	}
	out := render(m, n.cfg.IncidentURL)
	if found && m.Change != notify.ChangeEscalated {
		var at place
		if err := json.Unmarshal([]byte(known), &at); err == nil {
			out.Channel, out.TS = at.Channel, at.TS
			_, err := n.call(ctx, "chat.update", out)
			if err == nil || !errors.Is(err, errUneditable) {
				return err
			}
		}
	}
	out.Channel, out.TS = n.cfg.Channel, ""
	at, err := n.call(ctx, "chat.postMessage", out)
	if err != nil {
		return err
	}
	value, err := json.Marshal(at)
	if err == nil {
		err = n.memo.Put(ctx, key, string(value))
	}
	if err != nil {
		return fmt.Errorf("remember its message: %w", err)
	}
	return nil
}

// errUneditable says that a message cannot be edited (any more).
var errUneditable = errors.New("the message cannot be edited")

// Errors of the Web API by what can be done about them; what is not listed is wrong for good.
var (
	uneditable = map[string]bool{"message_not_found": true, "cant_update_message": true, "edit_window_closed": true, "is_inactive": true}
	passing    = map[string]bool{
		"ratelimited": true, "rate_limited": true, "fatal_error": true, "internal_error": true, "service_unavailable": true, "request_timeout": true,
		"team_added_to_org": true, "accesslimited": true, "org_login_required": true,
	}
)

// call calls a method of the Web API, which answers 200 to most of what it refuses.
func (n *Notifier) call(ctx context.Context, method string, m message) (place, error) {
	header := http.Header{"Authorization": {"Bearer " + n.cfg.Token.Reveal()}}
	answer, err := n.send(ctx, n.base+"/"+method, header, m)
	if err != nil {
		return place{}, err
	}
	if err := answer.Err(); err != nil {
		return place{}, fmt.Errorf("%s: %w", method, err)
	}
	var reply struct {
		OK    bool   `json:"ok"`
		Error string `json:"error"`
		place
	}
	if err := json.Unmarshal(answer.Body, &reply); err != nil {
		return place{}, fmt.Errorf("%s: the answer is not of Slack's Web API: %w", method, err)
	}
	switch {
	case reply.OK && reply.TS != "":
		return reply.place, nil
	case reply.OK:
		return place{}, fmt.Errorf("%s: the answer names no message", method)
	case uneditable[reply.Error]:
		return place{}, fmt.Errorf("%s: %w: %s", method, errUneditable, reply.Error)
	case passing[reply.Error]:
		return place{}, notify.Later(fmt.Errorf("%s: %s", method, reply.Error), answer.RetryAfter())
	}
	return place{}, engine.Permanent(fmt.Errorf("%s: %s", method, reply.Error))
}

// send keeps the channel's rate.
func (n *Notifier) send(ctx context.Context, address string, header http.Header, m message) (*notify.Answer, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, engine.Permanent(fmt.Errorf("encode: %w", err))
	}
	if err := n.limit.Wait(ctx); err != nil {
		return nil, fmt.Errorf("wait for one's turn in the channel: %w", err)
	}
	header.Set("Content-Type", "application/json; charset=utf-8")
	return n.http.Send(ctx, http.MethodPost, address, header, body)
}
