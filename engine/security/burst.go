package security

import (
	"fmt"
	"math"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// activity is what one subject did of one class of events. Fields are exported for the snapshot.
type activity struct {
	Ring   ring
	Folded int64   // first window that is not learnt yet
	Past   moments // events by window, those without any among them
	Told   telling
	Taken  int64 // tick at which a takeover was told
	Traces []engine.TraceID
	Behind []uint32 // hashes of a few different identities behind a subject that may be shared
}

// bursts says what a burst of a class of events is called, and its events.
var bursts = map[class]struct{ pattern, noun string }{
	attack:  {"campaign", "attacks"},
	limit:   {"limit_burst", "exceeded rate limits"},
	failure: {"failed_logins", "failed logins"},
}

// manyBehind is how many identities behind a subject make it a shared one.
const manyBehind = 5

// burst is a subject's activity at one event.
type burst struct {
	who engine.Subject
	x   *activity
	n   int   // events in the busiest window's time around the event
	end int64 // its last tick
}

// counted counts an event for each of its subjects.
func (s *Screener) counted(e *event) []burst {
	out := make([]burst, 0, len(e.subjects))
	for _, who := range e.subjects {
		x, fresh := s.activities.count(e.At, activityKey(e.class, who))
		group := s.peersOf(e.class, who.Kind)
		if fresh {
			x.Folded = e.tick / ticks
		} else {
			s.foldActivity(x, group, due(e.tick))
		}
		window := e.tick / ticks
		first := x.Ring.sum(window*ticks, window*ticks+ticks-1) == 0
		if x.Ring.sum(e.tick-ticks+1, e.tick) == 0 {
			x.Behind = x.Behind[:0]
		}
		if !x.Ring.add(e.tick) {
			s.late.Inc()
			continue
		}
		group.saw(window, first)
		x.Traces = keepTrace(x.Traces, e.TraceID)
		x.note(e, who.Kind)
		n, end := x.Ring.busiest(e.tick)
		out = append(out, burst{who, x, n, end})
	}
	return out
}

// note remembers who is behind a subject that several may share.
func (x *activity) note(e *event, kind string) {
	behind := ""
	switch kind {
	case engine.SubjectAPIKey:
		if u, ok := e.subject(engine.SubjectUser); ok {
			behind = u.Value
		}
	case engine.SubjectSource, engine.SubjectTenant:
		for _, kind := range []string{engine.SubjectAPIKey, engine.SubjectUser} {
			if u, ok := e.subject(kind); ok {
				behind = u.Value
				break
			}
		}
	}
	if behind == "" || len(x.Behind) >= manyBehind {
		return
	}
	h := hash(behind)
	for _, have := range x.Behind {
		if have == h {
			return
		}
	}
	x.Behind = append(x.Behind, h)
}

// blame picks the subject that a burst is laid to: the narrowest that accounts for at least half of what the widest has; of those
// that have the same, the one that can best be acted upon.
func blame(list []burst) (burst, bool) {
	most := 0
	for _, b := range list {
		most = max(most, b.n)
	}
	least := most
	for _, b := range list {
		if 2*b.n >= most {
			least = min(least, b.n)
		}
	}
	for _, b := range list {
		if 2*b.n >= most && float64(b.n) <= 1.1*float64(least) {
			return b, true
		}
	}
	return burst{}, false
}

// bursts judges the subjects of an event. It returns the one that has a burst, whether that is news or not.
func (s *Screener) bursts(e *event, list []burst) (burst, bool) {
	b, ok := blame(list)
	if !ok {
		return b, false
	}
	p, level, ok := s.judge(e.class, b)
	if !ok {
		return b, false
	}
	if b.x.Told.news(b.end, b.n) {
		name := bursts[e.class]
		f := s.finding(name.pattern, e, b.who, b.x.Ring.first(b.end))
		f.P, f.Traces = p, append([]engine.TraceID(nil), b.x.Traces...)
		f.Effect = engine.Effect{Baseline: level, Current: float64(b.n), Unit: "events"}
		f.Reason = fmt.Sprintf("%s %s: %d %s within %s, where its past and its peers lead to expect %.1f", b.who.Kind, b.who.Value, b.n, name.noun, s.cfg.Window, level)
		s.tell(f)
	}
	return b, true
}

// judge tests a burst against the subject's own past and against its peers; both must stand out, as far as they are known. level is
// the larger of what both lead to expect.
func (s *Screener) judge(c class, b burst) (p, level float64, found bool) {
	group := s.peersOf(c, b.who.Kind)
	others, lately, looks := group.recent(b.end/ticks, &b.x.Ring)
	own := b.x.Past.N >= float64(s.cfg.MinWindows)
	// Who may stand for everybody, as a tenant or a key that many share, can only be judged beside others of its kind, or by its past.
	shared := b.who.Kind == engine.SubjectSource || b.who.Kind == engine.SubjectTenant || len(b.x.Behind) >= manyBehind
	comparable := !shared || others >= 3
	if !comparable && !own {
		return 1, 0, false
	}
	learning := !own && group.Beyond.N < float64(s.cfg.MinPeers)
	least, ratio := s.cfg.MinEvents, s.cfg.MinRatio
	if learning {
		least, ratio = s.cfg.ExtremeEvents, s.cfg.ExtremeRatio
	}
	if c == limit {
		// Who has run into a limit goes on doing so until it slows down: without a baseline that is nothing.
		if learning {
			return 1, 0, false
		}
		least = s.cfg.ExtremeEvents
	}
	level = 1
	if comparable {
		level = max(level, 1+group.Beyond.mean(), lately)
	}
	if own {
		level = max(level, b.x.Past.mean())
	}
	if b.n < least || float64(b.n) < ratio*level {
		return 1, level, false
	}
	if comparable {
		p = group.exceeds(b.n, level)
	}
	if own {
		p = max(p, b.x.Past.exceeds(b.n))
	}
	p = min(1, p*float64(max(looks, b.n))) // each event of the time is a look
	return p, level, p < worth
}

// foldActivity learns from the windows that ended by tick limit, the strange ones left out.
func (s *Screener) foldActivity(x *activity, group *peers, limit int64) {
	x.Ring.fold(&x.Folded, limit, func(window int64, n int) {
		if x.Told.strange(window, s.adopt) {
			return
		}
		x.Past.fade(s.fade)
		x.Past.add(float64(n))
		if n > 0 {
			group.learn(window, n, s.fade)
		}
	}, func(_, windows int64) {
		by := math.Pow(s.fade, float64(windows))
		x.Past.fade(by)
		x.Past.N += (1 - by) / (1 - s.fade)
	})
}

// takeover tells of a login that succeeded after a burst of failures.
func (s *Screener) takeover(e *event) {
	for _, who := range e.subjects {
		x, ok := s.activities.items[activityKey(failure, who)]
		if !ok || who.Kind == engine.SubjectTenant {
			continue
		}
		b := burst{who, x, x.Ring.sum(e.tick-ticks+1, e.tick), e.tick}
		p, level, found := s.judge(failure, b)
		if !found || e.tick-x.Taken < ticks {
			continue
		}
		x.Taken = e.tick
		f := s.finding("account_takeover", e, who, x.Ring.first(e.tick))
		f.P, f.Traces = p, append([]engine.TraceID(nil), x.Traces...)
		f.Effect = engine.Effect{Baseline: level, Current: float64(b.n), Unit: "events"}
		f.Reason = fmt.Sprintf("%s %s: a login succeeded after %d failed ones within %s, where its past and its peers lead to expect %.1f", who.Kind, who.Value, b.n, s.cfg.Window, level)
		s.tell(f)
		return
	}
}

// maxTraces bounds the traces that a finding names.
const maxTraces = 32

// keepTrace appends a trace, the oldest goes.
func keepTrace(list []engine.TraceID, id engine.TraceID) []engine.TraceID {
	if id.IsZero() || len(list) > 0 && list[len(list)-1] == id {
		return list
	}
	if len(list) >= maxTraces {
		copy(list, list[1:])
		list = list[:maxTraces-1]
	}
	return append(list, id)
}
