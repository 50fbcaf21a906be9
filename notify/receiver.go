package notify

import (
	"cmp"
	"sync"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// maxQueue is how many lanes wait in memory for a free slot of their receiver; further ones wait in the store.
const maxQueue = 256

// receiver is one Receiver at work. All but its condition belongs to the dispatcher's loop.
type receiver struct {
	name     string
	sender   engine.Notifier
	group    time.Duration
	timeout  time.Duration
	slots    int
	queue    []*lane
	underWay int
	pace     time.Duration // of an attempt, smoothed
	deferred int           // lanes that were sent back to the store since the outbox was last read

	mu       sync.Mutex
	failures int // in a row
	since    time.Time
	failure  string
}

func newReceiver(c Receiver, sender engine.Notifier) *receiver {
	return &receiver{
		name: c.Name, sender: sender, group: c.GroupInterval,
		timeout: cmp.Or(c.Timeout, defaultTimeout), slots: cmp.Or(c.Concurrency, defaultConcurrency),
	}
}

// Bounds of how long a lane stays in the store because the queue is full.
const (
	minDeferral = 100 * time.Millisecond
	maxDeferral = time.Minute
)

// deferral returns for how long one more lane should stay in the store: about as long as what is before it needs.
func (r *receiver) deferral() time.Duration {
	queue := r.pace * time.Duration(maxQueue/r.slots)
	d := min(maxDeferral, max(minDeferral, queue)) * time.Duration(1+r.deferred/maxQueue)
	r.deferred++
	return d
}

// observe keeps the result of an attempt.
func (r *receiver) observe(err error, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.failures, r.failure = 0, ""
		return
	}
	if r.failures == 0 {
		r.since = now
	}
	r.failures++
	r.failure = cut(err.Error(), maxErrorBytes)
}

// condition returns since when attempts have failed and why the latest did; false when the latest one worked.
func (r *receiver) condition() (failures int, since time.Time, failure string, failing bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failures, r.since, r.failure, r.failures > 0
}
