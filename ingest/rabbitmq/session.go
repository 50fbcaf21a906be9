package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// message is one delivery and what was read in it.
type message struct {
	amqp.Delivery
	queue  queue
	event  engine.SecurityEvent
	flaw   error     // why it can never be used
	read   time.Time // wall time
	origin *origin   // where its time came from when it has none itself
	digest digest    // with origin
	due    time.Time // when it returns to its queue, after its batch failed
	alone  bool      // handed over in a batch of its own, since it shared one that was refused
}

func (m *message) urgent() bool { return m.event.Severity.Rank() >= engine.SeverityHigh.Rank() }

// session is the reading over one connection. Everything but the forwarding of deliveries happens in run's goroutine.
type session struct {
	*Source
	letters  *amqp.Channel // for dead letters, with confirms
	returned chan amqp.Return
	broken   chan error // the first reason to end
	incoming chan *message
	settled  chan outcome
	ended    chan struct{}
	forward  sync.WaitGroup
	channels []*amqp.Channel

	live   map[*message]struct{} // read and not settled
	urgent []*message            // waiting to be handed over, oldest first
	normal []*message
	paused []*message // to be returned, earliest first
	handed int        // in batches under way
	handAt time.Time  // when to hand over what waits
}

// outcome is what Done was called with.
type outcome struct {
	batch []*message
	err   error
}

// open declares the queues and starts to consume.
func (s *Source) open(conn *amqp.Connection) (*session, error) {
	total := s.cfg.Prefetch * len(s.queues)
	x := &session{
		Source: s, broken: make(chan error, 1), incoming: make(chan *message, total), settled: make(chan outcome, total),
		ended: make(chan struct{}), live: make(map[*message]struct{}), returned: make(chan amqp.Return, 1),
	}
	for _, q := range s.queues {
		if err := declare(conn, q.name, amqp.Table{"x-max-priority": s.cfg.MaxPriority}); err != nil {
			return nil, err
		}
		if err := declare(conn, q.dead(), nil); err != nil {
			return nil, err
		}
	}
	var err error
	if x.letters, err = conn.Channel(); err != nil {
		return nil, fmt.Errorf("rabbitmq: open channel: %w", err)
	}
	if err := x.letters.Confirm(false); err != nil {
		return nil, fmt.Errorf("rabbitmq: ask for confirms: %w", err)
	}
	x.letters.NotifyReturn(x.returned)
	for _, q := range s.queues {
		if err := x.consume(conn, q); err != nil {
			x.end()
			return nil, err
		}
	}
	return x, nil
}

// consume starts to read one queue, over a channel of its own.
func (x *session) consume(conn *amqp.Connection, q queue) error {
	channel, err := conn.Channel()
	if err != nil {
		return fmt.Errorf("rabbitmq: open channel: %w", err)
	}
	if err := channel.Qos(x.cfg.Prefetch, 0, false); err != nil {
		return fmt.Errorf("rabbitmq: prefetch of %s: %w", q.name, err)
	}
	closed := channel.NotifyClose(make(chan *amqp.Error, 1))
	deliveries, err := channel.Consume(q.name, "", false, false, false, false, nil)
	if err != nil {
		return fmt.Errorf("rabbitmq: consume %s: %w", q.name, err)
	}
	x.channels = append(x.channels, channel)
	x.forward.Go(func() { x.pass(q, deliveries, closed) })
	return nil
}

// declare makes a durable queue unless there is one, whatever its arguments.
func declare(conn *amqp.Connection, name string, args amqp.Table) error {
	for _, passive := range []bool{true, false} {
		channel, err := conn.Channel()
		if err != nil {
			return fmt.Errorf("rabbitmq: open channel: %w", err)
		}
		if passive {
			_, err = channel.QueueDeclarePassive(name, true, false, false, false, nil)
		} else {
			_, err = channel.QueueDeclare(name, true, false, false, false, args)
		}
		if err == nil {
			return channel.Close()
		}
		var refused *amqp.Error // which has closed the channel
		if !passive || !errors.As(err, &refused) || refused.Code != amqp.NotFound {
			return fmt.Errorf("rabbitmq: declare %s: %w", name, err)
		}
	}
	return nil
}

// pass reads deliveries until their channel closes. incoming has room for all that the broker may send.
func (x *session) pass(q queue, deliveries <-chan amqp.Delivery, closed <-chan *amqp.Error) {
	for d := range deliveries {
		m := &message{Delivery: d, queue: q, read: time.Now()}
		if len(d.Body) > x.cfg.MaxMessageBytes {
			m.flaw = fmt.Errorf("longer than %d bytes", x.cfg.MaxMessageBytes)
		} else {
			m.event, m.flaw = decode(d.Body, q.dialect)
		}
		if m.flaw == nil {
			if key, o, ok := x.origins.complete(&m.event, &d, m.read); ok {
				m.digest, m.origin = key, &o
			}
		}
		select {
		case x.incoming <- m:
		case <-x.ended:
			x.letLoose(m)
		}
	}
	err := errors.New("consumer cancelled")
	select {
	case reason := <-closed:
		if reason != nil {
			err = reason
		}
	default:
	}
	select {
	case x.broken <- fmt.Errorf("rabbitmq: queue %s: %w", q.name, err):
	default:
	}
}

