package kafka

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// condition keeps what does not work.
type condition struct {
	mu       sync.Mutex
	degraded map[string]engine.Degradation
}

func newCondition() *condition { return &condition{degraded: map[string]engine.Degradation{}} }

// failed notes that a part does not work and says whether that is news.
func (c *condition) failed(part, reason string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, known := c.degraded[part]
	if !known {
		d = engine.Degradation{Part: part, Since: time.Now()}
	}
	news := d.Reason != reason
	d.Reason = reason
	c.degraded[part] = d
	return news
}

func (c *condition) worked(part string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.degraded, part)
}

func (c *condition) report() []engine.Degradation {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.SortedFunc(maps.Values(c.degraded), func(a, b engine.Degradation) int { return cmp.Compare(a.Part, b.Part) })
}
