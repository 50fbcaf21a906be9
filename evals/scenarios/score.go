package scenarios

import (
	"slices"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals/scenario"
)

// score is what one system made of all days.
type score struct {
	cases []verdict // one a truth, by day and onset
	wrong []wrong   // what was found and was not there, by day
}

// verdict says whether an incident that really was there was found.
type verdict struct {
	day     int
	truth   scenario.Truth
	found   bool
	instead string        // "" or the type of what was found in its place
	delay   time.Duration // from the onset to the alert
	top1    bool          // the first hypothesis is the cause
	top3    bool          // one of the first three is
	named   bool          // the subject that was found is the cause already
}

// wrong is a false alarm.
type wrong struct {
	day     int
	found   scenario.Found
	metric  string // of a threshold
	instead bool   // it stands in for an incident that was missed
}

// told is what a system reported, when it did, and which causes it named.
type told struct {
	found    scenario.Found
	metric   string
	services []string
	at       func(onset time.Time) time.Time
	causes   []engine.Subject // likeliest first
	subject  engine.Subject
}

// judge scores the product and the thresholds on the same days.
func judge(days []Day, played []Played) (product, thresholds score) {
	for i, p := range played {
		var own, raw []told
		for _, in := range p.Incidents {
			t := told{found: Found(in), services: in.Services, subject: in.Subject, at: func(onset time.Time) time.Time { return raised(in, onset) }}
			if in.Explanation != nil {
				for _, h := range in.Explanation.Hypotheses {
					t.causes = append(t.causes, h.Cause)
				}
			}
			own = append(own, t)
		}
		for _, a := range p.Alarms {
			cause := engine.Subject{Kind: a.Found.CauseKind, Value: a.Found.CauseSubject}
			raw = append(raw, told{found: a.Found, metric: a.Metric, causes: []engine.Subject{cause}, subject: cause, at: func(onset time.Time) time.Time {
				if a.At.Before(onset) {
					return onset
				}
				return a.At
			}})
		}
		product.add(i, p.Truths, own)
		thresholds.add(i, p.Truths, raw)
	}
	return product, thresholds
}

func (s *score) add(day int, truths []scenario.Truth, reports []told) {
	// What Match is given has an id of its own each, so that a report can be told by it.
	found := make([]scenario.Found, len(reports))
	byID := make(map[string]told, len(reports))
	for i, t := range reports {
		found[i] = t.found
		if found[i].ID == "" {
			found[i].ID = t.metric + "/" + t.found.Subject + "/" + t.found.Start.String()
		}
		byID[found[i].ID] = t
	}
	outcome := scenario.Match(truths, found, MatchSlack)
	matched := make(map[string]scenario.Pair, len(outcome.Matches))
	for _, m := range outcome.Matches {
		matched[m.Truth.ID] = m
	}
	left := outcome.FalseOnes
	stands := make([]bool, len(left))
	for _, t := range truths {
		v := verdict{day: day, truth: t}
		cause := engine.Subject{Kind: t.Cause.Kind, Value: t.Cause.Subject}
		if m, ok := matched[t.ID]; ok {
			r := byID[m.Found.ID]
			v.found, v.delay = true, r.at(t.Onset).Sub(t.Onset)
			v.top1 = slices.Contains(r.causes[:min(1, len(r.causes))], cause)
			v.top3 = slices.Contains(r.causes[:min(3, len(r.causes))], cause)
			v.named = r.subject == cause
		} else if i := slices.IndexFunc(left, func(f scenario.Found) bool { return resembles(f, byID[f.ID], t) }); i >= 0 {
			v.instead, stands[i] = left[i].Type, true
		}
		s.cases = append(s.cases, v)
	}
	for i, f := range left {
		s.wrong = append(s.wrong, wrong{day: day, found: f, metric: byID[f.ID].metric, instead: stands[i]})
	}
}

// resembles reports whether a false alarm is about an incident that was missed: about its time, and about its subject, its cause or its services.
func resembles(f scenario.Found, r told, t scenario.Truth) bool {
	if f.Start.After(t.End.Add(MatchSlack)) || f.End.Before(t.Onset) {
		return false
	}
	return f.Subject == t.Subject || f.Subject == t.Cause.Subject || slices.Contains(t.Services, f.Subject) ||
		slices.ContainsFunc(r.services, func(s string) bool { return slices.Contains(t.Services, s) })
}

func isFound(v verdict) bool { return v.found }

// values are 1 for the incidents of which it is true and 0 for the others.
func (s score) values(is func(verdict) bool) []float64 {
	out := make([]float64, len(s.cases))
	for i, v := range s.cases {
		if is(v) {
			out[i] = 1
		}
	}
	return out
}

// count is of how many incidents it is true.
func (s score) count(is func(verdict) bool) int { return len(s.of(is).cases) }

// of are the incidents for which keep says yes.
func (s score) of(keep func(verdict) bool) score {
	return score{cases: slices.DeleteFunc(slices.Clone(s.cases), func(v verdict) bool { return !keep(v) })}
}
