package engine

import "sync"

// caughtUp are the traces out of the backlog that were looked at and are still in it, until what was found is stored.
type caughtUp struct {
	mu     sync.Mutex
	traces map[TraceID]bool // whether it may leave
}

// begin reports whether the trace was not under way yet.
func (c *caughtUp) begin(id TraceID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, underway := c.traces[id]; underway {
		return false
	}
	if c.traces == nil {
		c.traces = make(map[TraceID]bool)
	}
	c.traces[id] = false
	return true
}

// end takes note of how the trace was stored. What was shed is looked at again; what can never be stored must not stay at the head.
func (c *caughtUp) end(id TraceID, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ErrorCode(err) == CodeUnavailable {
		delete(c.traces, id)
	} else {
		c.traces[id] = true
	}
}

// stored are those that may leave the backlog.
func (c *caughtUp) stored() (ids []TraceID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, may := range c.traces {
		if may {
			ids = append(ids, id)
		}
	}
	return ids
}

func (c *caughtUp) forget(ids []TraceID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		delete(c.traces, id)
	}
}

func (c *caughtUp) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.traces)
}