// run hands over what comes until the connection breaks, with the reason, or ctx ends, with nil.
func (x *session) run(ctx context.Context, next engine.Sink) error {
	defer x.end()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(x.idle(time.Now()))
		select {
		case <-ctx.Done():
			return x.drain()
		case err := <-x.broken:
			return err
		case m := <-x.incoming:
			x.take(m)
			for len(x.incoming) > 0 {
				x.take(<-x.incoming)
			}
		case o := <-x.settled:
			if err := x.settle(o); err != nil {
				return err
			}
		case <-timer.C:
		}
		if err := x.returnDue(time.Now()); err != nil {
			return err
		}
		if err := x.hand(ctx, next); err != nil && ctx.Err() == nil {
			return err
		}
		x.metrics.unsettled.Set(float64(len(x.live)))
	}
}

// idle is how long there is nothing to do unless something comes.
func (x *session) idle(now time.Time) time.Duration {
	wait := time.Hour
	if len(x.urgent)+len(x.normal) > 0 {
		wait = x.handAt.Sub(now)
	}
	if len(x.paused) > 0 {
		wait = min(wait, x.paused[0].due.Sub(now))
	}
	return max(0, wait)
}

// take queues a message that came.
func (x *session) take(m *message) {
	x.live[m] = struct{}{}
	if len(x.urgent)+len(x.normal) == 0 {
		x.handAt = laterOf(x.handAt, time.Now().Add(x.cfg.BatchWait))
	}
	if m.urgent() {
		x.urgent = append(x.urgent, m)
	} else {
		x.normal = append(x.normal, m)
	}
}

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// hand gives what waits to the engine, urgent messages first, when it is time for that.
func (x *session) hand(ctx context.Context, next engine.Sink) error {
	for waiting := len(x.urgent) + len(x.normal); waiting > 0; waiting = len(x.urgent) + len(x.normal) {
		now := time.Now()
		if now.Before(x.handAt) && (waiting < x.cfg.BatchEvents || x.handAt.Sub(now) > x.cfg.BatchWait) {
			return nil
		}
		lane := &x.urgent
		if len(x.urgent) == 0 {
			lane = &x.normal
		}
		if m := (*lane)[0]; m.flaw != nil {
			*lane = (*lane)[1:]
			if err := x.bury(ctx, m, m.flaw); err != nil {
				return err
			}
			continue
		}
		batch := x.batch(*lane)
		events := make([]engine.SecurityEvent, len(batch))
		for i, m := range batch {
			events[i] = m.event
		}
		err := next.Consume(ctx, engine.Batch{Events: events, Done: func(err error) {
			select {
			case x.settled <- outcome{batch, err}:
			case <-x.ended:
			}
		}})
		switch {
		case err == nil:
			*lane = (*lane)[len(batch):]
			x.handed += len(batch)
		case hopeless(err):
			*lane = (*lane)[len(batch):]
			if err := x.refused(ctx, batch, err); err != nil {
				return err
			}
		default:
			// The engine is full: later, with what is urgent by then first.
			pause := x.cfg.RetryPause
			var full *engine.Error
			if errors.As(err, &full) && full.RetryAfter > 0 {
				pause = full.RetryAfter
			}
			x.handAt = time.Now().Add(pause)
			return ctx.Err()
		}
	}
	return nil
}

// batch is the front of a lane that is handed over at once.
func (x *session) batch(lane []*message) []*message {
	n := 1
	for n < len(lane) && n < x.cfg.BatchEvents && !lane[0].alone && !lane[n].alone && lane[n].flaw == nil {
		n++
	}
	return slices.Clone(lane[:n])
}

// hopeless reports whether no retry can cure err.
func hopeless(err error) bool {
	code := engine.ErrorCode(err)
	return engine.IsPermanent(err) || code == engine.CodeInvalid || code == engine.CodeTooLarge
}

// settle acknowledges a batch whose effects are stored, and finds out what becomes of one that failed.
func (x *session) settle(o outcome) error {
	x.handed -= len(o.batch)
	switch {
	case o.err == nil:
		for _, m := range o.batch {
			if err := m.Ack(false); err != nil {
				return fmt.Errorf("rabbitmq: acknowledge: %w", err)
			}
			delete(x.live, m)
			x.metrics.messages.WithLabelValues(m.queue.name, acknowledged).Inc()
			x.metrics.hold.Observe(time.Since(m.read).Seconds())
		}
		return nil
	case hopeless(o.err):
		return x.refused(context.Background(), o.batch, o.err)
	}
	x.log.Warn("batch failed, its messages return to their queues", "messages", len(o.batch), "error", o.err)
	due := time.Now().Add(x.cfg.RetryPause)
	for _, m := range o.batch {
		m.due = due
		x.paused = append(x.paused, m)
	}
	return nil
}

