package screen

import (
	"hash/maphash"
	"strings"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// index finds series by their key and knows which was used least recently. Order and keys are in the series themselves: beside
// them it takes some 30 bytes a series, a tenth of what a general LRU takes for keys of six strings.
type index struct {
	most    int
	evict   func(*series) // is told of a series that has made room for another
	seed    maphash.Seed
	by      map[uint64]*series // by hash of the key
	ends    place              // newer is the least recently used series, older the most recently used one
	entries int
}

// place is where a series stands in an index.
type place struct {
	newer, older *series // nil at the ends
	twin         *series // another with the same hash
}

func newIndex(most int, evict func(*series)) *index {
	return &index{most: most, evict: evict, seed: maphash.MakeSeed(), by: make(map[uint64]*series)}
}

func (x *index) hash(k engine.SeriesKey) uint64 { return maphash.Comparable(x.seed, k) }

func (x *index) len() int { return x.entries }

// peek returns the series of a key, nil when there is none.
func (x *index) peek(k engine.SeriesKey) *series {
	s := x.by[x.hash(k)]
	for s != nil && s.key != k {
		s = s.twin
	}
	return s
}

// get does as peek, and makes the series the most recently used one.
func (x *index) get(k engine.SeriesKey) *series {
	s := x.peek(k)
	if s != nil && s.newer != nil {
		x.unlink(s)
		x.link(s)
	}
	return s
}

// add puts in a series whose key is not there, as the most recently used one.
func (x *index) add(s *series) {
	if x.entries >= x.most {
		oldest := x.ends.newer
		x.remove(oldest)
		x.evict(oldest)
	}
	h := x.hash(s.key)
	s.twin, x.by[h] = x.by[h], s
	x.link(s)
	x.entries++
}

func (x *index) remove(s *series) {
	h := x.hash(s.key)
	if x.by[h] == s {
		if x.by[h] = s.twin; s.twin == nil {
			delete(x.by, h)
		}
	} else {
		before := x.by[h]
		for before.twin != s {
			before = before.twin
		}
		before.twin = s.twin
	}
	s.twin = nil
	x.unlink(s)
	x.entries--
}

// link puts a series at the end of those most recently used.
func (x *index) link(s *series) {
	s.older, s.newer = x.ends.older, nil
	if s.older != nil {
		s.older.newer = s
	} else {
		x.ends.newer = s
	}
	x.ends.older = s
}

func (x *index) unlink(s *series) {
	if s.older != nil {
		s.older.newer = s.newer
	} else {
		x.ends.newer = s.newer
	}
	if s.newer != nil {
		s.newer.older = s.older
	} else {
		x.ends.older = s.older
	}
	s.older, s.newer = nil, nil
}

// all lists the series, the least recently used first.
func (x *index) all() []*series {
	out := make([]*series, 0, x.entries)
	for s := x.ends.newer; s != nil; s = s.newer {
		out = append(out, s)
	}
	return out
}

// cloneKey frees a key from the message in which its strings came.
func cloneKey(k engine.SeriesKey) engine.SeriesKey {
	return engine.SeriesKey{
		Service: strings.Clone(k.Service), Operation: engine.Operation(strings.Clone(string(k.Operation))), Model: strings.Clone(k.Model),
		Agent: strings.Clone(k.Agent), Tool: strings.Clone(k.Tool), Region: strings.Clone(k.Region),
	}
}
