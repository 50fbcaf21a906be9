package rabbitmq

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/deploy/stack/stacktest"
	"github.com/llm-sentinel/llm-sentinel/engine"
)

func TestEventsOfBothQueuesReachTheEngine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	next := &sink{finish: stored}
	w.run(w.source(), next)
	w.eventually("queues are declared", func() bool { return w.exists(w.cfg.GatewayQueue) })
	w.send(body(1, "high"))
	w.publish(w.cfg.GatewayQueue, amqp.Publishing{Body: []byte(`{"event":"login_failed","user":"u-1","ip":"192.0.2.7","timestamp":"2026-03-02T10:00:01Z"}`), MessageId: "m-1"})
	w.eventually("two events", func() bool { return len(next.seen()) == 2 })
	byID := make(map[string]engine.SecurityEvent)
	for _, e := range next.seen() {
		byID[e.ID] = e
	}
	require.Equal(t, engine.SecurityEvent{
		ID: "e-1", At: time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC), Type: "jailbreak", Severity: engine.SeverityHigh, APIKey: "k-1",
	}, byID["e-1"])
	require.Equal(t, engine.SecurityEvent{
		ID: "m-1", At: time.Date(2026, 3, 2, 10, 0, 1, 0, time.UTC), Type: "login_failed", Severity: engine.SeverityLow, User: "u-1",
		Details: map[string]string{"ip": "192.0.2.7"},
	}, byID["m-1"])
}

// exists asks over a connection of its own: a queue that is not there closes the channel.
func (w *world) exists(queue string) bool {
	w.t.Helper()
	channel, err := w.conn.Channel()
	require.NoError(w.t, err)
	defer channel.Close()
	_, err = channel.QueueDeclarePassive(queue, true, false, false, false, nil)
	return err == nil
}

func TestNothingIsAcknowledgedBeforeItsEffectsAreStored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.DrainTimeout = 0
	w.declare(nil)
	for n := range 50 {
		w.send(body(n, "medium"))
	}
	next := &sink{}
	stop := w.run(w.source(), next)
	w.eventually("all are accepted", func() bool { return len(next.seen()) == 50 })
	stop()
	w.eventually("all are the broker's again", func() bool { return w.ready(w.cfg.SecurityQueue) == 50 })

	next = &sink{finish: stored}
	stop = w.run(w.source(), next)
	w.eventually("all come again", func() bool { return len(next.seen()) == 50 })
	stop()
	require.Zero(t, w.ready(w.cfg.SecurityQueue))
}

func TestStopWaitsForBatchesUnderWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.declare(nil)
	w.send(body(1, "low"))
	next := &sink{}
	stop := w.run(w.source(), next)
	w.eventually("accepted", func() bool { return len(next.taken()) == 1 })
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	select {
	case <-stopped:
		require.Fail(t, "stopped with a batch under way")
	case <-time.After(50 * time.Millisecond):
	}
	next.taken()[0].Done(nil)
	<-stopped
	require.Zero(t, w.ready(w.cfg.SecurityQueue))
}

func TestPrefetchBoundsWhatIsHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Prefetch, w.cfg.DrainTimeout = 10, 0
	w.declare(nil)
	for n := range 40 {
		w.send(body(n, "low"))
	}
	next := &sink{}
	stop := w.run(w.source(), next)
	w.eventually("as many as may be", func() bool { return len(next.seen()) == 10 })
	require.Equal(t, 30, w.ready(w.cfg.SecurityQueue))
	for _, b := range next.taken() {
		b.Done(nil)
	}
	w.eventually("as many more", func() bool { return len(next.seen()) == 20 })
	stop()
}

