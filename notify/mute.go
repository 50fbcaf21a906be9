package notify

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// window is a Mute, ready to be asked.
type window struct {
	days [7]bool // by time.Weekday
	from int     // minutes since midnight
	to   int     // above from; beyond 24 hours it ends on the next day
	zone *time.Location
}

const minutesOfDay = 24 * 60

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} // by time.Weekday

func newWindow(m Mute) (window, error) {
	w := window{from: 0, to: minutesOfDay, zone: time.UTC}
	if m.TimeZone != "" {
		zone, err := time.LoadLocation(m.TimeZone)
		if err != nil || m.TimeZone == "Local" {
			return w, fmt.Errorf("time_zone: %q is no known time zone", m.TimeZone)
		}
		w.zone = zone
	}
	if m.Hours != "" {
		from, to, ok := strings.Cut(m.Hours, "-")
		var err error
		if w.from, err = minutes(from); !ok || err != nil {
			return w, fmt.Errorf("hours: %q is not like 22:00-06:00", m.Hours)
		}
		if w.to, err = minutes(to); err != nil || w.from == w.to || w.from == minutesOfDay {
			return w, fmt.Errorf("hours: %q is not like 22:00-06:00", m.Hours)
		}
		if w.to < w.from {
			w.to += minutesOfDay
		}
	}
	if len(m.Days) == 0 {
		w.days = [7]bool{true, true, true, true, true, true, true}
	}
	for _, d := range m.Days {
		first, last, isRange := strings.Cut(strings.ToLower(d), "-")
		if !isRange {
			last = first
		}
		i, j := slices.Index(weekdays, first), slices.Index(weekdays, last)
		if i < 0 || j < 0 {
			return w, fmt.Errorf("days: %q is no day such as mon, or range such as mon-fri", d)
		}
		for ; ; i = (i + 1) % 7 {
			w.days[i] = true
			if i == j {
				break
			}
		}
	}
	return w, nil
}

// minutes reads 00:00 to 24:00.
func minutes(s string) (int, error) {
	s = strings.TrimSpace(s)
	if s == "24:00" {
		return minutesOfDay, nil
	}
	t, err := time.Parse("15:04", s)
	return t.Hour()*60 + t.Minute(), err
}

// always reports whether the window leaves no moment of the week open.
func (w window) always() bool {
	return !slices.Contains(w.days[:], false) && w.to-w.from >= minutesOfDay
}

// until returns the end of the window that t is in.
func (w window) until(t time.Time) (end time.Time, muted bool) {
	local := t.In(w.zone)
	for _, back := range []int{0, 1} { // the window may have begun yesterday
		day := time.Date(local.Year(), local.Month(), local.Day()-back, 0, 0, 0, 0, w.zone)
		if !w.days[day.Weekday()] {
			continue
		}
		at := func(minute int) time.Time {
			return time.Date(day.Year(), day.Month(), day.Day(), 0, minute, 0, 0, w.zone)
		}
		if end := at(w.to); !t.Before(at(w.from)) && t.Before(end) {
			return end, true
		}
	}
	return time.Time{}, false
}

// mutedUntil returns when the windows that t is in have ended, one after the other; false when t is in none. It looks ahead
// a week at most.
func mutedUntil(windows []window, t time.Time) (time.Time, bool) {
	end, limit := t, t.AddDate(0, 0, 7)
	for moved := true; moved && end.Before(limit); {
		moved = false
		for _, w := range windows {
			if e, muted := w.until(end); muted {
				end, moved = e, true
			}
		}
	}
	return end, end.After(t)
}
