package engine

import (
	"encoding/gob"
	"fmt"
	"io"
	"time"
)

// surgesState is what a snapshot holds of surges, least recently used first.
type surgesState struct {
	Until     time.Time
	Keys      []surgeState
	Inflation map[string][]byte
}

type surgeState struct {
	Detector string
	Subject  Subject
	Windows  []surgeWindowState
	Strange  time.Time
}

type surgeWindowState struct {
	Start         time.Time
	Traces        int
	Below         []int
	Material      int
	Odd           int
	Unusual       []TraceID
	Example       *Finding
	Baseline, Now float64
}

// Snapshot implements Snapshotter.
func (s *surges) Snapshot(w io.Writer) error {
	out := surgesState{Until: s.until, Inflation: make(map[string][]byte, len(s.inflation))}
	for _, k := range s.keys.Keys() {
		x, _ := s.keys.Peek(k)
		state := surgeState{Detector: k.detector, Subject: k.subject, Strange: x.strange, Windows: make([]surgeWindowState, len(x.windows))}
		for i := range x.windows {
			from := &x.windows[i]
			to := &state.Windows[i]
			*to = surgeWindowState{
				Start: from.start, Traces: from.traces, Below: from.below[:], Material: from.material, Odd: from.odd, Unusual: from.unusual,
				Baseline: from.baseline, Now: from.now,
			}
			if from.example.Type != "" {
				to.Example = &from.example
			}
		}
		out.Keys = append(out.Keys, state)
	}
	for detector, i := range s.inflation {
		data, err := i.MarshalBinary()
		if err != nil {
			return fmt.Errorf("inflation of %s: %w", detector, err)
		}
		out.Inflation[detector] = data
	}
	return gob.NewEncoder(w).Encode(out)
}

// Restore implements Snapshotter.
func (s *surges) Restore(r io.Reader) error {
	var in surgesState
	if err := gob.NewDecoder(r).Decode(&in); err != nil {
		return err
	}
	fresh, err := newSurges(s.cfg)
	if err != nil {
		return err
	}
	fresh.until = in.Until
	for _, state := range in.Keys {
		x := &surge{strange: state.Strange, windows: make([]surgeWindow, len(state.Windows))}
		for i, from := range state.Windows {
			to := &x.windows[i]
			*to = surgeWindow{
				start: from.Start, traces: from.Traces, material: from.Material, odd: from.Odd, unusual: from.Unusual, baseline: from.Baseline, now: from.Now,
			}
			copy(to.below[:], from.Below)
			if from.Example != nil {
				to.example = *from.Example
			}
		}
		fresh.keys.Add(surgeKey{state.Detector, state.Subject}, x)
	}
	for detector, data := range in.Inflation {
		if err := fresh.inflationOf(detector).UnmarshalBinary(data); err != nil {
			return fmt.Errorf("inflation of %s: %w", detector, err)
		}
	}
	*s = *fresh
	return nil
}
