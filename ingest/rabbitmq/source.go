package rabbitmq

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/client_golang/prometheus"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Source reads the queues of one broker, an [engine.Source].
type Source struct {
	cfg     Config
	queues  []queue
	tls     *tls.Config
	log     *slog.Logger
	metrics *metrics
	origins *origins

	mu   sync.Mutex
	down *engine.Degradation // nil while the queues are read, and before Run
}

var _ engine.Source = (*Source)(nil)

// New makes a source; it does not connect. It fails on a configuration that makes no sense and on TLS files that cannot be read.
func New(cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Source, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Source{cfg: cfg, queues: cfg.queues(), log: log.With("component", "ingest/rabbitmq")}
	s.origins = newOrigins(2 * cfg.Prefetch * len(s.queues))
	var err error
	if s.tls, err = cfg.TLS.load(); err != nil {
		return nil, err
	}
	if s.metrics, err = newMetrics(s.queues, reg); err != nil {
		return nil, err
	}
	return s, nil
}

func (c TLSConfig) load() (*tls.Config, error) {
	out := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("rabbitmq: read tls.ca_file: %w", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, engine.Errorf(engine.CodeInvalid, "rabbitmq: tls.ca_file %s holds no PEM certificate", c.CAFile)
		}
	}
	if c.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("rabbitmq: load tls.cert_file %s: %w", c.CertFile, err)
		}
		out.Certificates = []tls.Certificate{cert}
	}
	return out, nil
}

// Run reads until ctx ends, and connects again whenever the broker is away. It returns nil once the batches under way are settled or
// the drain timeout has passed; what is not settled by then comes again from the broker.
func (s *Source) Run(ctx context.Context, next engine.Sink) error {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = s.cfg.ReconnectMin, s.cfg.ReconnectMax
	for {
		began := time.Now()
		err := s.read(ctx, next)
		s.metrics.connected.Set(0)
		if ctx.Err() != nil {
			s.setDown("")
			return nil //nolint:nilerr // reading ended because it was to end
		}
		s.setDown(err.Error())
		if time.Since(began) > s.cfg.ReconnectMax {
			pauses.Reset()
		}
		pause := pauses.NextBackOff()
		s.log.Warn("not connected", "broker", s.cfg.address(), "error", err, "again_in", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			s.setDown("")
			return nil
		}
	}
}

// read connects, reads until the connection breaks or ctx ends, and closes it.
func (s *Source) read(ctx context.Context, next engine.Sink) error {
	conn, err := s.dial(ctx)
	if err != nil {
		s.metrics.connections.WithLabelValues(failed).Inc()
		return err
	}
	defer func() { _ = conn.CloseDeadline(time.Now().Add(s.cfg.Timeout)) }()
	x, err := s.open(conn)
	if err != nil {
		s.metrics.connections.WithLabelValues(failed).Inc()
		return err
	}
	s.metrics.connections.WithLabelValues(opened).Inc()
	s.metrics.connected.Set(1)
	s.setDown("")
	s.log.Info("connected", "broker", s.cfg.address(), "queues", len(s.queues))
	if err = x.run(ctx, next); err != nil {
		s.metrics.connections.WithLabelValues(lost).Inc()
	}
	return err
}

func (s *Source) dial(ctx context.Context) (*amqp.Connection, error) {
	var stop func() bool
	conn, err := amqp.DialConfig(s.cfg.URL.Reveal(), amqp.Config{
		Heartbeat:       s.cfg.Heartbeat,
		TLSClientConfig: s.tls.Clone(),
		Properties:      amqp.Table{"connection_name": "sentinel", "product": "sentinel"},
		Dial: func(network, addr string) (net.Conn, error) {
			d := net.Dialer{Timeout: s.cfg.Timeout}
			c, err := d.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			// The client lifts the deadline once the handshake is done.
			if err := c.SetDeadline(time.Now().Add(s.cfg.Timeout)); err != nil {
				return nil, errors.Join(err, c.Close())
			}
			stop = context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
			return c, nil
		},
	})
	if stop != nil && !stop() && err == nil {
		_ = conn.CloseDeadline(time.Now())
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("rabbitmq: connect to %s: %w", s.cfg.address(), err)
	}
	return conn, nil
}

// setDown notes why the queues are not read, "" that they are.
func (s *Source) setDown(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case reason == "":
		s.down = nil
	case s.down == nil:
		s.down = &engine.Degradation{Part: "rabbitmq", Since: time.Now(), Reason: reason}
	default:
		s.down.Reason = reason
	}
}

// Degraded tells while the broker is away.
func (s *Source) Degraded() []engine.Degradation {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down == nil {
		return nil
	}
	return []engine.Degradation{*s.down}
}
