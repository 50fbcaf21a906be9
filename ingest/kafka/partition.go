package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	kafkago "github.com/segmentio/kafka-go"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

const (
	// maxWait is how long a broker holds a fetch when there is nothing new. A reader closes no sooner.
	maxWait = 500 * time.Millisecond
	// fetchBytes is how much a broker sends at once, unless a single batch of records is larger.
	fetchBytes = 1 << 20
	// defaultRetryAfter is the wait when the engine is full and does not say for how long.
	defaultRetryAfter = time.Second
)

// place is a partition of a topic.
type place struct {
	topic     string
	partition int
}

func (p place) String() string { return p.topic + "/" + strconv.Itoa(p.partition) }

// topic is a topic and what its messages are read with.
type topic struct {
	Topic
	decoder decoder
}

// partition reads one partition for as long as a generation of the group gives it to this member.
type partition struct {
	place
	source *Source
	topic  *topic
	window *window
	next   engine.Sink
	log    *slog.Logger
}

// run reads and hands over until ctx ends. It returns when nothing is under way between the broker and the sink.
func (p *partition) run(ctx context.Context) {
	reader := kafkago.NewReader(kafkago.ReaderConfig{
		Brokers: p.source.client.brokers, Dialer: p.source.client.dialer,
		Topic: p.place.topic, Partition: p.partition,
		MinBytes: 1, MaxBytes: fetchBytes, MaxWait: maxWait,
		QueueCapacity:   1, // the broker holds the rest
		ReadLagInterval: -1,
		ErrorLogger:     kafkago.LoggerFunc(func(format string, args ...any) { p.log.Debug(fmt.Sprintf(format, args...)) }),
	})
	defer reader.Close()
	defer p.window.close()
	defer p.source.condition.worked(readPart(p.place))
	for ctx.Err() == nil {
		if err := reader.SetOffset(p.window.rewind(time.Now())); err != nil {
			return // closed, which only run does
		}
		undisturbed, wake := context.WithCancel(ctx)
		p.window.wakeWith(wake, time.Now())
		p.read(ctx, undisturbed, reader)
		wake()
	}
}

// read reads until a message that failed is due.
func (p *partition) read(ctx, undisturbed context.Context, reader *kafkago.Reader) {
	for {
		m, err := reader.FetchMessage(undisturbed)
		switch {
		case undisturbed.Err() != nil:
			return
		case err != nil:
			// The reader has tried for a while and goes on trying.
			if p.source.condition.failed(readPart(p.place), err.Error()) {
				p.log.Warn("partition cannot be read", "error", err)
			}
		default:
			p.source.condition.worked(readPart(p.place))
			p.take(ctx, m)
		}
	}
}

// The names of what may be degraded.
func readPart(at place) string         { return "kafka read " + at.String() }
func (p *partition) storePart() string { return "kafka store " + p.place.topic }
func (p *partition) deadPart() string  { return "kafka dead letters " + p.topic.DeadLetter }

// parcel is a message on its way to the sink.
type parcel struct {
	kafkago.Message
	entry   *entry
	size    int64
	settled atomic.Bool
}

// take sees a message through until the engine has it, it is a dead letter, or ctx ends.
func (p *partition) take(ctx context.Context, m kafkago.Message) {
	e, expired := p.window.admit(m.Offset, time.Now())
	if expired > 0 {
		p.source.metrics.expired.WithLabelValues(p.place.topic).Add(float64(expired))
		p.log.Error("messages deleted by the broker before they were done", "messages", expired, "before_offset", m.Offset)
	}
	if e == nil {
		return
	}
	x := &parcel{Message: m, entry: e, size: int64(len(m.Key) + len(m.Value))}
	if err := p.source.flight.enter(ctx, x.size); err != nil {
		p.window.abandon(e, time.Now())
		return
	}
	if e.refused != nil {
		why, _ := reasonOf(e.refused)
		p.bury(ctx, x, why, e.refused)
		return
	}
	c, err := p.topic.decoder.decode(m, time.Now())
	if err != nil {
		why := reasonMalformed
		if engine.ErrorCode(err) == engine.CodeTooLarge {
			why = reasonTooLarge
		}
		p.bury(ctx, x, why, err)
		return
	}
	if c.empty() {
		p.source.metrics.observe(p.place.topic, c)
		p.settle(x, nil)
		return
	}
	p.offer(ctx, x, c)
}

