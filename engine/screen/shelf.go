package screen

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// How series come and go.
const (
	maxRows      = 500                    // series that are written or read at once
	maxWaiting   = 64 << 20               // bytes of states of evicted series that wait to be written
	maxAside     = 128 << 20              // bytes of states that are put aside while others are written
	maxHeld      = 20_000                 // spans that are held back until their series are read, over all series
	readWithin   = 250 * time.Millisecond // wall time that a judgement waits for series that are on the shelf
	retryAfter   = 10 * time.Second       // wall time for which nobody waits for a shelf that did not answer
	trimFraction = 20                     // the shelf is trimmed when this fraction of what it may hold was written
)

// shelving is what the tier knows of the shelf.
//
// Every series has a row there. A snapshot marks those that changed since their row was written, and Save writes them as they were at
// that moment. Meanwhile series go on to change: what was marked and is not written yet is put aside before it does. So the rows of a
// snapshot and the rest of it are of one moment, while screening waits for neither encoding nor the store. A crash loses what every
// part loses, and what it left half written is overwritten by the next.
type shelving struct {
	shelf      engine.Shelf
	generation int64                      // number of the latest row: ascending in the order of last use
	due        []*series                  // were marked and are not put aside yet
	marked     map[engine.ShelfID]parcel  // of the latest snapshot, to be written
	waiting    map[engine.ShelfID][]byte  // of series evicted since, with what changed since: for the next snapshot
	bytes      int                        // of waiting
	aside      int                        // bytes of marked
	torn       bool                       // the latest snapshot left series out, to stay within memory
	wanted     map[engine.ShelfID]*series // that were seen again, and whose rows are not read yet
	held       int                        // spans that wait for them
	written    int                        // rows since the shelf was last trimmed
	away       time.Time                  // wall time before which nobody waits for the shelf
	trouble    error                      // of the latest call of the shelf
}

// parcel is a row that is to be written.
type parcel struct {
	generation int64
	state      []byte
}

// UseShelf makes a tier that has seen nothing keep its series on a shelf: those that memory has no room for, and a copy of the others,
// which its snapshots leave out.
func (s *Screen) UseShelf(shelf engine.Shelf) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shelving = newShelving(shelf)
}

func newShelving(shelf engine.Shelf) shelving {
	return shelving{
		shelf: shelf, marked: make(map[engine.ShelfID]parcel), waiting: make(map[engine.ShelfID][]byte), wanted: make(map[engine.ShelfID]*series),
	}
}

// shelfID is the name of a series on the shelf: of one length, whatever its key.
func shelfID(k engine.SeriesKey) (id engine.ShelfID) {
	var e stateWriter
	e.key(k)
	sum := sha256.Sum256(e.buf)
	copy(id[:], sum[:])
	return id
}

// change is called before a series changes.
func (s *Screen) change(x *series) {
	if x.due {
		s.putAside(x)
	}
	x.dirty = s.shelf != nil
}

// putAside keeps the state of a marked series until it is written.
func (s *Screen) putAside(x *series) {
	x.due = false
	data, err := x.MarshalBinary()
	if err != nil || s.aside+len(data) > maxAside {
		s.trouble = errors.Join(s.trouble, err)
		x.dirty, s.torn = true, true
		return
	}
	s.keep(shelfID(x.key), parcel{x.generation, data})
}

// keep puts a state among those that are to be written, in place of an older one.
func (s *Screen) keep(id engine.ShelfID, p parcel) {
	s.aside += len(p.state) - len(s.marked[id].state)
	s.marked[id] = p
}

// makeRoom is called with a series that memory has no room for.
func (s *Screen) makeRoom(x *series) {
	if x.pending {
		delete(s.wanted, shelfID(x.key))
		s.held -= len(x.held)
	}
	if s.shelf == nil || x.pending {
		s.evicted.WithLabelValues("series").Inc()
		return
	}
	if x.due {
		s.putAside(x)
	}
	if !x.dirty {
		s.shelved.Inc()
		return // its row is what it is
	}
	data, err := x.MarshalBinary()
	if err != nil || s.bytes+len(data) > maxWaiting {
		s.trouble = errors.Join(s.trouble, err)
		s.evicted.WithLabelValues("series").Inc()
		return
	}
	s.bytes += len(data)
	s.waiting[shelfID(x.key)] = data
	s.shelved.Inc()
}

// recall makes the series of a key that is not in memory: as it was where its state is still to be written, else empty, to wait for
// its row.
func (s *Screen) recall(k engine.SeriesKey) *series {
	if s.shelf == nil {
		return &series{key: cloneKey(k), base: s.nothing.fresh()}
	}
	id := shelfID(k)
	if x := s.unwritten(id); x != nil {
		if data, ok := s.waiting[id]; ok {
			s.bytes -= len(data)
			delete(s.waiting, id)
			x.dirty = true // what was marked is older
		}
		return x
	}
	x := &series{key: cloneKey(k), base: s.nothing.fresh(), pending: true}
	s.wanted[id] = x
	return x
}

