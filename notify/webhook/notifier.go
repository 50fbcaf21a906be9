package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/notify"
)

// Notifier posts alerts to one URL. Safe for concurrent use.
type Notifier struct {
	cfg  Config
	http *notify.HTTP
}

var _ engine.Notifier = (*Notifier)(nil)

// New makes a Notifier. It does not connect.
func New(cfg Config) (*Notifier, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("webhook: configuration: %w", err)
	}
	client, err := notify.NewHTTP(cfg.TLS)
	if err != nil {
		return nil, fmt.Errorf("webhook: configuration: %w", err)
	}
	return &Notifier{cfg: cfg, http: client}, nil
}

// Notify implements engine.Notifier.
func (n *Notifier) Notify(ctx context.Context, a engine.Alert) error {
	m := notify.MessageOf(a)
	body, err := json.Marshal(m)
	if err != nil {
		return engine.Permanent(fmt.Errorf("webhook: encode alert %s: %w", a.ID, err))
	}
	header := http.Header{}
	n.cfg.Headers.Apply(header)
	header.Set("Content-Type", "application/json")
	header.Set(idempotencyHeader, m.AlertID)
	if n.cfg.Secret != "" {
		header.Set(signatureHeader, signature(time.Now(), body, n.cfg.Secret, n.cfg.PreviousSecret))
	}
	answer, err := n.http.Send(ctx, http.MethodPost, n.cfg.URL.Reveal(), header, body)
	if err == nil {
		err = answer.Err()
	}
	if err != nil {
		return fmt.Errorf("webhook: deliver alert %s: %w", m.AlertID, err)
	}
	return nil
}

// Close drops idle connections.
func (n *Notifier) Close() error { return n.http.Close() }

// signature is the value of the header, with one v1 for each secret that is set.
func signature(at time.Time, body []byte, secrets ...engine.Secret) string {
	t := strconv.FormatInt(at.Unix(), 10)
	out := "t=" + t
	for _, secret := range secrets {
		if secret == "" {
			continue
		}
		mac := hmac.New(sha256.New, []byte(secret.Reveal()))
		mac.Write([]byte(t + "."))
		mac.Write(body)
		out += ",v1=" + hex.EncodeToString(mac.Sum(nil))
	}
	return out
}
