package security

import (
	"fmt"
	"math"
	"slices"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/statistical"
)

// crowd is what many subjects do together: the events of one signature, or of one service. Fields are exported for the snapshot.
type crowd struct {
	Ring    ring
	Folded  int64
	Told    telling
	Blamed  int64 // latest tick at which somebody else was told to be the cause
	Traces  []engine.TraceID
	Pruned  int64             // tick at which Sources was last rid of those who are silent
	Sources map[uint32]source // of the latest events, by hash of the identity

	rate   *statistical.Rate     // events a window, by hour of day
	volume *statistical.Quantity // the same, whatever the hour
}

// source is how much of a crowd one identity is.
type source struct {
	Last   int64 // tick
	Window int64 // its latest window in time
	Count  int   // events of that
	Before int   // events of the one before
}

// maxSources bounds the identities of a crowd.
const maxSources = 256

// busiest is the least factor over the busiest windows that were seen: an hour whose rhythm is not known yet is no burst.
const busiest = 2

func (s *Screener) prepare(c *crowd) {
	c.rate = statistical.NewRate(statistical.RateConfig{Window: s.cfg.Window, HalfLife: s.cfg.HalfLife, MinWindows: s.cfg.MinWindows})
	c.volume = statistical.NewQuantity(statistical.QuantityConfig{HalfLife: s.cfg.HalfLife, MinCount: s.cfg.MinWindows})
}

// longestGap bounds the windows without an event that are learnt at once: a day of them, or as many as are needed.
func (s *Screener) longestGap() int64 { return max(144, int64(s.cfg.MinWindows)) }

// crowdSaw counts an event in a crowd.
func (s *Screener) crowdSaw(t *table[crowd], key string, e *event) (*crowd, bool) {
	c, fresh := t.count(e.At, key)
	if fresh {
		s.prepare(c)
		c.Sources = make(map[uint32]source)
		c.Folded = e.tick / ticks
		// What was never seen while others were watched has a past: nothing. Not so where something may have been forgotten.
		if s.began > 0 && len(t.items) < t.capacity {
			c.Folded = min(c.Folded, max(s.began/ticks, c.Folded-s.longestGap()))
		}
	}
	s.foldCrowd(c, due(e.tick))
	if fresh {
		s.foldCrowd(c, e.tick/ticks*ticks)
	}
	if !c.Ring.add(e.tick) {
		return c, false
	}
	c.Traces = keepTrace(c.Traces, e.TraceID)
	if len(e.subjects) > 0 {
		c.saw(hash(e.subjects[0].Kind+e.subjects[0].Value), e.tick)
	}
	return c, true
}

func (c *crowd) saw(who uint32, tick int64) {
	x, known := c.Sources[who]
	if !known && len(c.Sources) >= maxSources {
		if c.Pruned == tick {
			return
		}
		c.Pruned = tick
		for h, x := range c.Sources {
			if tick-x.Last >= ticks {
				delete(c.Sources, h)
			}
		}
		if len(c.Sources) >= maxSources {
			return
		}
	}
	switch window := tick / ticks; {
	case window == x.Window:
		x.Count++
	case window < x.Window:
		x.Before++
	default:
		if x.Before = 0; window == x.Window+1 {
			x.Before = x.Count
		}
		x.Window, x.Count = window, 1
	}
	x.Last = max(x.Last, tick)
	c.Sources[who] = x
}

// sources is the number of identities in the window's time up to end, and the events of the largest of them.
func (c *crowd) sources(end int64) (n, largest int) {
	for _, x := range c.Sources {
		if end-x.Last < ticks {
			n++
			largest = max(largest, x.Count+x.Before)
		}
	}
	return n, largest
}

// foldCrowd learns from the windows that ended by tick limit, the strange ones left out.
func (s *Screener) foldCrowd(c *crowd, limit int64) {
	learn := func(window int64, n int) {
		if !c.Told.strange(window, s.adopt) {
			at := s.timeOf(window * ticks)
			c.rate.Add(at, n)
			c.volume.Add(at, float64(n))
		}
	}
	c.Ring.fold(&c.Folded, limit, learn, func(from, windows int64) {
		for w := from + max(0, windows-s.longestGap()); w < from+windows; w++ {
			learn(w, 0)
		}
	})
}

// swell is how far a crowd is above its past around an event.
type swell struct {
	n       int // events, those of the largest identity left out: what one does is no crowd's doing
	sources int
	end     int64 // the last tick
	p       float64
	effect  engine.Effect
}

// swells tests the events around a tick against the crowd's own past.
func (s *Screener) swells(c *crowd, tick int64) (swell, bool) {
	n, end := c.Ring.busiest(tick)
	if n < s.cfg.CrowdEvents || c.rate.Learning() {
		return swell{}, false
	}
	start := s.timeOf(end - ticks + 1)
	expected := c.rate.Expected(start)
	least := max(float64(s.cfg.CrowdEvents), s.cfg.MinRatio*max(1, expected), busiest*c.usual())
	if float64(n) < least {
		return swell{}, false
	}
	sources, largest := c.sources(end)
	if n = max(0, n-largest); float64(n) < least {
		return swell{}, false
	}
	p := min(1, c.rate.UpperP(start, n)*float64(n)) // each event is a look
	return swell{n, sources, end, p, engine.Effect{Baseline: expected, Current: float64(n), Unit: "events"}}, p < worth
}

// usual is how many events the busiest windows had.
func (c *crowd) usual() float64 {
	if q := c.volume.Quantile(0.99); !math.IsNaN(q) {
		return q
	}
	return 0
}

// blameOther notes that somebody else is the cause of what goes on: it is told once, and not learnt.
func (c *crowd) blameOther(tick int64) {
	c.Blamed = max(c.Blamed, tick)
	c.Told.explained(tick)
}

// campaign judges the signature of an event, and reports whether there is a campaign, news or not.
func (s *Screener) campaign(e *event, c *crowd) bool {
	x, found := s.swells(c, e.tick)
	if !found || x.sources < s.cfg.CrowdSources {
		return false
	}
	if c.Told.news(x.end, x.n) {
		s.tellCrowd("distributed_campaign", e, e.signature(), c, x)
	}
	return true
}

// floods judges the service of an event.
func (s *Screener) floods(e *event, c *crowd) {
	x, found := s.swells(c, e.tick)
	blamed := c.Blamed > 0 && e.tick-c.Blamed < ticks
	if found && !blamed && c.Told.news(x.end, x.n) {
		s.tellCrowd("event_volume", e, engine.Subject{Kind: engine.SubjectService, Value: e.service()}, c, x)
	}
}

func (s *Screener) tellCrowd(pattern string, e *event, who engine.Subject, c *crowd, x swell) {
	f := s.finding(pattern, e, who, c.Ring.first(x.end))
	f.P, f.Effect, f.Traces = x.p, x.effect, slices.Clone(c.Traces)
	f.Reason = fmt.Sprintf("%s %s: %d events within %s, beside those of the largest of %d identities, where its past leads to expect %.1f",
		who.Kind, who.Value, x.n, s.cfg.Window, x.sources, x.effect.Baseline)
	s.tell(f)
}