// refused deals with a batch that no retry can cure: one of its messages is at fault, and which one shows when each is alone.
func (x *session) refused(ctx context.Context, batch []*message, reason error) error {
	if len(batch) == 1 {
		return x.bury(ctx, batch[0], reason)
	}
	for _, m := range batch {
		m.alone = true
		if m.urgent() {
			x.urgent = append(x.urgent, m)
		} else {
			x.normal = append(x.normal, m)
		}
	}
	return nil
}

// returnDue gives messages back to their queues once their pause is over.
func (x *session) returnDue(now time.Time) error {
	for len(x.paused) > 0 && !x.paused[0].due.After(now) {
		m := x.paused[0]
		x.paused = x.paused[1:]
		delete(x.live, m)
		x.letLoose(m) // before the broker can send it again
		if err := m.Nack(false, true); err != nil {
			return fmt.Errorf("rabbitmq: return message: %w", err)
		}
		x.metrics.messages.WithLabelValues(m.queue.name, requeued).Inc()
	}
	return nil
}

// bury publishes a message to the dead letters of its queue, and acknowledges it once the broker has it.
func (x *session) bury(ctx context.Context, m *message, reason error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), x.cfg.Timeout)
	defer cancel()
	headers := amqp.Table{}
	for name, value := range m.Headers {
		headers[name] = value
	}
	headers["x-sentinel-reason"] = cut(reason.Error(), maxDetail)
	headers["x-sentinel-queue"] = m.queue.name
	headers["x-sentinel-exchange"] = m.Exchange
	headers["x-sentinel-routing-key"] = m.RoutingKey
	headers["x-sentinel-time"] = time.Now().UTC().Format(time.RFC3339Nano)
	confirmed, err := x.letters.PublishWithDeferredConfirmWithContext(ctx, "", m.queue.dead(), true, false, amqp.Publishing{
		Headers: headers, Body: m.Body, DeliveryMode: amqp.Persistent, Priority: m.Priority, MessageId: m.MessageId, Timestamp: m.Timestamp,
		ContentType: m.ContentType, ContentEncoding: m.ContentEncoding, CorrelationId: m.CorrelationId, Type: m.Type, AppId: m.AppId,
	})
	if err != nil {
		return fmt.Errorf("rabbitmq: publish to %s: %w", m.queue.dead(), err)
	}
	taken, err := confirmed.WaitContext(ctx)
	if err != nil {
		return fmt.Errorf("rabbitmq: publish to %s: %w", m.queue.dead(), err)
	}
	select {
	case <-x.returned: // comes before the confirm
		taken = false
	default:
	}
	if !taken {
		return fmt.Errorf("rabbitmq: publish to %s: the broker does not take it", m.queue.dead())
	}
	if err := m.Ack(false); err != nil {
		return fmt.Errorf("rabbitmq: acknowledge: %w", err)
	}
	delete(x.live, m)
	x.metrics.messages.WithLabelValues(m.queue.name, deadLettered).Inc()
	x.log.Warn("message is a dead letter", "queue", m.queue.name, "id", m.MessageId, "reason", reason)
	return nil
}

// drain settles the batches under way, within the drain timeout.
func (x *session) drain() error {
	limit := time.NewTimer(x.cfg.DrainTimeout)
	defer limit.Stop()
	for x.handed > 0 {
		select {
		case o := <-x.settled:
			if o.err != nil {
				x.handed -= len(o.batch) // the end of the connection returns them
				continue
			}
			if x.settle(o) != nil {
				return nil // the connection broke: its end returns what is left
			}
		case err := <-x.broken:
			x.log.Warn("stopped with messages unsettled; they come again", "messages", x.handed, "error", err)
			return nil
		case <-limit.C:
			x.log.Warn("stopped with messages unsettled; they come again", "messages", x.handed)
			return nil
		}
	}
	return nil
}

// end closes the channels, by which the broker has all that is not settled again.
func (x *session) end() {
	close(x.ended)
	for _, channel := range x.channels {
		_ = channel.Close()
	}
	x.forward.Wait()
	for len(x.incoming) > 0 {
		x.letLoose(<-x.incoming)
	}
	for m := range x.live {
		x.letLoose(m)
	}
	x.metrics.unsettled.Set(0)
}

func (x *session) letLoose(m *message) {
	if m.origin != nil {
		x.origins.letLoose(m.digest, *m.origin)
	}
}