// offer hands a message to the sink, however long that takes to have room.
func (p *partition) offer(ctx context.Context, x *parcel, c content) {
	batch := c.batch()
	batch.ID = fmt.Sprintf("kafka:%s/%d/%d", p.place.topic, p.partition, x.Offset)
	batch.Done = func(err error) { p.settle(x, err) }
	wait := newBackoff()
	for {
		err := p.next.Consume(ctx, batch)
		if err == nil {
			p.source.metrics.observe(p.place.topic, c)
			return
		}
		if ctx.Err() != nil {
			p.giveBack(x)
			return
		}
		if why, dead := reasonOf(err); dead {
			p.bury(ctx, x, why, err)
			return
		}
		code := engine.ErrorCode(err)
		p.source.metrics.waits.WithLabelValues(p.place.topic, string(code)).Inc()
		after := wait.NextBackOff()
		if code == engine.CodeFull || code == engine.CodeUnavailable {
			after = retryAfter(err)
		} else {
			p.log.Error("message not taken", "offset", x.Offset, "error", err)
		}
		if !sleep(ctx, after) {
			p.giveBack(x)
			return
		}
	}
}

// bury makes a dead letter of a message, however long it takes to be written.
func (p *partition) bury(ctx context.Context, x *parcel, why reason, cause error) {
	wait := newBackoff()
	for {
		err := p.source.letters.write(ctx, p.topic.DeadLetter, x.Message, why, cause)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			p.giveBack(x)
			return
		}
		if p.source.condition.failed(p.deadPart(), err.Error()) {
			p.log.Error("dead letter not written, the partition waits", "offset", x.Offset, "reason", why, "error", err)
		}
		if !sleep(ctx, wait.NextBackOff()) {
			p.giveBack(x)
			return
		}
	}
	p.source.condition.worked(p.deadPart())
	p.source.metrics.letters.WithLabelValues(p.place.topic, string(why)).Inc()
	p.log.Warn("message is a dead letter", "offset", x.Offset, "reason", why, "dead_letter_topic", p.topic.DeadLetter)
	p.settle(x, nil)
}

// settle notes what became of a message that was handed over or buried, once. It may be called from any goroutine, also when the
// partition belongs to somebody else by then.
func (p *partition) settle(x *parcel, err error) {
	if x.settled.Swap(true) {
		return
	}
	p.source.flight.leave(x.size)
	if err == nil {
		p.source.condition.worked(p.storePart())
		p.source.metrics.messages.WithLabelValues(p.place.topic).Inc()
		p.window.finish(x.entry, nil, false, time.Now())
		return
	}
	_, dead := reasonOf(err)
	p.source.metrics.retried.WithLabelValues(p.place.topic).Inc()
	if !dead && p.source.condition.failed(p.storePart(), "effects not stored, messages are read again: "+err.Error()) {
		p.log.Warn("effects not stored, the message is read again", "offset", x.Offset, "error", err)
	}
	p.window.finish(x.entry, err, dead, time.Now())
}

// giveBack lets go of a message that the engine has not got: it is read again when reading goes on.
func (p *partition) giveBack(x *parcel) {
	if x.settled.Swap(true) {
		return
	}
	p.source.flight.leave(x.size)
	p.window.abandon(x.entry, time.Now())
}

// retryAfter is when a sink that is full or down wants to be asked again.
func retryAfter(err error) time.Duration {
	var e *engine.Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		return e.RetryAfter
	}
	return defaultRetryAfter
}

// newBackoff waits longer each time, with jitter.
func newBackoff() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = 250*time.Millisecond, 5*time.Second
	return b
}

// sleep reports whether ctx let it sleep to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
