package embedded

import (
	"cmp"
	"container/heap"
	"slices"
	"unique"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/retrieval"
)

// collection is the rows of one engine.Collection, in no order. What a scan looks at lies in columns of its own; equal
// strings are one handle, so that a filter compares words.
type collection struct {
	key      engine.Collection
	vectors  []float32 // row i at [i*dimension : (i+1)*dimension], of unit length
	codes    codes     // what a scan reads of the vectors
	services []unique.Handle[string]
	postings postings // rows by service
	rows     []row
	index    map[string]int // row by memo id
	evicted  uint64
}

type row struct {
	id, text                   string
	operation, version, region unique.Handle[string]
	family, source             unique.Handle[string]
	at                         int64
}

func newCollection(key engine.Collection) *collection {
	return &collection{key: key, codes: newCodes(key.Model.Dimension), postings: newPostings(), index: map[string]int{}}
}

func (c *collection) vector(i int) []float32 {
	d := c.key.Model.Dimension
	return c.vectors[i*d : (i+1)*d]
}

// put adds a memo, or replaces the one with its id. The vector is copied.
func (c *collection) put(m engine.Memo) {
	r := row{
		id: m.ID, text: m.Text, operation: unique.Make(m.Operation), version: unique.Make(m.Version),
		region: unique.Make(m.Region), family: unique.Make(m.Family), source: unique.Make(m.Source), at: retrieval.Nanos(m.At),
	}
	service := unique.Make(m.Service)
	if i, known := c.index[m.ID]; known {
		c.postings.unlist(i, c.services[i])
		c.postings.list(i, service)
		c.rows[i], c.services[i] = r, service
		copy(c.vector(i), m.Vector)
		c.codes.set(i, m.Vector)
		return
	}
	i := len(c.rows)
	c.index[m.ID] = i
	c.rows = append(c.rows, r)
	c.services = append(c.services, service)
	c.postings.add(i, service)
	c.vectors = append(c.vectors, m.Vector...)
	c.codes.grow()
	c.codes.set(i, m.Vector)
}

// remove deletes a memo by moving the last row into its place.
func (c *collection) remove(id string) {
	i, known := c.index[id]
	if !known {
		return
	}
	last := len(c.rows) - 1
	c.postings.unlist(i, c.services[i])
	c.postings.move(i, last, c.services[last])
	copy(c.vector(i), c.vector(last))
	c.codes.move(i, last)
	c.rows[i], c.services[i] = c.rows[last], c.services[last]
	c.index[c.rows[i].id] = i
	delete(c.index, id)
	c.rows[last] = row{} // its strings can be collected
	c.rows, c.services = c.rows[:last], c.services[:last]
	c.vectors = c.vectors[:last*c.key.Model.Dimension]
	c.codes.truncate(last)
}

// memo is what row i stands for, without its vector.
func (c *collection) memo(i int) engine.Memo {
	r := &c.rows[i]
	return engine.Memo{
		ID: r.id, Collection: c.key, Text: r.text, Service: c.services[i].Value(), Operation: r.operation.Value(),
		Version: r.version.Value(), Region: r.region.Value(), Family: r.family.Value(), Source: r.source.Value(), At: retrieval.Time(r.at),
	}
}

// overflow says which memos, oldest first and the lesser id before the greater, have to go so that at most limit remain
// once batch is put. They may be memos of the batch itself.
func (c *collection) overflow(batch map[string]engine.Memo, limit int) []string {
	surplus := len(c.rows) - limit
	for id := range batch {
		if _, known := c.index[id]; !known {
			surplus++
		}
	}
	if surplus <= 0 {
		return nil
	}
	oldest := make(youngestFirst, 0, surplus+1)
	consider := func(a aged) {
		if len(oldest) == surplus && a.compare(oldest[0]) >= 0 {
			return
		}
		heap.Push(&oldest, a)
		if len(oldest) > surplus {
			heap.Pop(&oldest)
		}
	}
	for i := range c.rows {
		if _, replaced := batch[c.rows[i].id]; !replaced {
			consider(aged{c.rows[i].at, c.rows[i].id})
		}
	}
	for id, m := range batch {
		consider(aged{retrieval.Nanos(m.At), id})
	}
	slices.SortFunc(oldest, aged.compare)
	ids := make([]string, len(oldest))
	for i, a := range oldest {
		ids[i] = a.id
	}
	return ids
}

type aged struct {
	at int64
	id string
}

func (a aged) compare(b aged) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.id, b.id)) }

// youngestFirst is a heap that keeps the oldest: its root is the one to be displaced.
type youngestFirst []aged

func (h youngestFirst) Len() int           { return len(h) }
func (h youngestFirst) Less(i, j int) bool { return h[i].compare(h[j]) > 0 }
func (h youngestFirst) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *youngestFirst) Push(x any)        { *h = append(*h, x.(aged)) }
func (h *youngestFirst) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}
