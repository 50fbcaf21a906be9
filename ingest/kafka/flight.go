package kafka

import (
	"context"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"
)

// flight bounds what is handed over and not done, over all partitions.
type flight struct {
	messages, bytes           *semaphore.Weighted
	maxBytes                  int64
	messagesGauge, bytesGauge prometheus.Gauge
}

func newFlight(maxMessages, maxBytes int, messages, bytes prometheus.Gauge) *flight {
	return &flight{
		messages:      semaphore.NewWeighted(int64(maxMessages)),
		bytes:         semaphore.NewWeighted(int64(maxBytes)),
		maxBytes:      int64(maxBytes),
		messagesGauge: messages, bytesGauge: bytes,
	}
}

// enter waits for room for a message and takes it. leave gives it back.
func (f *flight) enter(ctx context.Context, size int64) error {
	if err := f.messages.Acquire(ctx, 1); err != nil {
		return fmt.Errorf("kafka: wait for a message under way: %w", err)
	}
	if err := f.bytes.Acquire(ctx, f.weight(size)); err != nil {
		f.messages.Release(1)
		return fmt.Errorf("kafka: wait for a message under way: %w", err)
	}
	f.messagesGauge.Inc()
	f.bytesGauge.Add(float64(size))
	return nil
}

func (f *flight) leave(size int64) {
	f.messagesGauge.Dec()
	f.bytesGauge.Sub(float64(size))
	f.bytes.Release(f.weight(size))
	f.messages.Release(1)
}

// weight lets a message that is larger than the whole bound pass alone.
func (f *flight) weight(size int64) int64 { return min(size, f.maxBytes) }
