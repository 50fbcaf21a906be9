package explain

import (
	"sync"
	"time"
)

// spending is what was used of the budget in the current hour and the current day, in UTC.
type spending struct {
	limit Budget

	mu        sync.Mutex
	hour, day window
}

type window struct {
	start  time.Time
	tokens int64
	cost   float64
}

// charge is what one call may use, or has used.
type charge struct {
	input, output int64
	at            time.Time
}

func (b Budget) price(c charge) float64 {
	return (float64(c.input)*b.PriceInput + float64(c.output)*b.PriceOutput) / 1e6
}

// aside is the share of the budget that all but notes may use: what is left is kept for incidents.
const aside = 0.5

// reserve books the most that a call can use, and reports whether that share of the budget allows it.
func (s *spending) reserve(c charge, share float64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn(c.at)
	tokens, cost := c.input+c.output, s.limit.price(c)
	for _, w := range []struct {
		window
		tokens int64
		cost   float64
	}{{s.hour, s.limit.TokensPerHour, s.limit.CostPerHour}, {s.day, s.limit.TokensPerDay, s.limit.CostPerDay}} {
		if float64(w.window.tokens+tokens) > share*float64(w.tokens) || w.window.cost+cost > share*w.cost {
			return false
		}
	}
	s.add(tokens, cost, c.at)
	return true
}

// settle replaces a reservation by what was used.
func (s *spending) settle(reserved, used charge) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(used.input+used.output-reserved.input-reserved.output, s.limit.price(used)-s.limit.price(reserved), reserved.at)
}

// add books into the windows that the reservation was made in; a window that has turned since keeps nothing of it.
func (s *spending) add(tokens int64, cost float64, at time.Time) {
	for _, w := range []*window{&s.hour, &s.day} {
		if !at.Before(w.start) {
			w.tokens += tokens
			w.cost += cost
		}
	}
}

func (s *spending) turn(now time.Time) {
	now = now.UTC()
	for _, w := range []struct {
		*window
		length time.Duration
	}{{&s.hour, time.Hour}, {&s.day, 24 * time.Hour}} {
		if start := now.Truncate(w.length); start.After(w.start) {
			*w.window = window{start: start}
		}
	}
}
