package screen

import (
	"encoding"
	"encoding/gob"
	"fmt"
	"io"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// format is raised when the snapshot changes in a way that older ones cannot be read.
const format = 3

// snapshot is the state as it is written, least recently used first. What statistical objects have learnt is in their own binary
// form: it is read back into objects made with the configuration of today.
type snapshot struct {
	Format      int
	Series      [][]byte // in their own form; none where they are on the shelf
	Pools       []poolState
	Services    []serviceState
	Watchers    map[string][]byte
	Inflation   map[string][]byte
	Held        []heldSpan // of series that are not read from the shelf yet
	PassedOn    []spanRef  // oldest first
	ClosedUntil time.Time
}

type poolState struct {
	Key    engine.SeriesKey
	Learnt [][]byte
}

type serviceState struct {
	Name   string
	Learnt [][]byte
	Open   map[int64]*serviceWindow
	Last   time.Time
	Busy   time.Time
	Dear   time.Time
}

// learner is any object of statistical that can be snapshotted.
type learner interface {
	encoding.BinaryMarshaler
	encoding.BinaryUnmarshaler
}

func (b *baseline) learners() []learner { return []learner{b.Latency, b.Tokens, b.Errors} }

func (v *service) learners() []learner {
	return []learner{v.Requests, v.Volume, v.Cost, v.Spend, v.Past, v.Active}
}

func write(what []learner) ([][]byte, error) {
	out := make([][]byte, len(what))
	for i, x := range what {
		var err error
		if out[i], err = x.MarshalBinary(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func read(in [][]byte, what []learner) error {
	if len(in) != len(what) {
		return fmt.Errorf("%d parts, want %d", len(in), len(what))
	}
	for i, x := range what {
		if err := x.UnmarshalBinary(in[i]); err != nil {
			return err
		}
	}
	return nil
}

// Snapshot implements engine.Snapshotter. Series that are kept on a shelf are left out: Save writes them as they are now.
func (s *Screen) Snapshot(w io.Writer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	out, err := s.state()
	if err == nil {
		err = gob.NewEncoder(w).Encode(out)
	}
	if err != nil {
		return fmt.Errorf("screen: snapshot: %w", err)
	}
	return nil
}

func (s *Screen) state() (snapshot, error) {
	out := snapshot{Format: format, Watchers: make(map[string][]byte), Inflation: make(map[string][]byte), PassedOn: s.passedOn.order, ClosedUntil: s.closedUntil}
	if s.shelf != nil {
		s.mark()
		for _, x := range s.wanted {
			out.Held = append(out.Held, x.held...)
		}
	} else {
		for _, x := range s.series.all() {
			data, err := x.MarshalBinary()
			if err != nil {
				return out, fmt.Errorf("series %s: %w", x.key, err)
			}
			out.Series = append(out.Series, data)
		}
	}
	for _, k := range s.pools.Keys() {
		p, _ := s.pools.Peek(k)
		learnt, err := write([]learner{p})
		if err != nil {
			return out, fmt.Errorf("pool %s: %w", k, err)
		}
		out.Pools = append(out.Pools, poolState{k, learnt})
	}
	for _, name := range s.services.Keys() {
		v, _ := s.services.Peek(name)
		learnt, err := write(v.learners())
		if err != nil {
			return out, fmt.Errorf("service %s: %w", name, err)
		}
		out.Services = append(out.Services, serviceState{name, learnt, v.Open, v.Last, v.Busy, v.Dear})
	}
	for _, x := range s.watchers {
		data, err := x.MarshalBinary()
		if err != nil {
			return out, fmt.Errorf("%s: %w", x.name(), err)
		}
		out.Watchers[x.name()] = data
	}
	for detector, i := range s.inflation {
		data, err := i.MarshalBinary()
		if err != nil {
			return out, fmt.Errorf("inflation of %s: %w", detector, err)
		}
		out.Inflation[detector] = data
	}
	return out, nil
}

// Restore implements engine.Snapshotter. The state is as it was, but for what the configuration no longer leaves room for. On
// an error nothing changes.
func (s *Screen) Restore(r io.Reader) error {
	in := snapshot{}
	if err := gob.NewDecoder(r).Decode(&in); err != nil {
		return fmt.Errorf("screen: restore: %w", err)
	}
	if in.Format != format {
		return fmt.Errorf("screen: restore: snapshot has format %d, want %d", in.Format, format)
	}
	restored := &Screen{cfg: s.cfg, evicted: s.evicted, shelved: s.shelved, late: s.late, nothing: s.nothing, shelving: newShelving(s.shelf)}
	if err := restored.reset(); err != nil {
		return err
	}
	if err := restored.restore(&in); err != nil {
		return fmt.Errorf("screen: restore: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.series, s.pools, s.services, s.shelving = restored.series, restored.pools, restored.services, restored.shelving
	s.series.evict = s.makeRoom
	s.watchers, s.passedOn, s.inflation, s.closedUntil = restored.watchers, restored.passedOn, restored.inflation, restored.closedUntil
	return nil
}

func (s *Screen) restore(in *snapshot) error {
	for _, data := range in.Series {
		x, err := readSeries(&s.nothing, data)
		if err != nil {
			return err
		}
		s.series.add(x)
	}
	for _, h := range in.Held {
		if x := s.lookUp(h.Span.Series()); x.pending {
			s.hold(x, &h.Span, h.OwnFault)
		}
	}
	for _, p := range in.Pools {
		if err := read(p.Learnt, []learner{s.pool(p.Key)}); err != nil {
			return fmt.Errorf("pool %s: %w", p.Key, err)
		}
	}
	for _, state := range in.Services {
		v := newService(s.cfg)
		if err := read(state.Learnt, v.learners()); err != nil {
			return fmt.Errorf("service %s: %w", state.Name, err)
		}
		v.Last, v.Busy, v.Dear = state.Last, state.Busy, state.Dear
		for n, w := range state.Open {
			if w.Users == nil {
				w.Users = make(map[engine.Subject]*spending)
			}
			for _, u := range w.Users {
				if u.ByTrace == nil {
					u.ByTrace = make(map[engine.TraceID]float64)
				}
			}
			v.Open[n] = w
		}
		s.services.Add(state.Name, v)
	}
	for _, x := range s.watchers {
		data, ok := in.Watchers[x.name()]
		if !ok {
			continue // of a version that did not have it
		}
		if err := x.UnmarshalBinary(data); err != nil {
			return fmt.Errorf("%s: %w", x.name(), err)
		}
	}
	for detector, i := range s.inflation {
		data, ok := in.Inflation[detector]
		if !ok {
			continue
		}
		if err := i.UnmarshalBinary(data); err != nil {
			return fmt.Errorf("inflation of %s: %w", detector, err)
		}
	}
	for _, ref := range in.PassedOn {
		s.passedOn.note(ref.Trace, ref.Span)
	}
	s.closedUntil = in.ClosedUntil
	return nil
}
