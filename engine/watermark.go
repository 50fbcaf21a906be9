package engine

import "time"

// watermark turns the event times that arrive into the time up to which windows may close. While telemetry flows it follows
// the latest event time at a fixed distance; when nothing has arrived for a while it goes on by the wall clock, so that the
// last window of a quiet application closes too.
type watermark struct {
	lateness, idle time.Duration
	latest         time.Time // event time
	heard          time.Time // wall time of the last arrival
}

// maxAhead is how far in the future an event may lie before it is not believed.
const maxAhead = 5 * time.Minute

func believable(event, now time.Time) bool { return event.Sub(now) <= maxAhead }

// hear takes note of an event time and reports whether it is believable.
func (w *watermark) hear(event, now time.Time) bool {
	w.heard = now
	if !believable(event, now) {
		return false
	}
	if event.After(w.latest) {
		w.latest = event
	}
	return true
}

// at is the watermark at the wall time now; zero before the first event.
func (w *watermark) at(now time.Time) time.Time {
	if w.latest.IsZero() {
		return time.Time{}
	}
	mark := w.latest.Add(-w.lateness)
	if silent := now.Sub(w.heard) - w.idle; silent > 0 {
		mark = mark.Add(silent)
	}
	return mark
}
