package security

import (
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/llm-sentinel/llm-sentinel/statistical"
)

// table keeps something for each of the keys that account for most of what is counted, at least for capacity of them and at most for
// twice as many.
type table[T any] struct {
	heavy    *statistical.HeavyHitters
	items    map[string]*T
	capacity int
}

func newTable[T any](capacity int, halfLife time.Duration) *table[T] {
	return &table[T]{
		heavy:    statistical.NewHeavyHitters(statistical.HeavyHittersConfig{Capacity: capacity, HalfLife: halfLife}),
		items:    make(map[string]*T),
		capacity: capacity,
	}
}

// count counts one for the key and returns what is kept for it, and whether that is new.
func (t *table[T]) count(at time.Time, key string) (x *T, fresh bool) {
	t.heavy.Add(at, key, 1)
	if x, ok := t.items[key]; ok {
		return x, false
	}
	if len(t.items) >= 2*t.capacity {
		for key := range t.items {
			if _, kept := t.heavy.Get(key); !kept {
				delete(t.items, key)
			}
		}
	}
	x = new(T)
	t.items[key] = x
	return x, true
}

// all goes through what is kept in a fixed order, so that sums do not depend on chance.
func (t *table[T]) all() iter.Seq2[string, *T] {
	return func(yield func(string, *T) bool) {
		for _, key := range slices.Sorted(maps.Keys(t.items)) {
			if !yield(key, t.items[key]) {
				return
			}
		}
	}
}
