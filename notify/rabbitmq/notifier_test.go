package rabbitmq_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/llm-sentinel/llm-sentinel/deploy/stack/stacktest"
	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/notify"
	"github.com/llm-sentinel/llm-sentinel/notify/rabbitmq"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a broker with two queues of this test's own.
type fixture struct {
	cfg     rabbitmq.Config
	channel *amqp091.Channel
}

func start(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{cfg: rabbitmq.DefaultConfig()}
	f.cfg.URL = engine.Secret(stacktest.Require(t, "SENTINEL_TEST_RABBITMQ"))
	id := time.Now().UnixNano()
	f.cfg.HighQueue, f.cfg.NormalQueue = fmt.Sprintf("notify.high.%d", id), fmt.Sprintf("notify.normal.%d", id)
	connection, err := amqp091.Dial(f.cfg.URL.Reveal())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, connection.Close()) })
	f.channel, err = connection.Channel()
	require.NoError(t, err)
	t.Cleanup(func() {
		for _, q := range []string{f.cfg.HighQueue, f.cfg.NormalQueue} {
			_, err := f.channel.QueueDelete(q, false, false, false)
			require.NoError(t, err)
		}
	})
	return f
}

func notifier(t *testing.T, cfg rabbitmq.Config) *rabbitmq.Notifier {
	t.Helper()
	n, err := rabbitmq.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	return n
}

func tell(t *testing.T, n *rabbitmq.Notifier, a engine.Alert) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return n.Notify(ctx, a)
}

func (f *fixture) get(t *testing.T, queue string) (amqp091.Delivery, notify.Message) {
	t.Helper()
	d, found, err := f.channel.Get(queue, true)
	require.NoError(t, err)
	require.True(t, found, queue)
	var m notify.Message
	require.NoError(t, json.Unmarshal(d.Body, &m))
	return d, m
}

func TestSeverityDecidesTheQueue(t *testing.T) {
	f := start(t)
	n := notifier(t, f.cfg)
	for severity, queue := range map[engine.Severity]string{
		engine.SeverityCritical: f.cfg.HighQueue, engine.SeverityHigh: f.cfg.HighQueue,
		engine.SeverityMedium: f.cfg.NormalQueue, engine.SeverityLow: f.cfg.NormalQueue,
	} {
		a := notify.Sample(time.Now())
		a.Incident.Severity = severity
		require.NoError(t, tell(t, n, a))
		d, m := f.get(t, queue)
		require.Equal(t, severity, m.Severity)
		require.Equal(t, notify.AlertID(a.ID), d.MessageId)
		require.Equal(t, amqp091.Persistent, d.DeliveryMode)
		require.Equal(t, "application/json", d.ContentType)
	}
	q, err := f.channel.QueueDeclarePassive(f.cfg.HighQueue, true, false, false, false, nil)
	require.NoError(t, err)
	require.Zero(t, q.Messages)
}

func TestMessageThatNoQueueTakesIsNotDelivered(t *testing.T) {
	f := start(t)
	f.cfg.DeclareQueues = false
	n := notifier(t, f.cfg)
	for range 2 {
		err := tell(t, n, notify.Sample(time.Now()))
		require.ErrorContains(t, err, "no queue takes it: 312 NO_ROUTE")
		require.False(t, engine.IsPermanent(err), "somebody may make the queue")
	}
	for _, q := range []string{f.cfg.HighQueue, f.cfg.NormalQueue} {
		_, err := f.channel.QueueDeclare(q, true, false, false, false, nil)
		require.NoError(t, err)
	}
	require.NoError(t, tell(t, n, notify.Sample(time.Now())))

	f.cfg.Exchange = "amq.topic"
	require.NoError(t, f.channel.QueueBind(f.cfg.HighQueue, f.cfg.HighQueue, "amq.topic", false, nil))
	require.NoError(t, tell(t, notifier(t, f.cfg), notify.Sample(time.Now())))
	f.cfg.Exchange = "missing-exchange"
	n = notifier(t, f.cfg)
	for range 2 {
		err := tell(t, n, notify.Sample(time.Now()))
		require.Error(t, err, "the broker closes the channel")
		require.False(t, engine.IsPermanent(err))
	}
}

// A connection that breaks at any time costs an attempt and no alert.
func TestConnectionThatBreaksIsOpenedAnew(t *testing.T) {
	f := start(t)
	broker, err := url.Parse(f.cfg.URL.Reveal())
	require.NoError(t, err)
	p := newProxy(t, broker.Host)
	broker.Host = p.listener.Addr().String()
	f.cfg.URL = engine.Secret(broker.String())
	n := notifier(t, f.cfg)
	require.NoError(t, tell(t, n, notify.Sample(time.Now())))
	for range 3 {
		p.cut()
		a := notify.Sample(time.Now())
		require.Eventually(t, func() bool { return tell(t, n, a) == nil }, 30*time.Second, 10*time.Millisecond)
	}
	q, err := f.channel.QueueDeclarePassive(f.cfg.HighQueue, true, false, false, false, nil)
	require.NoError(t, err)
	require.GreaterOrEqual(t, q.Messages, 4)
}

func TestBrokerThatNeverAnswersIsBoundedInTime(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	cfg := rabbitmq.DefaultConfig()
	cfg.URL = engine.Secret("amqp://user:hush@" + listener.Addr().String() + "/")
	n := notifier(t, cfg)
	var both sync.WaitGroup
	for range 2 { // the second one waits for its turn
		both.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			err := n.Notify(ctx, notify.Sample(time.Now()))
			if err == nil || engine.IsPermanent(err) {
				t.Errorf("got %v", err)
			}
		})
	}
	both.Wait()
}

func TestConfigIsChecked(t *testing.T) {
	for want, change := range map[string]func(*rabbitmq.Config){
		"url: must be an amqp or amqps URL":       func(c *rabbitmq.Config) { c.URL = "http://user:hush@x" },
		"high_queue: must have 1 to 255 bytes":    func(c *rabbitmq.Config) { c.HighQueue = "" },
		"normal_queue: must have 1 to 255 bytes":  func(c *rabbitmq.Config) { c.NormalQueue = string(make([]byte, 256)) },
		"exchange: is longer than 255 bytes":      func(c *rabbitmq.Config) { c.Exchange = string(make([]byte, 256)) },
		"tls: cert_file and key_file go together": func(c *rabbitmq.Config) { c.TLS.CertFile = "x" },
	} {
		cfg := rabbitmq.DefaultConfig()
		cfg.URL = "amqp://localhost"
		change(&cfg)
		_, err := rabbitmq.New(cfg)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "hush")
	}
}

// proxy passes connections on to a broker until it cuts them.
type proxy struct {
	listener    net.Listener
	mu          sync.Mutex
	connections []net.Conn
	done        sync.WaitGroup
}

func newProxy(t *testing.T, broker string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{listener: listener}
	p.done.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", broker)
			if err != nil {
				from.Close()
				continue
			}
			p.mu.Lock()
			p.connections = append(p.connections, from, to)
			p.mu.Unlock()
			p.done.Go(func() { pass(from, to) })
			p.done.Go(func() { pass(to, from) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		p.cut()
		p.done.Wait()
	})
	return p
}

func pass(from, to net.Conn) {
	buffer := make([]byte, 4096)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			to.Close()
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.connections {
		c.Close()
	}
	p.connections = nil
}
