package embedded

import (
	"cmp"
	"container/heap"
	"math"
	"slices"
	"unique"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/retrieval"
)

// each calls visit with the rows that pass the filter. Ids and services are looked up; without either, all rows are scanned.
func (c *collection) each(f engine.Filter, visit func(i int)) {
	match := c.matcher(f)
	if len(f.IDs) > 0 {
		seen := make(map[int]bool, len(f.IDs))
		for _, id := range f.IDs {
			if i, known := c.index[id]; known && !seen[i] && match(i) {
				seen[i] = true
				visit(i)
			}
		}
		return
	}
	if f.Service != "" {
		for _, i := range c.postings.rows[unique.Make(f.Service)] {
			if match(i) {
				visit(i)
			}
		}
		return
	}
	for i := range c.rows {
		if match(i) {
			visit(i)
		}
	}
}

// matcher compiles all of the filter but its ids.
func (c *collection) matcher(f engine.Filter) func(i int) bool {
	service, operation := unique.Make(f.Service), unique.Make(f.Operation)
	version, region := unique.Make(f.Version), unique.Make(f.Region)
	from, before := retrieval.Nanos(f.From), retrieval.Nanos(f.Before)
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

// nearest finds the k rows most similar to the unit vector v, most similar first and the lesser id before the greater: what
// computing every similarity would find, to the bit.
func (c *collection) nearest(f engine.Filter, v []float32, k int) []engine.Neighbor {
	top := best{c: c}
	for _, candidate := range c.candidates(f, v, k) {
		if len(top.hits) < k || candidate.upper >= float64(top.hits[0].similarity) {
			top.offer(hit{candidate.row, dot(c.vector(candidate.row), v)}, k)
		}
	}
	slices.SortFunc(top.hits, top.compare)
	neighbors := make([]engine.Neighbor, len(top.hits))
	for n, h := range top.hits {
		// Rounding may carry the product of two unit vectors past 1.
		neighbors[n] = engine.Neighbor{Memo: c.memo(h.row), Similarity: max(-1, min(1, float64(h.similarity)))}
	}
	return neighbors
}

// candidate is a row whose similarity is at most upper.
type candidate struct {
	row   int
	upper float64
}

// candidates finds the rows that may be among the k nearest to v. Rows that cannot are those whose upper bound is less than
// the lower bounds of k others. Of vectors that lie apart a few more than k remain; where all are nearly the same, all do, and
// the search takes as long as a full scan and this.
func (c *collection) candidates(f engine.Filter, v []float32, k int) []candidate {
	const block = 256
	var (
		q        = c.codes.query(v)
		rows     [block]int
		products [block]int32
		n        int
		highest  = lowerBounds{k: k}
		found    []candidate
	)
	weigh := func() {
		c.codes.products(products[:n], rows[:n], &q)
		for i, row := range rows[:n] {
			lower, upper := c.codes.bounds(&q, row, products[i])
			if upper >= highest.floor() {
				found = append(found, candidate{row, upper})
				highest.offer(lower)
			}
		}
		n = 0
	}
	c.each(f, func(row int) {
		rows[n] = row
		if n++; n == block {
			weigh()
		}
	})
	weigh()
	return slices.DeleteFunc(found, func(x candidate) bool { return x.upper < highest.floor() })
}

// lowerBounds are the k highest lower bounds so far: a heap once there are k, its root the least of them.
type lowerBounds struct {
	k     int
	bound []float64
}

// floor is the least of k bounds, and -Inf as long as there are fewer.
func (h *lowerBounds) floor() float64 {
	if len(h.bound) < h.k {
		return math.Inf(-1)
	}
	return h.bound[0]
}

func (h *lowerBounds) offer(bound float64) {
	if len(h.bound) < h.k {
		if h.bound = append(h.bound, bound); len(h.bound) == h.k {
			slices.Sort(h.bound) // which makes it a heap
		}
		return
	}
	if bound <= h.bound[0] {
		return
	}
	at := 0
	for child := 1; child < h.k; child = 2*at + 1 {
		if child+1 < h.k && h.bound[child+1] < h.bound[child] {
			child++
		}
		if h.bound[child] >= bound {
			break
		}
		h.bound[at], at = h.bound[child], child
	}
	h.bound[at] = bound
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
