package explain

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

const (
	standsOut     = 0.35 // the least score of a single cause
	worthNaming   = 0.12 // the least score of an alternative
	maxCauses     = 4
	maxConfidence = 0.95
	// rivalry is how fast a weaker cause takes confidence from a stronger one: shares go with score to this power.
	rivalry = 4
	// undecided is the confidence in "the service itself" when no cause stands out, weak that of the alternatives then.
	undecided, weak = 0.2, 0.1

	// innocent is how many healthy observations the rest of the traffic is credited with: one abnormal trace among five says
	// little of what is outside a slice, and so do no abnormal ones among two.
	innocent = 10
	// unconfirmed is how far the detector's word counts where no slice can confirm or refute it.
	unconfirmed = 0.5

	clockSlack = 10 * time.Minute // a change may seem to be this much later than what it caused
	halfLife   = 3 * time.Hour    // of the suspicion against a change that came before the onset
	// Where a new version's first appearance is not known, it is held for this much of a timely one.
	undatedNovelty = 0.8
)

// cause is one hypothesis: who or what, how well its slice explains the abnormal, and what else speaks for it.
type cause struct {
	engine.Subject
	slice  int // index into Evidence.Slices, -1 when it is no slice
	marker int // index into Evidence.Markers of a change that names it in time, -1 when none does

	coverage   float64 // in [0, 1]
	purity     float64 // in [0, 1]
	timing     float64 // in [0, 1]: appeared or was announced right before the onset
	score      float64 // in [0, 1]
	confidence float64 // in [0, 1], all causes together at most maxConfidence
	vague      bool    // the service, for want of a better one
}

// rank computes the causes, likeliest first; there is always at least one.
func rank(in engine.Incident, ev engine.Evidence) []cause {
	row, onset := causesOf(in.Type), onset(in, ev)
	var found []cause
	for i, s := range ev.Slices {
		p, known := row[s.Kind]
		if !known || s.Kind == engine.SubjectTopic || s.Value == "" {
			continue
		}
		c := cause{Subject: s.Subject, slice: i, marker: announcedBy(in, ev.Markers, s.Subject, onset)}
		c.coverage, c.purity = coverage(s), purity(s, purestRate(row, ev.Slices, s))
		c.timing = timing(s, ev.Markers, c.marker, onset)
		c.score = (p.steady + (p.changed-p.steady)*c.timing) * c.coverage * c.purity * support(s.Abnormal)
		if s.Subject == in.Subject && isAll(s) {
			c.score = max(c.score, p.steady*unconfirmed*support(s.Abnormal))
		}
		found = append(found, c)
	}
	if p, known := row[engine.SubjectTopic]; known {
		found = append(found, topic(p.steady, in, ev, found))
	}
	if p, known := row[in.Subject.Kind]; known && in.Subject.Value != "" && !slices.Contains(subjects(ev.Slices), in.Subject) && in.Subject.Kind != engine.SubjectTopic {
		found = append(found, cause{Subject: in.Subject, slice: -1, marker: -1, score: p.steady * unconfirmed})
	}
	slices.SortStableFunc(found, func(a, b cause) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Value, b.Value))
	})
	found = slices.DeleteFunc(found, func(c cause) bool { return c.score < worthNaming })
	found = found[:min(len(found), maxCauses)]
	if len(found) > 0 && found[0].score >= standsOut {
		return weigh(found)
	}
	service := cause{
		Subject: engine.Subject{Kind: engine.SubjectService, Value: service(in, ev)},
		marker:  -1, confidence: undecided, vague: true,
	}
	service.slice = slices.Index(subjects(ev.Slices), service.Subject)
	found = slices.DeleteFunc(found, func(c cause) bool { return c.Subject == service.Subject })
	for i := range found {
		found[i].confidence = min(weak, found[i].score)
	}
	return append([]cause{service}, found[:min(len(found), maxCauses-1)]...)
}

// weigh spreads the confidence that the best score allows over the causes.
func weigh(causes []cause) []cause {
	var sum float64
	for _, c := range causes {
		sum += math.Pow(c.score, rivalry)
	}
	for i := range causes {
		causes[i].confidence = maxConfidence * causes[0].score * math.Pow(causes[i].score, rivalry) / sum
	}
	return causes
}

func onset(in engine.Incident, ev engine.Evidence) time.Time {
	if in.Onset.IsZero() {
		return ev.From
	}
	return in.Onset
}