func TestHighSeverityOvertakes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.BatchEvents = 10
	w.declare(nil)
	for n := range 100 {
		w.send(body(n, "low"))
	}
	next := &sink{finish: stored, refuse: func([]engine.SecurityEvent) error {
		return &engine.Error{Code: engine.CodeFull, Message: "full", RetryAfter: 10 * time.Millisecond}
	}}
	s := w.source()
	w.run(s, next)
	w.send(body(100, "critical"), body(101, "high"))
	w.eventually("the source has read them", func() bool { return testutil.ToFloat64(s.metrics.unsettled) == 102 })
	next.set(func(s *sink) { s.refuse = nil })
	w.eventually("all", func() bool { return len(next.seen()) == 102 })
	require.Equal(t, "e-100", next.seen()[0].ID)
	require.Equal(t, "e-101", next.seen()[1].ID)
}

func TestDeclaredQueueHasPriorities(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Prefetch = 1
	stop := w.run(w.source(), &sink{})
	w.eventually("declared", func() bool { return w.exists(w.cfg.SecurityQueue) })
	stop()
	for n := range 5 {
		w.send(body(n, "low"))
	}
	w.publish(w.cfg.SecurityQueue, amqp.Publishing{Body: []byte(body(9, "high")), Priority: 9})
	next := &sink{finish: stored}
	w.run(w.source(), next)
	w.eventually("all", func() bool { return len(next.seen()) == 6 })
	require.Equal(t, "e-9", next.seen()[0].ID)
}

func TestQueueWithOtherArgumentsIsReadAsItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.declare(amqp.Table{"x-queue-type": "quorum"})
	w.send(body(1, "high"))
	next := &sink{finish: stored}
	w.run(w.source(), next)
	w.eventually("one event", func() bool { return len(next.seen()) == 1 })
}

func TestPoisonBecomesADeadLetterWithItsReason(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.MaxMessageBytes = 1000
	w.declare(nil)
	poison := map[string]string{
		`{"type":`:                  "not JSON",
		`{"type":"x","severity":3}`: "severity: want a string, is a number",
		`{"type":"x","severity":"low","user":{"id":1}}`:            "user.id: want a string, is a number",
		`{"type":"` + strings.Repeat("x", 1001) + `"}`:             "longer than 1000 bytes",
		`{"type":"x","severity":"low","details":{"trace_id":"z"}}`: "details.trace_id: want 32 hex digits",
	}
	w.send(body(1, "low"))
	for b := range poison {
		w.publish(w.cfg.SecurityQueue, amqp.Publishing{Body: []byte(b), MessageId: "m", Headers: amqp.Table{"mine": "kept"}})
	}
	w.send(body(2, "low"))
	next := &sink{finish: stored}
	stop := w.run(w.source(), next)
	dead := w.cfg.SecurityQueue + ".dead"
	w.eventually("letters", func() bool { return w.exists(dead) && w.ready(dead) == len(poison) && len(next.seen()) == 2 })
	stop()
	require.Zero(t, w.ready(w.cfg.SecurityQueue))
	for range poison {
		m, ok, err := w.channel.Get(dead, true)
		require.NoError(t, err)
		require.True(t, ok)
		require.Contains(t, m.Headers["x-sentinel-reason"], poison[string(m.Body)])
		require.Equal(t, w.cfg.SecurityQueue, m.Headers["x-sentinel-queue"])
		require.Equal(t, "kept", m.Headers["mine"])
		require.Equal(t, "m", m.MessageId)
		require.Equal(t, amqp.Persistent, m.DeliveryMode)
	}
}

func TestFailedBatchComesAgainAsTheSameEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.declare(nil)
	same := `{"type":"jailbreak","severity":"high","details":{"api_key":"k"}}`
	w.send(same, same, same) // three events that nothing tells apart
	failures, kept := 3, make(map[string]bool)
	next := &sink{}
	next.finish = func(b engine.Batch) {
		if failures--; failures >= 0 {
			b.Done(errors.New("the store is down"))
			return
		}
		for _, e := range b.Events {
			kept[e.ID] = true
		}
		b.Done(nil)
	}
	stop := w.run(w.source(), next)
	w.eventually("all stored", func() (all bool) {
		next.set(func(*sink) { all = len(kept) == 3 })
		return all
	})
	stop()
	require.Zero(t, w.ready(w.cfg.SecurityQueue))
	times := make(map[string]time.Time)
	for _, e := range next.seen() {
		if at, again := times[e.ID]; again {
			require.Equal(t, at, e.At)
		}
		times[e.ID] = e.At
	}
	require.Len(t, times, 3)
}

