package embedded

import (
	"cmp"
	"container/heap"
	"slices"
	"unique"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// each calls visit with the rows that pass the filter. Ids are looked up; without any, all rows are scanned.
func (c *collection) each(f engine.Filter, visit func(i int)) {
	match := c.matcher(f)
	if len(f.IDs) == 0 {
		for i := range c.rows {
			if match(i) {
				visit(i)
			}
		}
		return
	}
	seen := make(map[int]bool, len(f.IDs))
	for _, id := range f.IDs {
		if i, known := c.index[id]; known && !seen[i] && match(i) {
			seen[i] = true
			visit(i)
		}
	}
}

// matcher compiles all of the filter but its ids.
func (c *collection) matcher(f engine.Filter) func(i int) bool {
	service, operation := unique.Make(f.Service), unique.Make(f.Operation)
	version, region := unique.Make(f.Version), unique.Make(f.Region)
	from, before := nanos(f.From), nanos(f.Before)
	onlyService := f.Operation == "" && f.Version == "" && f.Region == "" && f.From.IsZero() && f.Before.IsZero()
	return func(i int) bool {
		if f.Service != "" && c.services[i] != service {
			return false
		}
		if onlyService {
			return true
		}
		r := &c.rows[i]
		return (f.Operation == "" || r.operation == operation) &&
			(f.Version == "" || r.version == version) &&
			(f.Region == "" || r.region == region) &&
			(f.From.IsZero() || r.at >= from) &&
			(f.Before.IsZero() || r.at < before)
	}
}

// nearest finds the k rows most similar to the unit vector v, most similar first and the lesser id before the greater.
func (c *collection) nearest(f engine.Filter, v []float32, k int) []engine.Neighbor {
	top := best{c: c}
	c.each(f, func(i int) { top.offer(hit{i, dot(c.vector(i), v)}, k) })
	slices.SortFunc(top.hits, top.compare)
	neighbors := make([]engine.Neighbor, len(top.hits))
	for n, h := range top.hits {
		// Rounding may carry the product of two unit vectors past 1.
		neighbors[n] = engine.Neighbor{Memo: c.memo(h.row), Similarity: max(-1, min(1, float64(h.similarity)))}
	}
	return neighbors
}

type hit struct {
	row        int
	similarity float32
}

// best is a heap of the best hits so far; its root is the worst of them, the one to be displaced.
type best struct {
	c    *collection
	hits []hit
}

// compare orders hits from the best to the worst.
func (b *best) compare(x, y hit) int {
	return cmp.Or(cmp.Compare(y.similarity, x.similarity), cmp.Compare(b.c.rows[x.row].id, b.c.rows[y.row].id))
}

func (b *best) offer(h hit, k int) {
	if len(b.hits) < k {
		heap.Push(b, h)
		return
	}
	if b.compare(h, b.hits[0]) < 0 {
		b.hits[0] = h
		heap.Fix(b, 0)
	}
}

func (b *best) Len() int           { return len(b.hits) }
func (b *best) Less(i, j int) bool { return b.compare(b.hits[i], b.hits[j]) > 0 }
func (b *best) Swap(i, j int)      { b.hits[i], b.hits[j] = b.hits[j], b.hits[i] }
func (b *best) Push(x any)         { b.hits = append(b.hits, x.(hit)) }
func (b *best) Pop() any {
	last := len(b.hits) - 1
	x := b.hits[last]
	b.hits = b.hits[:last]
	return x
}
