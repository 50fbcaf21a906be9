package screen

import (
	"fmt"
	"slices"
	"time"
)

// samples are open windows of event time, of each of which a uniform sample of values is held. Fields are exported for the snapshot.
type samples[T any] struct {
	Open   []sample[T]
	Random uint64 // state of the sampling of a full window
}

// sample is one window.
type sample[T any] struct {
	Start  time.Time
	Seen   int
	Values []T
}

const maxSample = 64 // values of a window

// add takes a value into the window that began at start.
func (s *samples[T]) add(start time.Time, v T) {
	i := slices.IndexFunc(s.Open, func(w sample[T]) bool { return w.Start.Equal(start) })
	if i < 0 {
		i = len(s.Open)
		s.Open = append(s.Open, sample[T]{Start: start})
	}
	w := &s.Open[i]
	w.Seen++
	if len(w.Values) < maxSample {
		w.Values = append(w.Values, v)
		return
	}
	s.Random = s.Random*6364136223846793005 + 1442695040888963407 // Knuth's linear congruential generator
	if i := int(s.Random>>33) % w.Seen; i < maxSample {
		w.Values[i] = v
	}
}

// due removes and returns the windows that ended by until, oldest first.
func (s *samples[T]) due(until time.Time, length time.Duration) []sample[T] {
	var out []sample[T]
	s.Open = slices.DeleteFunc(s.Open, func(w sample[T]) bool {
		if w.Start.Add(length).After(until) {
			return false
		}
		out = append(out, w)
		return true
	})
	slices.SortFunc(out, func(a, b sample[T]) int { return a.Start.Compare(b.Start) })
	return out
}

// check refuses windows that cannot be, and values of which possible says that they cannot.
func (s *samples[T]) check(possible func(T) bool) error {
	for _, w := range s.Open {
		if len(w.Values) == 0 || len(w.Values) > maxSample || w.Seen < len(w.Values) {
			return fmt.Errorf("impossible window: %d values of %d", len(w.Values), w.Seen)
		}
		for _, v := range w.Values {
			if !possible(v) {
				return fmt.Errorf("impossible value %v", v)
			}
		}
	}
	return nil
}
