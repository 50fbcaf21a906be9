package statistical

import (
	"container/heap"
	"math"
	"strings"
	"time"
)

const (
	maxKeyBytes = 256
	maxKeys     = 1 << 16
	maxAmount   = 1e100
)

// HeavyHittersConfig says how a HeavyHitters remembers. A field that is not positive takes its default.
type HeavyHittersConfig struct {
	Capacity int           // number of keys held, at most 65536
	HalfLife time.Duration // event time after which an amount counts half
}

// DefaultHeavyHittersConfig returns 256 keys and a half-life of an hour.
func DefaultHeavyHittersConfig() HeavyHittersConfig {
	return HeavyHittersConfig{Capacity: 256, HalfLife: time.Hour}
}

func (c HeavyHittersConfig) withDefaults() HeavyHittersConfig {
	def := DefaultHeavyHittersConfig()
	if c.Capacity <= 0 {
		c.Capacity = def.Capacity
	}
	c.Capacity = min(c.Capacity, maxKeys)
	if c.HalfLife <= 0 {
		c.HalfLife = def.HalfLife
	}
	return c
}

// HeavyHitters finds the keys, such as users or API keys, that account for most of a quantity, such as tokens, cost or
// errors. It is the Space-Saving sketch (Metwally, Agrawal and El Abbadi, ICDT 2005) with weights under forward decay.
//
// With m keys held and a decayed total of T, every key with more than T/m is among them, and no amount is overestimated
// by more than its Error, which is at most T/m. Unlike the baselines it forgets by all the time that passes.
type HeavyHitters struct {
	cfg      HeavyHittersConfig
	time     forward
	counters counters
}

// Heavy is one key with the decayed amount that it accounts for.
type Heavy struct {
	Key    string
	Amount float64 // never less than the true amount
	Error  float64 // Amount is at most this much too high
}

// counters is a heap with the smallest amount on top, and where each key is in it.
type counters struct {
	heap     []Heavy
	position map[string]int
}

func (c *counters) Len() int           { return len(c.heap) }
func (c *counters) Less(i, j int) bool { return c.heap[i].Amount < c.heap[j].Amount }
func (c *counters) Swap(i, j int) {
	c.heap[i], c.heap[j] = c.heap[j], c.heap[i]
	c.position[c.heap[i].Key], c.position[c.heap[j].Key] = i, j
}
func (c *counters) Push(x any) {
	counter := x.(Heavy)
	c.position[counter.Key] = len(c.heap)
	c.heap = append(c.heap, counter)
}
func (c *counters) Pop() any {
	last := c.heap[len(c.heap)-1]
	c.heap = c.heap[:len(c.heap)-1]
	delete(c.position, last.Key)
	return last
}

// NewHeavyHitters returns a HeavyHitters that has seen nothing.
func NewHeavyHitters(cfg HeavyHittersConfig) *HeavyHitters {
	return &HeavyHitters{cfg: cfg.withDefaults(), counters: counters{position: map[string]int{}}}
}

// Add counts amount for key at t. Amounts that are not positive and finite are ignored, and keys are cut at 256 bytes.
func (h *HeavyHitters) Add(t time.Time, key string, amount float64) {
	if !(amount > 0) || math.IsInf(amount, 1) {
		return
	}
	key = cutKey(key)
	weight, factor := h.time.observe(t, h.cfg.HalfLife, math.MaxInt16)
	if factor != 1 {
		for i := range h.counters.heap {
			h.counters.heap[i].Amount *= factor
			h.counters.heap[i].Error *= factor
		}
	}
	amount = min(amount, maxAmount) * weight

	if i, ok := h.counters.position[key]; ok {
		h.counters.heap[i].Amount += amount
		heap.Fix(&h.counters, i)
		return
	}
	if len(h.counters.heap) < h.cfg.Capacity {
		heap.Push(&h.counters, Heavy{Key: strings.Clone(key), Amount: amount})
		return
	}
	smallest := &h.counters.heap[0]
	delete(h.counters.position, smallest.Key)
	*smallest = Heavy{Key: strings.Clone(key), Amount: smallest.Amount + amount, Error: smallest.Amount}
	h.counters.position[smallest.Key] = 0
	heap.Fix(&h.counters, 0)
}

func cutKey(key string) string {
	if len(key) > maxKeyBytes {
		return key[:maxKeyBytes]
	}
	return key
}

// Get returns what is held of a key.
func (h *HeavyHitters) Get(key string) (Heavy, bool) {
	i, ok := h.counters.position[cutKey(key)]
	if !ok {
		return Heavy{}, false
	}
	return h.decayed(h.counters.heap[i]), true
}

func (h *HeavyHitters) decayed(counter Heavy) Heavy {
	counter.Amount /= h.time.unit()
	counter.Error /= h.time.unit()
	return counter
}

// Len is the number of keys held.
func (h *HeavyHitters) Len() int { return len(h.counters.heap) }

// MarshalBinary returns a snapshot of what is held.
func (h *HeavyHitters) MarshalBinary() ([]byte, error) {
	e := newEncoder(kindHeavyHitters, 64+48*h.Len())
	h.time.encode(e)
	e.uint32(uint32(h.Len()))
	for _, counter := range h.counters.heap {
		e.string(counter.Key)
		e.float(counter.Amount)
		e.float(counter.Error)
	}
	return e.buf, nil
}

// UnmarshalBinary replaces what is held by a snapshot, of which the largest keys are kept if there are more than fit.
// On an error nothing changes.
func (h *HeavyHitters) UnmarshalBinary(data []byte) error {
	restored := NewHeavyHitters(h.cfg)
	d := newDecoder(kindHeavyHitters, data)
	restored.time.decode(d)
	n := d.length(int(d.uint32()), maxKeys, 18)
	for range n {
		counter := Heavy{Key: d.string(), Amount: d.sum(), Error: d.sum()}
		if _, twice := restored.counters.position[counter.Key]; twice {
			d.fail("key twice")
		}
		if len(counter.Key) > maxKeyBytes || counter.Error > counter.Amount {
			d.fail("impossible counter")
		}
		if d.err != nil {
			break
		}
		restored.counters.Push(counter)
	}
	if err := d.finish("heavy hitters"); err != nil {
		return err
	}
	heap.Init(&restored.counters) // changes nothing unless the snapshot was tampered with
	for restored.Len() > restored.cfg.Capacity {
		heap.Pop(&restored.counters)
	}
	*h = *restored
	return nil
}