// unwritten returns the series with the newest state that waits to be written, nil when none does.
func (s *Screen) unwritten(id engine.ShelfID) *series {
	data, ok := s.waiting[id]
	if !ok {
		data = s.marked[id].state
	}
	if data == nil {
		return nil
	}
	x, err := readSeries(&s.nothing, data)
	if err != nil {
		s.trouble = err // it was written by this process
		return nil
	}
	return x
}

// hold keeps a span until the row of its series is read.
func (s *Screen) hold(x *series, span *engine.Span, ownFault bool) {
	if s.held >= maxHeld {
		s.giveUp(x)
		s.evicted.WithLabelValues("series").Inc()
		s.take(x, span, ownFault)
		return
	}
	kept := *span
	kept.System, kept.Input, kept.Output, kept.Evaluations = nil, nil, nil, nil
	x.held = append(x.held, heldSpan{kept, ownFault})
	s.held++
}

// heldSpan is a span of a series that is not read yet.
type heldSpan struct {
	Span     engine.Span
	OwnFault bool
}

// giveUp lets a series begin anew instead of waiting for its row.
func (s *Screen) giveUp(x *series) { s.arrive(x, &series{base: s.nothing.fresh()}) }

// arrive makes a pending series what its row says, and lets what was held back happen to it.
func (s *Screen) arrive(x, row *series) {
	held := x.held
	x.pending, x.held = false, nil
	delete(s.wanted, shelfID(x.key))
	x.provider, x.base, x.timeline, x.versions, x.strange = row.provider, row.base, row.timeline, row.versions, row.strange
	s.held -= len(held)
	for i := range held {
		s.take(x, &held[i].Span, held[i].OwnFault)
	}
}

// Fetch implements engine.SeriesKeeper.
func (s *Screen) Fetch(ctx context.Context) error {
	s.mu.Lock()
	want := make([]engine.ShelfID, 0, len(s.wanted))
	for id := range s.wanted {
		want = append(want, id)
	}
	trouble, away := s.trouble, time.Now().Before(s.away)
	s.trouble = nil
	s.mu.Unlock()
	if away && len(want) > 0 {
		return errors.Join(trouble, errors.New("screen: the shelf did not answer, it is asked again soon"))
	}
	_, err := s.read(ctx, want)
	return errors.Join(trouble, err)
}

// read takes rows from the shelf and lets the series arrive that wait for them. It returns the others. A series without a row begins
// anew.
func (s *Screen) read(ctx context.Context, want []engine.ShelfID) (map[engine.SeriesKey]*series, error) {
	others := make(map[engine.SeriesKey]*series)
	for len(want) > 0 {
		some := want[:min(len(want), maxRows)]
		want = want[len(some):]
		rows, err := s.shelf.ShelvedSeries(ctx, some)
		s.mu.Lock()
		if err != nil {
			s.away = time.Now().Add(retryAfter)
			s.mu.Unlock()
			return others, fmt.Errorf("screen: read series: %w", err)
		}
		s.away = time.Time{}
		have := make(map[engine.ShelfID]*series, len(rows))
		for _, row := range rows {
			x, e := readSeries(&s.nothing, row.State)
			if e != nil {
				err = errors.Join(err, fmt.Errorf("screen: begins anew: %w", e))
				s.evicted.WithLabelValues("series").Inc()
				continue
			}
			have[row.ID] = x
		}
		for _, id := range some {
			row := have[id]
			if x := s.wanted[id]; x != nil {
				if row == nil {
					s.giveUp(x)
				} else {
					s.arrive(x, row)
				}
			} else if row != nil {
				others[row.key] = row
			}
		}
		s.mu.Unlock()
		if err != nil {
			return others, err
		}
	}
	return others, nil
}

// await reads the series among keys that are not in memory. It returns those that nothing was seen of since they left. Without an
// answer in time they are taken to be unknown.
func (s *Screen) await(keys []engine.SeriesKey) map[engine.SeriesKey]*series {
	s.mu.Lock()
	if s.shelf == nil {
		s.mu.Unlock()
		return nil
	}
	var want []engine.ShelfID
	found := make(map[engine.SeriesKey]*series)
	for _, k := range keys {
		x := s.series.peek(k)
		if x != nil && !x.pending {
			continue
		}
		id := shelfID(k)
		if x == nil {
			if x = s.unwritten(id); x != nil {
				found[k] = x
				continue
			}
		}
		want = append(want, id)
	}
	away := time.Now().Before(s.away)
	s.mu.Unlock()
	if away || len(want) == 0 {
		return found
	}
	ctx, cancel := context.WithTimeout(context.Background(), readWithin)
	defer cancel()
	others, err := s.read(ctx, want)
	if err != nil {
		s.mu.Lock()
		s.trouble = errors.Join(s.trouble, err)
		s.mu.Unlock()
	}
	for k, x := range others {
		found[k] = x
	}
	return found
}