func TestOneBadEventDoesNotTakeItsBatchAlong(t *testing.T) {
	t.Parallel()
	for _, early := range []bool{true, false} {
		t.Run(fmt.Sprintf("refused early %v", early), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.declare(nil)
			for n := range 10 {
				w.send(body(n, "low"))
			}
			judge := func(events []engine.SecurityEvent) error {
				for _, e := range events {
					if e.ID == "e-4" {
						return engine.Permanent(errors.New("impossible"))
					}
				}
				return nil
			}
			good := make(map[string]bool)
			next := &sink{}
			next.finish = func(b engine.Batch) {
				err := judge(b.Events)
				if err == nil {
					for _, e := range b.Events {
						good[e.ID] = true
					}
				}
				b.Done(err)
			}
			if early {
				next.refuse = judge
			}
			stop := w.run(w.source(), next)
			dead := w.cfg.SecurityQueue + ".dead"
			w.eventually("one letter", func() bool { return w.exists(dead) && w.ready(dead) == 1 })
			stop()
			require.Zero(t, w.ready(w.cfg.SecurityQueue))
			require.Len(t, good, 9)
			require.NotContains(t, good, "e-4")
			m, _, err := w.channel.Get(dead, true)
			require.NoError(t, err)
			require.Equal(t, "impossible", m.Headers["x-sentinel-reason"])
		})
	}
}

// books is the checker of what must not be lost: an event counts when its batch was told to be stored.
type books struct {
	mu     sync.Mutex
	stored map[string]int
	delays sync.WaitGroup
	random *rand.Rand
}

func newBooks() *books {
	return &books{stored: make(map[string]int), random: rand.New(rand.NewPCG(1, 2))}
}

// enter stores a batch a little later, and fails some.
func (b *books) enter(batch engine.Batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	wait, fails := time.Duration(b.random.IntN(5))*time.Millisecond, b.random.IntN(10) == 0
	b.delays.Go(func() {
		time.Sleep(wait)
		if fails {
			batch.Done(errors.New("the store is down"))
			return
		}
		b.mu.Lock()
		for _, e := range batch.Events {
			b.stored[e.ID]++
		}
		b.mu.Unlock()
		batch.Done(nil)
	})
}

func (b *books) len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.stored)
}

func TestNothingIsLostWhenConnectionsBreak(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := newProxy(t, w.url, nil)
	w.cfg.URL, w.cfg.Prefetch, w.cfg.BatchEvents = engine.Secret(p.through(t, w.url, "amqp")), 50, 7
	w.declare(nil)
	b := newBooks()
	s := w.source()
	stop := w.run(s, &sink{finish: b.enter})
	const events = 2_000
	for n := range events {
		w.send(body(n, "medium"))
		if n%400 == 399 {
			reached := p.connections()
			p.cut()
			w.eventually("connected again", func() bool { return p.connections() > reached })
		}
	}
	w.eventually("all stored", func() bool { return b.len() == events && w.ready(w.cfg.SecurityQueue) == 0 })
	stop()
	b.delays.Wait()
	require.Zero(t, w.ready(w.cfg.SecurityQueue))
	require.Empty(t, s.Degraded())
}

