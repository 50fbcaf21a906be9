package rabbitmq

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/deploy/stack/stacktest"
	"github.com/llm-sentinel/llm-sentinel/engine"
)

// limit is generous: the machine may be busy, and nothing waits this long when all is well.
const limit = 60 * time.Second

// world is a broker with two queues of the test's own, and a publisher.
type world struct {
	t   *testing.T
	cfg Config
	url string // of the publisher, never behind a proxy

	conn    *amqp.Connection
	channel *amqp.Channel
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return worldAt(t, stacktest.Require(t, "SENTINEL_TEST_RABBITMQ"))
}

func worldAt(t *testing.T, url string) *world {
	t.Helper()
	name := "test-" + uuid.NewString()
	w := &world{t: t, url: url, cfg: DefaultConfig()}
	w.cfg.URL = engine.Secret(url)
	w.cfg.SecurityQueue, w.cfg.GatewayQueue = name+".security", name+".gateway"
	w.cfg.RetryPause, w.cfg.ReconnectMin, w.cfg.ReconnectMax = 50*time.Millisecond, 20*time.Millisecond, 200*time.Millisecond
	w.connect()
	t.Cleanup(func() {
		for _, q := range w.cfg.queues() {
			for _, name := range []string{q.name, q.dead()} {
				_, err := w.channel.QueueDelete(name, false, false, false)
				require.NoError(t, err)
			}
		}
		w.disconnect()
	})
	return w
}

func (w *world) connect() {
	w.t.Helper()
	var err error
	w.conn, err = amqp.Dial(w.url)
	require.NoError(w.t, err)
	w.channel, err = w.conn.Channel()
	require.NoError(w.t, err)
	require.NoError(w.t, w.channel.Confirm(false))
}

func (w *world) disconnect() { _ = w.conn.Close() }

// declare makes the security queue before the source does.
func (w *world) declare(args amqp.Table) {
	w.t.Helper()
	_, err := w.channel.QueueDeclare(w.cfg.SecurityQueue, true, false, false, false, args)
	require.NoError(w.t, err)
}

func (w *world) publish(queue string, m amqp.Publishing) {
	w.t.Helper()
	m.DeliveryMode = amqp.Persistent
	confirmed, err := w.channel.PublishWithDeferredConfirm("", queue, false, false, m)
	require.NoError(w.t, err)
	ok, err := confirmed.WaitContext(w.t.Context())
	require.NoError(w.t, err)
	require.True(w.t, ok)
}

// send publishes events to the security queue.
func (w *world) send(bodies ...string) {
	w.t.Helper()
	for _, body := range bodies {
		w.publish(w.cfg.SecurityQueue, amqp.Publishing{Body: []byte(body)})
	}
}

// ready is how many messages of a queue wait for a consumer.
func (w *world) ready(queue string) int {
	w.t.Helper()
	q, err := w.channel.QueueDeclarePassive(queue, true, false, false, false, nil)
	require.NoError(w.t, err)
	return q.Messages
}

func (w *world) eventually(what string, holds func() bool) {
	w.t.Helper()
	require.Eventually(w.t, holds, limit, 5*time.Millisecond, what)
}

func (w *world) source() *Source {
	w.t.Helper()
	s, err := New(w.cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	require.NoError(w.t, err)
	return s
}

// run lets a source read into a sink until stop is called or the test ends.
func (w *world) run(s *Source, next engine.Sink) (stop func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, next) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			require.NoError(w.t, err)
		case <-time.After(limit):
			require.Fail(w.t, "the source does not stop")
		}
	})
	w.t.Cleanup(stop)
	return stop
}

// sink takes batches and keeps them until they are finished.
type sink struct {
	mu      sync.Mutex
	refuse  func([]engine.SecurityEvent) error // what Consume answers; nil accepts
	finish  func(engine.Batch)                 // what becomes of an accepted batch; nil keeps it
	batches []engine.Batch
	events  []engine.SecurityEvent // in the order in which they were accepted
}

func (s *sink) Consume(_ context.Context, b engine.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		if err := s.refuse(b.Events); err != nil {
			return err
		}
	}
	s.batches = append(s.batches, b)
	s.events = append(s.events, b.Events...)
	if s.finish != nil {
		s.finish(b)
	}
	return nil
}

func (s *sink) seen() []engine.SecurityEvent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]engine.SecurityEvent(nil), s.events...)
}

func (s *sink) taken() []engine.Batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]engine.Batch(nil), s.batches...)
}

// set changes how the sink behaves.
func (s *sink) set(change func(*sink)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func stored(b engine.Batch) { b.Done(nil) }

func body(n int, severity string) string {
	return fmt.Sprintf(`{"id":"e-%d","timestamp":"2026-03-02T10:00:00Z","type":"jailbreak","severity":%q,"details":{"api_key":"k-%d"}}`, n, severity, n%7)
}

// proxy stands between the source and the broker, with TLS towards the source when it has a certificate.
type proxy struct {
	listener net.Listener
	broker   string
	mu       sync.Mutex
	open     map[net.Conn]struct{}
	links    sync.WaitGroup
	accepted int
}

func newProxy(t *testing.T, broker string, cert *tls.Certificate) *proxy {
	t.Helper()
	target, err := url.Parse(broker)
	require.NoError(t, err)
	p := &proxy{broker: target.Host, open: make(map[net.Conn]struct{})}
	p.listener, err = net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	if cert != nil {
		p.listener = tls.NewListener(p.listener, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*cert}})
	}
	p.links.Go(p.accept)
	t.Cleanup(func() {
		_ = p.listener.Close()
		p.cut()
		p.links.Wait()
	})
	return p
}

// through is a broker's URL by way of the proxy.
func (p *proxy) through(t *testing.T, broker, scheme string) string {
	t.Helper()
	target, err := url.Parse(broker)
	require.NoError(t, err)
	target.Host, target.Scheme = p.listener.Addr().String(), scheme
	return target.String()
}

func (p *proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.broker)
		if err != nil {
			_ = near.Close()
			continue
		}
		p.mu.Lock()
		p.accepted++
		p.open[near], p.open[far] = struct{}{}, struct{}{}
		p.mu.Unlock()
		for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
			p.links.Go(func() {
				_, _ = io.Copy(way[0], way[1])
				_ = way[0].Close()
				_ = way[1].Close()
			})
		}
	}
}

// cut ends every connection without a word.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		_ = c.Close()
	}
	clear(p.open)
}

func (p *proxy) connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// certificate makes a server certificate for 127.0.0.1 and the file to trust it by.
func certificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "broker"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}
