package security

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// format is raised when the snapshot changes in a way that older ones cannot be read.
const format = 1

// snapshot is the state as it is written. What statistical objects have learnt is in their own binary form: it is read back into objects made
// with the configuration of today.
type snapshot struct {
	Format     int
	Window     int64 // nanoseconds; ticks mean nothing under another one
	Seen       []uint64
	Activities tableState[activity]
	Violators  tableState[violator]
	Habits     tableState[habits]
	Signatures tableState[crowdState]
	Services   tableState[crowdState]
	Guarded    []entry[engine.TraceID, guarded]
	Answered   []entry[engine.TraceID, answered]
	Passages   []entry[string, passage]
	Peers      map[string]peers
	Recidivism map[string]recidivism
	Found      []engine.Finding
	Began      int64
	Folded     int64
	Today      int64
	Active     int
}

type tableState[T any] struct {
	Heavy []byte
	Items map[string]T
}

type crowdState struct {
	Crowd        crowd
	Rate, Volume []byte
}

// entry is one of a list, least recently used first.
type entry[K comparable, V any] struct {
	Key   K
	Value V
}

// Snapshot implements engine.Snapshotter.
func (s *Screener) Snapshot(w io.Writer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	out, err := s.write()
	if err == nil {
		err = gob.NewEncoder(w).Encode(out)
	}
	if err != nil {
		return fmt.Errorf("security: snapshot: %w", err)
	}
	return nil
}

func (s *Screener) write() (snapshot, error) {
	out := snapshot{
		Format: format, Window: int64(s.cfg.Window), Seen: s.seen.list(), Guarded: entries(s.guarded), Answered: entries(s.answered),
		Peers: make(map[string]peers), Recidivism: s.recidivism, Found: s.found, Began: s.began, Folded: s.folded, Today: s.today, Active: s.active,
	}
	for key, p := range s.peers {
		out.Peers[key] = *p
	}
	for _, p := range entries(s.passages) {
		out.Passages = append(out.Passages, entry[string, passage]{p.Key, *p.Value})
	}
	var err error
	if out.Activities, err = writeTable(s.activities, same[activity]); err != nil {
		return out, fmt.Errorf("activities: %w", err)
	}
	if out.Violators, err = writeTable(s.violators, same[violator]); err != nil {
		return out, fmt.Errorf("violators: %w", err)
	}
	if out.Habits, err = writeTable(s.habits, same[habits]); err != nil {
		return out, fmt.Errorf("habits: %w", err)
	}
	if out.Signatures, err = writeTable(s.signatures, writeCrowd); err != nil {
		return out, fmt.Errorf("signatures: %w", err)
	}
	if out.Services, err = writeTable(s.services, writeCrowd); err != nil {
		return out, fmt.Errorf("services: %w", err)
	}
	return out, nil
}

func entries[K comparable, V any](l *simplelru.LRU[K, V]) []entry[K, V] {
	out := make([]entry[K, V], 0, l.Len())
	for _, k := range l.Keys() {
		v, _ := l.Peek(k)
		out = append(out, entry[K, V]{k, v})
	}
	return out
}

func same[T any](x *T) (T, error) { return *x, nil }

func writeCrowd(c *crowd) (crowdState, error) {
	rate, err := c.rate.MarshalBinary()
	if err != nil {
		return crowdState{}, err
	}
	volume, err := c.volume.MarshalBinary()
	return crowdState{*c, rate, volume}, err
}

func writeTable[T, U any](t *table[T], write func(*T) (U, error)) (tableState[U], error) {
	heavy, err := t.heavy.MarshalBinary()
	out := tableState[U]{Heavy: heavy, Items: make(map[string]U, len(t.items))}
	if err != nil {
		return out, err
	}
	for key, x := range t.items {
		if out.Items[key], err = write(x); err != nil {
			return out, fmt.Errorf("%s: %w", key, err)
		}
	}
	return out, nil
}