func TestBrokerMayBeAwayAtTheStartAndGoLater(t *testing.T) {
	t.Parallel()
	server := stacktest.Own(t, "rabbitmq")
	w := worldAt(t, server.Value(t, "SENTINEL_TEST_RABBITMQ"))
	w.declare(nil)
	for n := range 20 {
		w.send(body(n, "low"))
	}
	w.disconnect()
	server.Stop(t)

	b := newBooks()
	s := w.source()
	stop := w.run(s, &sink{finish: b.enter})
	w.eventually("it says so", func() bool { return len(s.Degraded()) == 1 })
	require.Equal(t, "rabbitmq", s.Degraded()[0].Part)
	require.NotContains(t, s.Degraded()[0].Reason, "guest")
	server.Start(t)
	w.connect()
	w.eventually("read", func() bool { return b.len() == 20 && len(s.Degraded()) == 0 })
	for n := range 20 {
		w.send(body(20+n, "low"))
	}
	w.disconnect()
	server.Stop(t)
	w.eventually("it says so again", func() bool { return len(s.Degraded()) == 1 })
	server.Start(t)
	w.connect()
	w.eventually("read", func() bool { return b.len() == 40 && w.ready(w.cfg.SecurityQueue) == 0 })
	stop()
	b.delays.Wait()
	require.Zero(t, w.ready(w.cfg.SecurityQueue))
}

func TestDeletedQueueIsMadeAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	next := &sink{finish: stored}
	s := w.source()
	w.run(s, next)
	w.eventually("declared", func() bool { return w.exists(w.cfg.GatewayQueue) })
	_, err := w.channel.QueueDelete(w.cfg.SecurityQueue, false, false, false)
	require.NoError(t, err)
	w.eventually("declared again", func() bool { return w.exists(w.cfg.SecurityQueue) })
	w.send(body(1, "low"))
	w.eventually("read", func() bool { return len(next.seen()) == 1 })
}

func TestTLS(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cert, ca := certificate(t)
	p := newProxy(t, w.url, &cert)
	w.cfg.URL = engine.Secret(p.through(t, w.url, "amqps"))
	w.declare(nil)
	w.send(body(1, "low"))

	stranger := w.source()
	stop := w.run(stranger, &sink{})
	w.eventually("an unknown authority is not trusted", func() bool {
		d := stranger.Degraded()
		return len(d) == 1 && strings.Contains(d[0].Reason, "certificate")
	})
	stop()
	w.cfg.TLS.CAFile = ca
	next := &sink{finish: stored}
	w.run(w.source(), next)
	w.eventually("read", func() bool { return len(next.seen()) == 1 })
}

func TestWrongPasswordIsToldWithoutIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.URL = engine.Secret(strings.Replace(w.url, "guest:guest", "guest:hunter2", 1))
	var logged bytes.Buffer
	s, err := New(w.cfg, slog.New(slog.NewTextHandler(&logged, nil)), prometheus.NewRegistry())
	require.NoError(t, err)
	stop := w.run(s, &sink{})
	w.eventually("told", func() bool { return len(s.Degraded()) == 1 })
	require.NotContains(t, s.Degraded()[0].Reason, "hunter2")
	stop()
	require.NotContains(t, logged.String(), "hunter2")
	w.declare(nil) // for the cleanup, as the queue was never reached
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config){
		"url":                 func(c *Config) { c.URL = "http://user:hunter2@host" },
		"security_queue":      func(c *Config) { c.SecurityQueue, c.GatewayQueue = "", "" },
		"both same":           func(c *Config) { c.GatewayQueue = "same"; c.SecurityQueue = "same" },
		"prefetch":            func(c *Config) { c.Prefetch = 0 },
		"max_priority":        func(c *Config) { c.MaxPriority = 256 },
		"reconnect_max":       func(c *Config) { c.ReconnectMax = c.ReconnectMin / 2 },
		"tls.cert_file":       func(c *Config) { c.URL = "amqps://host"; c.TLS.CertFile = "x" },
		"tls is for amqps://": func(c *Config) { c.TLS.CAFile = "x" },
	} {
		c := DefaultConfig()
		c.URL = "amqp://user:hunter2@host/"
		require.NoError(t, c.Validate())
		change(&c)
		err := c.Validate()
		require.Equal(t, engine.CodeInvalid, engine.ErrorCode(err), name)
		require.ErrorContains(t, err, strings.TrimPrefix(name, "both "))
		require.NotContains(t, err.Error(), "hunter2")
	}
	c := DefaultConfig()
	c.URL, c.TLS.CAFile = "amqps://host", "/nowhere.pem"
	_, err := New(c, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	require.ErrorContains(t, err, "/nowhere.pem")
}
