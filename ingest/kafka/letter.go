package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// The headers of a dead letter, beside those that the message had. Its key and value stay as they were.
const (
	HeaderReason    = "sentinel-reason" // malformed, too_large or refused
	HeaderError     = "sentinel-error"  // what exactly is wrong; may quote the message
	HeaderTopic     = "sentinel-origin-topic"
	HeaderPartition = "sentinel-origin-partition"
	HeaderOffset    = "sentinel-origin-offset"
	HeaderTime      = "sentinel-origin-timestamp" // RFC 3339
	// HeaderCut stands on a dead letter without value: the topic did not take one so large. It is the size in bytes.
	HeaderCut = "sentinel-cut-bytes"
)

// reason classes dead letters; it is the label of a metric.
type reason string

const (
	reasonMalformed reason = "malformed" // it cannot be read
	reasonTooLarge  reason = "too_large" // above a limit
	reasonRefused   reason = "refused"   // the engine will never take it
)

var reasons = [...]reason{reasonMalformed, reasonTooLarge, reasonRefused}

const maxErrorHeader = 1024

// letters writes dead letters.
type letters struct{ writer *kafkago.Writer }

func newLetters(c *client) *letters {
	return &letters{&kafkago.Writer{
		Addr:                   c.requests.Addr,
		Transport:              c.transport,
		Balancer:               &kafkago.Hash{},
		RequiredAcks:           kafkago.RequireAll,
		BatchSize:              1,             // each is waited for
		BatchBytes:             math.MaxInt32, // the topic knows what it takes
		MaxAttempts:            1,             // who waits tries again
		WriteTimeout:           requestTimeout,
		Compression:            kafkago.Gzip, // what fitted into the topic in some compression should fit again
		AllowAutoTopicCreation: true,
	}}
}

// write returns when the brokers have the dead letter.
func (l *letters) write(ctx context.Context, topic string, m kafkago.Message, why reason, cause error) error {
	letter := kafkago.Message{Topic: topic, Key: m.Key, Value: m.Value, Headers: headers(m, why, cause)}
	err := l.send(ctx, letter)
	if errors.Is(err, kafkago.MessageSizeTooLarge) {
		// The original can still be found by its origin.
		letter.Value = nil
		letter.Headers = append(letter.Headers, header(HeaderCut, strconv.Itoa(len(m.Value))))
		err = l.send(ctx, letter)
	}
	if err != nil {
		return fmt.Errorf("kafka: write to %s the dead letter of %s/%d at offset %d: %w", topic, m.Topic, m.Partition, m.Offset, err)
	}
	return nil
}

// send writes one message and returns its error, which the writer wraps in a list that errors.Is does not look into.
func (l *letters) send(ctx context.Context, m kafkago.Message) error {
	err := l.writer.WriteMessages(ctx, m)
	var each kafkago.WriteErrors
	if errors.As(err, &each) && len(each) == 1 {
		return each[0]
	}
	return err
}

func (l *letters) close() error {
	if err := l.writer.Close(); err != nil {
		return fmt.Errorf("kafka: close the writer of dead letters: %w", err)
	}
	return nil
}

func headers(m kafkago.Message, why reason, cause error) []kafkago.Header {
	return append(slices.Clone(m.Headers),
		header(HeaderReason, string(why)),
		header(HeaderError, cut(cause.Error(), maxErrorHeader)),
		header(HeaderTopic, m.Topic),
		header(HeaderPartition, strconv.Itoa(m.Partition)),
		header(HeaderOffset, strconv.FormatInt(m.Offset, 10)),
		header(HeaderTime, m.Time.UTC().Format(time.RFC3339Nano)))
}

func header(key, value string) kafkago.Header {
	return kafkago.Header{Key: key, Value: []byte(value)}
}

// reasonOf says whether an error makes a dead letter of its message, and with which reason.
func reasonOf(err error) (reason, bool) {
	switch code := engine.ErrorCode(err); {
	case code == engine.CodeTooLarge:
		return reasonTooLarge, true
	case code == engine.CodeInvalid, engine.IsPermanent(err):
		return reasonRefused, true
	}
	return "", false
}
