package screen

import (
	"encoding/gob"
	"fmt"
	"io"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/statistical"
)

// format is raised when the snapshot changes in a way that older ones cannot be read.
const format = 1

// snapshot is the state as it is written, least recently used first.
type snapshot struct {
	Format      int
	Series      []seriesState
	Pools       []poolState
	Services    []serviceState
	Calibration map[string]*statistical.Conformal
	ClosedUntil time.Time
}

type seriesState struct {
	Key      engine.SeriesKey
	Provider string
	Base     baseline
	Timeline timeline
	Versions versions
	Strange  time.Time
	Random   uint64
}

type poolState struct {
	Key  engine.SeriesKey
	Base baseline
}

type serviceState struct {
	Name    string
	Service service
}

// Snapshot implements engine.Snapshotter.
func (s *Screen) Snapshot(w io.Writer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := snapshot{Format: format, Calibration: s.calibration, ClosedUntil: s.closedUntil}
	for _, x := range s.series.Values() {
		out.Series = append(out.Series, seriesState{x.key, x.provider, x.base, x.timeline, x.versions, x.strange, x.random})
	}
	for _, k := range s.pools.Keys() {
		b, _ := s.pools.Peek(k)
		out.Pools = append(out.Pools, poolState{k, *b})
	}
	for _, name := range s.services.Keys() {
		v, _ := s.services.Peek(name)
		out.Services = append(out.Services, serviceState{name, *v})
	}
	if err := gob.NewEncoder(w).Encode(out); err != nil {
		return fmt.Errorf("screen: snapshot: %w", err)
	}
	return nil
}

// Restore implements engine.Snapshotter. The state is as it was, but for what the configuration no longer leaves room for.
func (s *Screen) Restore(r io.Reader) error {
	in := snapshot{}
	if err := gob.NewDecoder(r).Decode(&in); err != nil {
		return fmt.Errorf("screen: restore: %w", err)
	}
	if in.Format != format {
		return fmt.Errorf("screen: restore: snapshot has format %d, want %d", in.Format, format)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.reset(); err != nil {
		return err
	}
	for _, x := range in.Series {
		s.series.Add(x.Key, &series{key: x.Key, provider: x.Provider, base: x.Base, timeline: x.Timeline, versions: x.Versions, strange: x.Strange, random: x.Random})
	}
	for _, p := range in.Pools {
		s.pools.Add(p.Key, &p.Base)
	}
	for _, v := range in.Services {
		if v.Service.Open == nil {
			v.Service.Open = make(map[int64]*serviceWindow, 2)
		}
		s.services.Add(v.Name, &v.Service)
	}
	for detector, c := range in.Calibration {
		s.calibration[detector] = c
	}
	s.closedUntil = in.ClosedUntil
	return nil
}
