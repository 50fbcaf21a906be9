package security

import (
	"fmt"
	"math/bits"
	"strings"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/statistical"
)

// violator is on which days somebody attacked. Fields are exported for the snapshot.
type violator struct {
	First, Newest int64  // days since 1970
	Days          uint32 // bit i: i days before Newest
	Events        int
	Told          int64 // day
}

// repeatHorizon is the number of days that are looked at.
const repeatHorizon = 14

// recidivism is on how many days those who were caught once are caught again. Fields are exported for the snapshot.
type recidivism struct {
	Again, Days float64 // decayed by day
	Known       int     // who were followed when the latest day ended
}

// What is believed at first: one day in ten, known from fifty.
const (
	priorAgain = 5
	priorNever = 45
)

func day(t time.Time) int64 { return t.Unix() / 86400 }

// on reports whether somebody attacked on a day that is still remembered.
func (v *violator) on(d int64) bool {
	back := v.Newest - d
	return back >= 0 && back < 32 && v.Days>>back&1 == 1
}

// mark notes a day and reports whether it is a new one.
func (v *violator) mark(d int64) bool {
	if v.Days == 0 {
		v.First, v.Newest = d, d
	}
	if d > v.Newest {
		v.Days <<= uint(min(32, d-v.Newest))
		v.Newest = d
	}
	v.First = min(v.First, d)
	if v.on(d) || v.Newest-d >= 32 {
		return false
	}
	v.Days |= 1 << (v.Newest - d)
	return true
}

// chances are the days up to d, after the first, on which somebody could have attacked again, and those on which it did.
func (v *violator) chances(d int64) (again, of int) {
	of = int(min(d-v.First, repeatHorizon-1))
	if of <= 0 {
		return 0, 0
	}
	days := v.Days
	if back := d - v.Newest; back >= 0 {
		days <<= uint(min(32, back))
	} else {
		days >>= uint(min(32, -back))
	}
	return bits.OnesCount32(days & (1<<of - 1)), of
}

// repeats counts the day of an attack and tells of who attacks on far more days than others do. The subject is the user where there is
// one, since many may share a key.
func (s *Screener) repeats(e *event) {
	who, ok := e.subject(engine.SubjectUser)
	if !ok {
		if who, ok = e.subject(engine.SubjectAPIKey); !ok {
			return
		}
	}
	today := day(e.At)
	if today > s.today {
		s.endDays(today)
	}
	v, known := s.violators.items[subjectKey(who)]
	if !known || !v.on(today) {
		v, _ = s.violators.count(e.At, subjectKey(who))
		if v.mark(today) && today == s.today {
			s.active++
		}
	}
	v.Events++
	again, of := v.chances(today)
	if again+1 < s.cfg.RepeatDays || v.Events < s.cfg.MinEvents || v.Told >= today {
		return
	}
	others := s.recidivism[who.Kind]
	if others.Known < 4 {
		return // nobody to compare with
	}
	// Without its own days, as far as they are still counted.
	bad, total := max(0, others.Again-float64(again)), max(0, others.Days-float64(of))
	bad = min(bad, total)
	p := statistical.BetaBinomialUpperP(again, of, bad+priorAgain, total-bad+priorNever)
	p = min(1, p*float64(max(1, s.active))) // each who attacked today is a look
	expected := 1 + float64(of)*(bad+priorAgain)/(total+priorAgain+priorNever)
	if p >= worth || float64(again+1) < 2*expected {
		return
	}
	v.Told = today
	f := s.finding("repeated_violator", e, who, e.tick)
	f.Window = time.Duration(of+1) * 24 * time.Hour
	f.P = p
	f.Effect = engine.Effect{Baseline: expected, Current: float64(again + 1), Unit: "days"}
	f.Reason = fmt.Sprintf("%s %s: attacks on %d of %d days, %d in all, where others who were caught once lead to expect %.1f days", who.Kind, who.Value, again+1, of+1, v.Events, expected)
	s.tell(f)
}

// endDays learns from the latest day that has ended.
func (s *Screener) endDays(today int64) {
	ended := s.today
	s.today, s.active = today, 0
	if ended == 0 {
		return
	}
	counted := make(map[string]*recidivism)
	for key, v := range s.violators.all() {
		kind, _, _ := strings.Cut(key, "|")
		r := counted[kind]
		if r == nil {
			r = &recidivism{}
			counted[kind] = r
		}
		r.Known++
		if ended <= v.First || ended-v.Newest >= repeatHorizon || v.Told > 0 && ended-v.Told < repeatHorizon {
			continue
		}
		r.Days++
		if v.on(ended) {
			r.Again++
		}
	}
	const fade = 0.95 // half in two weeks
	for _, kind := range []string{engine.SubjectUser, engine.SubjectAPIKey} {
		old, r := s.recidivism[kind], counted[kind]
		if r == nil {
			r = &recidivism{}
		}
		s.recidivism[kind] = recidivism{Again: old.Again*fade + r.Again, Days: old.Days*fade + r.Days, Known: r.Known}
	}
}