// awaitAll reads every series that was seen again, before windows close.
func (s *Screen) awaitAll() {
	s.mu.Lock()
	keys := make([]engine.SeriesKey, 0, len(s.wanted))
	for _, x := range s.wanted {
		keys = append(keys, x.key)
	}
	s.mu.Unlock()
	s.await(keys)
}

// Crowded implements engine.SeriesKeeper.
func (s *Screen) Crowded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes > maxWaiting/4
}

// mark makes this the moment of which Save writes the series. It is part of the snapshot of the rest.
func (s *Screen) mark() {
	for id, data := range s.waiting {
		s.generation++
		s.keep(id, parcel{s.generation, data})
	}
	clear(s.waiting)
	s.bytes = 0
	for x := s.series.ends.newer; x != nil; x = x.newer {
		if x.dirty {
			s.generation++
			x.dirty, x.due, x.generation = false, true, s.generation
			s.due = append(s.due, x)
		}
	}
}

// Save implements engine.SeriesKeeper.
func (s *Screen) Save(ctx context.Context) error {
	if s.shelf == nil {
		return nil
	}
	for {
		rows, torn := s.nextRows()
		if torn {
			s.unmark()
			return engine.Errorf(engine.CodeUnavailable, "screen: series change faster than the store takes them")
		}
		if len(rows) == 0 {
			return s.trim(ctx)
		}
		if err := s.shelf.ShelveSeries(ctx, rows); err != nil {
			s.unmark()
			return fmt.Errorf("screen: write series: %w", err)
		}
		s.mu.Lock()
		for _, row := range rows {
			delete(s.marked, row.ID)
			s.aside -= len(row.State)
		}
		s.written += len(rows)
		s.mu.Unlock()
	}
}

// nextRows puts aside what is due, and returns some of what is to be written, or that the snapshot is torn.
func (s *Screen) nextRows() (rows []engine.ShelvedSeries, torn bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.marked) < maxRows && len(s.due) > 0 {
		x := s.due[len(s.due)-1]
		s.due = s.due[:len(s.due)-1]
		if x.due {
			s.putAside(x)
		}
	}
	for id, p := range s.marked {
		if len(rows) == maxRows {
			break
		}
		rows = append(rows, engine.ShelvedSeries{ID: id, Generation: p.generation, State: p.state})
	}
	return rows, s.torn
}

// unmark lets what the shelf did not take wait for the next snapshot.
func (s *Screen) unmark() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.due {
		if x.due {
			x.due, x.dirty = false, true
		}
	}
	s.due, s.torn, s.aside = s.due[:0], false, 0
	for x := s.series.ends.newer; x != nil; x = x.newer {
		id := shelfID(x.key)
		if _, ok := s.marked[id]; ok {
			x.dirty = true
			delete(s.marked, id)
		}
	}
	for id, p := range s.marked {
		delete(s.marked, id)
		if _, newer := s.waiting[id]; newer {
			continue
		}
		if s.bytes+len(p.state) > maxWaiting {
			s.evicted.WithLabelValues("series").Inc()
			continue
		}
		s.bytes += len(p.state)
		s.waiting[id] = p.state
	}
}

// trim keeps the shelf within its bound.
func (s *Screen) trim(ctx context.Context) error {
	s.mu.Lock()
	often := s.written*trimFraction < s.cfg.MaxShelved
	s.mu.Unlock()
	if often {
		return nil
	}
	n, err := s.shelf.TrimSeries(ctx, s.cfg.MaxShelved)
	if err != nil {
		return fmt.Errorf("screen: trim the shelf: %w", err)
	}
	s.mu.Lock()
	s.written = 0
	s.mu.Unlock()
	s.evicted.WithLabelValues("shelved").Add(float64(n))
	return nil
}

// Load implements engine.SeriesKeeper.
func (s *Screen) Load(ctx context.Context) error {
	if s.shelf == nil {
		return nil
	}
	unreadable := 0
	err := s.shelf.NewestSeries(ctx, s.cfg.MaxSeries, func(row engine.ShelvedSeries) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.generation = max(s.generation, row.Generation)
		x, err := readSeries(&s.nothing, row.State)
		if err != nil {
			unreadable++
			return nil
		}
		if waits := s.series.peek(x.key); waits == nil {
			s.series.add(x)
		} else if waits.pending {
			s.arrive(waits, x)
		}
		return nil
	})
	switch {
	case err != nil:
		return fmt.Errorf("screen: load series: %w", err)
	case unreadable > 0:
		return engine.Errorf(engine.CodeInvalid, "screen: %d series are unreadable, they begin anew", unreadable)
	}
	return nil
}