// coverage is the geometric mean of two shares: how much of the abnormal lies in the slice, and how much of what could lie
// there beyond the slice's share of calm traffic does. It is 0 when the abnormal is spread as calm traffic is.
func coverage(s engine.Slice) float64 {
	if !(s.BaselineShare < 1) {
		return 0
	}
	beyond := unit((s.AbnormalShare - s.BaselineShare) / (1 - s.BaselineShare))
	return math.Sqrt(unit(s.AbnormalShare) * beyond)
}

// isAll reports whether nearly everything, calm or not, lies in the slice, so that there is nothing to compare it with.
func isAll(s engine.Slice) bool { return s.AbnormalShare >= 0.95 && s.BaselineShare >= 0.95 }

// purity compares the slice's rate of the abnormal with that outside it, and with the purest slice that could be the cause
// as well: what is wide, and therefore mostly healthy, explains less than the narrow slice inside it.
func purity(s engine.Slice, purest float64) float64 {
	if !(s.Rate > 0) || !(purest > 0) {
		return 0
	}
	rest := s.RestRate * float64(s.Rest) / float64(s.Rest+innocent)
	return unit((s.Rate-rest)/(s.Rate+rest)) * unit(s.Rate/purest)
}

// purestRate is the highest rate among the slices that hold about as much of the abnormal as one.
func purestRate(row likely, all []engine.Slice, than engine.Slice) float64 {
	highest := than.Rate
	for _, s := range all {
		if _, known := row[s.Kind]; known && s.AbnormalShare >= 0.8*than.AbnormalShare {
			highest = max(highest, s.Rate)
		}
	}
	return highest
}

// support shrinks what rests on few observations: 1/2 for one, 10/11 for ten.
func support(n int) float64 { return float64(max(n, 0)) / float64(max(n, 0)+1) }

// timing is how close before the onset the slice appeared, and how close a marker announced it.
func timing(s engine.Slice, markers []engine.ChangeMarker, marker int, onset time.Time) float64 {
	var novelty, announced float64
	switch {
	case s.New && s.FirstSeen.IsZero():
		novelty = undatedNovelty
	case s.New:
		novelty = proximity(s.FirstSeen, onset)
	}
	if marker >= 0 {
		announced = proximity(markers[marker].At, onset)
	}
	return 0.6*novelty + 0.4*announced
}

// proximity is 1 for a change at the onset, halves every halfLife before it, and is 0 for one that came after it.
func proximity(change, onset time.Time) float64 {
	before := onset.Sub(change)
	if before < -clockSlack {
		return 0
	}
	return math.Exp2(-max(before, 0).Hours() / halfLife.Hours())
}

// topic is the cause "something that the service was never asked before". It is the likelier the less a user, a tenant or a
// key stands out, and wants words that tell the abnormal texts from the normal ones.
func topic(plausible float64, in engine.Incident, ev engine.Evidence, others []cause) cause {
	c := cause{Subject: engine.Subject{Kind: engine.SubjectTopic, Value: service(in, ev)}, slice: -1, marker: -1, coverage: 1, purity: 1}
	for _, o := range others {
		if isActor(o.Kind) {
			c.purity = min(c.purity, 1-o.coverage*o.purity*support(ev.Slices[o.slice].Abnormal))
		}
	}
	if i := slices.Index(subjects(ev.Slices), engine.Subject{Kind: engine.SubjectService, Value: c.Value}); i >= 0 {
		c.slice, c.coverage = i, unit(ev.Slices[i].AbnormalShare)
	}
	c.score = plausible * c.coverage * c.purity
	if len(ev.Terms) == 0 {
		c.score *= 0.7
	}
	return c
}

func isActor(kind string) bool {
	return kind == engine.SubjectUser || kind == engine.SubjectTenant || kind == engine.SubjectAPIKey
}

// service is the service that the incident is about.
func service(in engine.Incident, ev engine.Evidence) string {
	if in.Subject.Kind == engine.SubjectService && in.Subject.Value != "" {
		return in.Subject.Value
	}
	best, share := "", 0.0
	for _, s := range ev.Slices {
		if s.Kind == engine.SubjectService && s.AbnormalShare > share {
			best, share = s.Value, s.AbnormalShare
		}
	}
	switch {
	case best != "":
		return best
	case len(in.Services) > 0:
		return in.Services[0]
	}
	return "unknown_service"
}

func subjects(all []engine.Slice) []engine.Subject {
	out := make([]engine.Subject, len(all))
	for i, s := range all {
		out[i] = s.Subject
	}
	return out
}

// unit clamps to [0, 1]; NaN is 0.
func unit(v float64) float64 {
	if !(v > 0) {
		return 0
	}
	return min(v, 1)
}
