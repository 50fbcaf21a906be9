package traces

import (
	"slices"
	"time"
)

// Protocol. The day is cut into windows, and a fault lasts until the end of the spans that were published for it.
const (
	window      = time.Minute
	faultLength = 3 * time.Minute
)

// timeline is the windows of a day that have spans, and its faults, in stretches without a gap: what was not recorded is neither
// calm nor a fault. The windows of one stretch depend on each other and are drawn together by the bootstrap.
type timeline struct {
	day       string
	stretches []stretch
}

type stretch struct {
	windows []time.Time // starts
	faulty  []bool      // by window: its middle lies within a fault
	faults  []fault     // that began in it
}

func newTimeline(d day) timeline {
	t := timeline{day: d.name}
	var starts []time.Time
	for i := range d.stream {
		starts = append(starts, d.stream[i].Start.Truncate(window))
	}
	slices.SortFunc(starts, time.Time.Compare)
	for _, w := range slices.Compact(starts) {
		last := len(t.stretches) - 1
		if last < 0 || w.After(t.stretches[last].end()) {
			t.stretches = append(t.stretches, stretch{})
			last++
		}
		s := &t.stretches[last]
		middle := w.Add(window / 2)
		s.windows = append(s.windows, w)
		s.faulty = append(s.faulty, slices.ContainsFunc(d.faults, func(f fault) bool {
			return !middle.Before(f.at) && middle.Before(f.at.Add(faultLength))
		}))
	}
	for _, f := range d.faults {
		// A fault in a gap belongs to the stretch after it; there is always one to take it.
		i := slices.IndexFunc(t.stretches, func(s stretch) bool { return s.end().After(f.at) })
		if i < 0 {
			i = len(t.stretches) - 1
		}
		t.stretches[i].faults = append(t.stretches[i].faults, f)
	}
	return t
}

func (s *stretch) end() time.Time { return s.windows[len(s.windows)-1].Add(window) }
