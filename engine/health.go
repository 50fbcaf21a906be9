package engine

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Health is what works less well than it should.
type Health struct {
	Degraded []Degradation     `json:"degraded"`
	Dropped  map[string]uint64 `json:"dropped"` // by reason, since start; zero counts left out
	Queued   map[string]int    `json:"queued"`
	Sampling Sampling          `json:"sampling"`
}

// Degradation is one part that does not work, and what stands in.
type Degradation struct {
	Part   string    `json:"part"`
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"`
}

// condition keeps track of what is degraded and of what was dropped.
type condition struct {
	mu       sync.Mutex
	degraded map[string]Degradation
	dropped  map[string]uint64
}

func newCondition() *condition {
	return &condition{degraded: make(map[string]Degradation), dropped: make(map[string]uint64)}
}

// failed marks a part as degraded; worked clears it.
func (c *condition) failed(part, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, ok := c.degraded[part]
	if !ok {
		d = Degradation{Part: part, Since: time.Now()}
	}
	d.Reason = reason
	c.degraded[part] = d
}

func (c *condition) worked(part string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.degraded, part)
}

func (c *condition) drop(reason string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropped[reason] += uint64(n)
}

func (c *condition) report() Health {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Health{
		Degraded: slices.SortedFunc(maps.Values(c.degraded), func(a, b Degradation) int { return strings.Compare(a.Part, b.Part) }),
		Dropped:  maps.Clone(c.dropped),
	}
}
