package security

import "time"

// A window is ticks ticks long; a ring holds the latest ringTicks of them, so that events may come two windows late.
const (
	ticks     = 10
	ringTicks = 3 * ticks
)

// ring counts events by tick. Fields are exported for the snapshot.
type ring struct {
	Counts [ringTicks]uint32
	Newest int64
}

// add counts an event at a tick, and reports whether it was not too late for that.
func (r *ring) add(tick int64) bool {
	if tick <= r.Newest-ringTicks {
		return false
	}
	if tick-r.Newest >= ringTicks {
		clear(r.Counts[:])
		r.Newest = tick
	}
	for r.Newest < tick {
		r.Newest++
		r.Counts[r.Newest%ringTicks] = 0
	}
	r.Counts[tick%ringTicks]++
	return true
}

// sum is the number of events from one tick to another, both included.
func (r *ring) sum(from, to int64) int {
	n := 0
	for t := max(from, r.Newest-ringTicks+1); t <= min(to, r.Newest); t++ {
		n += int(r.Counts[t%ringTicks])
	}
	return n
}

// busiest is the largest number of events in a window's time around tick, and the last tick of that time.
func (r *ring) busiest(tick int64) (n int, end int64) {
	for e := min(tick+ticks-1, r.Newest); e >= tick; e-- {
		if m := r.sum(e-ticks+1, e); m > n {
			n, end = m, e
		}
	}
	return n, end
}

// first is the earliest tick with an event in the window's time up to end.
func (r *ring) first(end int64) int64 {
	for t := end - ticks + 1; t < end; t++ {
		if r.sum(t, t) > 0 {
			return t
		}
	}
	return end
}

// fold calls each for every window in time that ends by tick limit and was not folded before; folded is the first that was not, and
// is moved on. Windows without an event after the latest one are one call of none.
func (r *ring) fold(folded *int64, limit int64, each func(window int64, n int), none func(from, windows int64)) {
	end := limit / ticks // the first that is still open
	for w := *folded; w < end; w++ {
		if w > r.Newest/ticks {
			none(w, end-w)
			break
		}
		each(w, r.sum(w*ticks, w*ticks+ticks-1))
	}
	*folded = max(*folded, end)
}

// due is the limit by which windows must be folded before an event at tick is added, or the ring would forget them.
func due(tick int64) int64 { return ((tick-ringTicks)/ticks + 1) * ticks }

// telling is what was told of one thing, in ticks.
type telling struct {
	Since, Until int64 // of the streak that goes on; Until is 0 before the first
	Count        int   // events, the last time
}

// news reports whether a finding with n events at tick is worth telling beside what was told: the first, then whenever it has grown
// by a quarter or a window has passed. It notes that it was told.
func (t *telling) news(tick int64, n int) bool {
	switch {
	case t.Until == 0 || tick-t.Until > ringTicks:
		t.Since = tick
	case 4*n < 5*t.Count && tick-t.Until < ticks:
		return false
	}
	t.Until, t.Count = max(t.Until, tick), n
	return true
}

// explained notes a streak that another finding tells of.
func (t *telling) explained(tick int64) {
	if t.Until == 0 || tick-t.Until > ringTicks {
		t.Since = tick
	}
	t.Until = max(t.Until, tick)
}

// strange reports whether a window belongs to a streak, and is therefore not learnt from; a streak that lasted for adopt ticks is.
func (t *telling) strange(window, adopt int64) bool {
	return t.Until > 0 && window*ticks <= t.Until && (window+1)*ticks > t.Since-ticks && t.Until-t.Since < adopt
}

// tick is the tick in which a time lies; 0 before 1970.
func (s *Screener) tick(t time.Time) int64 {
	if t.Unix() <= 0 || t.Year() > 2200 {
		return 0
	}
	return t.UnixNano() / int64(s.cfg.Window/ticks)
}

// timeOf is the start of a tick.
func (s *Screener) timeOf(tick int64) time.Time {
	return time.Unix(0, tick*int64(s.cfg.Window/ticks)).UTC()
}