// Restore implements engine.Snapshotter. The state is as it was, but for what the configuration no longer leaves room for. On an error
// nothing changes.
func (s *Screener) Restore(r io.Reader) error {
	in := snapshot{}
	if err := gob.NewDecoder(r).Decode(&in); err != nil {
		return fmt.Errorf("security: restore: %w", err)
	}
	if in.Format != format {
		return fmt.Errorf("security: restore: snapshot has format %d, want %d", in.Format, format)
	}
	if in.Window != int64(s.cfg.Window) {
		return errors.New("security: restore: snapshot was made with another window")
	}
	st, err := newState(s.cfg)
	if err != nil {
		return err
	}
	if err := s.readState(&in, &st); err != nil {
		return fmt.Errorf("security: restore: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = st
	return nil
}

func (s *Screener) readState(in *snapshot, out *state) error {
	if in.Began < 0 || in.Folded < 0 || in.Today < 0 || len(in.Found) > maxFound {
		return errors.New("impossible times")
	}
	out.found, out.began, out.folded, out.today, out.active = in.Found, in.Began, in.Folded, in.Today, in.Active
	for _, h := range in.Seen {
		out.seen.add(h)
	}
	if err := readTable(in.Activities, out.activities, func(x activity) (*activity, error) {
		return &x, errors.Join(x.Ring.check(x.Folded), x.Past.check())
	}); err != nil {
		return fmt.Errorf("activities: %w", err)
	}
	if err := readTable(in.Violators, out.violators, func(x violator) (*violator, error) {
		if x.First < 0 || x.Newest < x.First {
			return nil, errors.New("impossible days")
		}
		return &x, nil
	}); err != nil {
		return fmt.Errorf("violators: %w", err)
	}
	if err := readTable(in.Habits, out.habits, func(x habits) (*habits, error) {
		if x.Hour < 0 || len(x.Places.Seen) > maxFamiliar || len(x.Clients.Seen) > maxFamiliar {
			return nil, errors.New("impossible habits")
		}
		return &x, nil
	}); err != nil {
		return fmt.Errorf("habits: %w", err)
	}
	for _, t := range []struct {
		name string
		in   tableState[crowdState]
		out  *table[crowd]
	}{{"signatures", in.Signatures, out.signatures}, {"services", in.Services, out.services}} {
		if err := readTable(t.in, t.out, s.readCrowd); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	for _, x := range in.Guarded {
		out.guarded.Add(x.Key, x.Value)
	}
	for _, x := range in.Answered {
		out.answered.Add(x.Key, x.Value)
	}
	for _, x := range in.Passages {
		p := x.Value
		if err := errors.Join(p.All.check(p.All.Newest/ticks), p.Passed[0].check(p.Passed[0].Newest/ticks), p.Passed[1].check(p.Passed[1].Newest/ticks)); err != nil || p.Window < 0 || len(p.Latest) > maxTraces {
			return fmt.Errorf("traces of %s: impossible counts", x.Key)
		}
		if !usable(p.Traces, p.Through[0], p.Through[1]) {
			return fmt.Errorf("traces of %s: impossible sums", x.Key)
		}
		out.passages.Add(x.Key, &p)
	}
	for key, p := range in.Peers {
		if err := p.Beyond.check(); err != nil || p.Window < 0 {
			return fmt.Errorf("peers %s: impossible sums", key)
		}
		out.peers[key] = &p
	}
	for kind, r := range in.Recidivism {
		if !usable(r.Again, r.Days) {
			return fmt.Errorf("days of %s: impossible sums", kind)
		}
		out.recidivism[kind] = r
	}
	return nil
}

func readTable[T, U any](in tableState[T], out *table[U], read func(T) (*U, error)) error {
	if err := out.heavy.UnmarshalBinary(in.Heavy); err != nil {
		return err
	}
	for key, x := range in.Items {
		item, err := read(x)
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		out.items[key] = item
	}
	return nil
}

func (s *Screener) readCrowd(in crowdState) (*crowd, error) {
	c := in.Crowd
	s.prepare(&c)
	if c.Sources == nil {
		c.Sources = make(map[uint32]source)
	}
	if len(c.Sources) > maxSources {
		return nil, errors.New("too many sources")
	}
	return &c, errors.Join(c.Ring.check(c.Folded), c.rate.UnmarshalBinary(in.Rate), c.volume.UnmarshalBinary(in.Volume))
}

// check says what cannot be: times before 1970, or windows that were forgotten before they were learnt.
func (r *ring) check(folded int64) error {
	if r.Newest < 0 || folded < 0 || r.Newest/ticks-folded > ringTicks/ticks {
		return errors.New("impossible times")
	}
	return nil
}

func (m *moments) check() error {
	if !usable(m.N, m.Sum, m.Squares) {
		return errors.New("impossible sums")
	}
	return nil
}

func usable(sums ...float64) bool {
	for _, x := range sums {
		if !(x >= 0) || math.IsInf(x, 1) {
			return false
		}
	}
	return true
}
