package scenario

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// interval is a half-open span of event time; the zero interval holds nothing.
type interval struct{ from, to time.Time }

func (i interval) holds(at time.Time) bool { return !at.Before(i.from) && at.Before(i.to) }

func (i interval) length() time.Duration { return i.to.Sub(i.from) }

// plan is everything out of the ordinary that a scenario holds: incidents, decoys, the markers and the truth. Sessions and
// runs ask it what is in force at their own time.
type plan struct {
	slowModel  slowModel
	outage     outage
	flood      flood
	campaign   campaign
	rollout    rollout
	novelty    novelty
	deployment deployment
	peak       peak
	slow       slowRequest

	truths  []Truth
	markers []Marker
}

type slowModel struct { // a model version that answers slowly
	interval
	service *service
	version string
	factor  float64
}

type outage struct { // a provider whose calls fail
	interval
	provider *provider
	share    float64
	kind     string // error.type
}

type flood struct { // a user who sends far too much
	interval
	service *service
	user    *user
	calls   int
	factor  float64 // tokens against a normal call
}

type campaign struct { // attack prompts under one key
	interval
	service  *service
	users    []*user
	attempts int
}

type rollout struct { // an agent version that loops
	interval
	service *service
	agent   agent // the bad version
	share   float64
	loops   float64
}

type novelty struct { // a topic that was never seen
	interval
	service *service
	topic   *topic
	share   float64
}

// Decoys: changes that are no incident.

type deployment struct { // a service version without effect
	service *service
	at      time.Time
	version string
}

type peak struct { // more requests of the usual kind
	interval
	service *service
	factor  float64
}

type slowRequest struct { // one request
	service *service
	at      time.Time
	factor  float64
}

// wanted is the expected number of affected traces below which an incident is made longer.
const wanted = 80

// newPlan places each incident in a slot of its own, then the decoys away from them.
func newPlan(cfg Config, w *world, b *bank) (*plan, error) {
	r := stream(cfg.Seed, "plan", 0)
	p := &plan{}
	kinds := sample(r, cfg.kinds(), len(cfg.kinds()))
	// The day is young in the first slot, so it goes to a kind that brings its own volume where there is one.
	for i, k := range kinds {
		if k == Jailbreak || k == TokenAbuse {
			kinds[0], kinds[i] = kinds[i], kinds[0]
			break
		}
	}
	from := cfg.Start.Add(cfg.Warmup)
	room := cfg.Duration - cfg.Warmup - coolDown
	for i, k := range kinds {
		size := room / time.Duration(len(kinds))
		p.place(r, k, interval{from.Add(time.Duration(i) * size), from.Add(time.Duration(i+1) * size)}, w, b)
	}
	if err := p.placeDecoys(r, interval{from, from.Add(room)}, w); err != nil {
		return nil, err
	}
	if cfg.Control {
		p = &plan{deployment: p.deployment, peak: p.peak, slow: p.slow}
	}
	p.markers = append(p.markers, Marker{
		At: p.deployment.at, Kind: "deployment", Service: p.deployment.service.name,
		Version: p.deployment.version, Previous: p.deployment.service.version,
		Description: fmt.Sprintf("%s %s deployed to production", p.deployment.service.name, p.deployment.version),
	})
	slices.SortFunc(p.markers, func(a, b Marker) int { return a.At.Compare(b.At) })
	return p, nil
}

// within chooses an interval inside slot, long enough for the wanted number of affected traces at perHour but at most two
// hours, with calm before and after it.
func within(r *rand.Rand, slot interval, perHour float64) interval {
	longest := min(2*time.Hour, slot.length()-40*time.Minute)
	d := time.Duration(between(r, 45, 85) * float64(time.Minute))
	if enough := time.Duration(wanted / perHour * float64(time.Hour)); d < enough {
		d = enough
	}
	d = min(d, longest).Truncate(time.Second)
	slack := slot.length() - d - 30*time.Minute
	onset := slot.from.Add(10*time.Minute + time.Duration(r.Float64()*float64(slack))).Truncate(time.Second)
	return interval{onset, onset.Add(d)}
}

func (p *plan) place(r *rand.Rand, k Kind, slot interval, w *world, b *bank) {
	middle := slot.from.Add(slot.length() / 2)
	busy := w.services[r.IntN(2)]
	var t Truth
	switch k {
	case LatencySpike:
		s := w.services[r.IntN(len(w.services)-1)]
		m := s.primary
		version := m.name + "-" + pick(r, []string{"2025-08-28", "2025-09-15", "2025-09-30"})
		p.slowModel = slowModel{within(r, slot, s.rate(middle)*(1-s.otherModel)), s, version, between(r, 2.5, 5)}
		t = truth(k, p.slowModel.interval, s.name, Cause{"model_version", version}, s)
		p.changes(p.slowModel.interval, "model_version", s, m.version, version, m.name)
	case ErrorRate:
		pr := w.providers[r.IntN(2)] // each of these is the main one of two services
		share, perHour := between(r, 0.35, 0.7), 0.0
		var touched []*service
		for _, s := range w.services {
			if s.primary.provider == pr {
				perHour += s.rate(middle)
			}
			if s.primary.provider == pr || s.secondary.provider == pr {
				touched = append(touched, s)
			}
		}
		p.outage = outage{within(r, slot, perHour*share), pr, share, pick(r, []string{"503", "timeout", "overloaded"})}
		t = truth(k, p.outage.interval, pr.name, Cause{"provider", pr.name}, touched...)
	case TokenAbuse:
		rank := 2 + r.IntN(5)
		in := within(r, slot, wanted)
		past := busy.expected(in.from, in.length()) * busy.userMix.share(rank)
		u := busy.users[rank]
		p.flood = flood{in, busy, u, max(50, min(140, int(10*past))), between(r, 18, 24)}
		t = truth(k, in, u.id, Cause{"user", u.id}, busy)
	case Jailbreak:
		users := w.usersOfBusyKey(r)
		s := w.services[r.IntN(len(w.services)-1)]
		p.campaign = campaign{within(r, slot, wanted), s, sample(r, users, 3+r.IntN(4)), 45 + r.IntN(36)}
		key := users[0].key
		t = truth(k, p.campaign.interval, key, Cause{"api_key", key}, s)
	case AgentTrajectory:
		old := busy.agents[0]
		bad := agent{old.name, nextVersion(old.version)}
		share := between(r, 0.7, 1)
		loops := between(r, 0.55, 0.68)
		perHour := busy.rate(middle) * mainAgentShare * share * loops
		p.rollout = rollout{within(r, slot, perHour), busy, bad, share, loops}
		t = truth(k, p.rollout.interval, bad.name, Cause{"agent_version", bad.name + "@" + bad.version}, busy)
		p.changes(p.rollout.interval, "deployment", busy, old.version, bad.version, "agent "+bad.name)
	case SemanticNovelty:
		s := w.services[0] // a fraction of its conversations must still be many
		share := between(r, 0.27, 0.35)
		p.novelty = novelty{within(r, slot, s.rate(middle)*share), s, pick(r, b.aliens), share}
		t = truth(k, p.novelty.interval, s.name, Cause{"topic", s.name}, s)
	}
	t.ID = fmt.Sprintf("truth-%d", len(p.truths)+1)
	p.truths = append(p.truths, t)
}

func truth(k Kind, in interval, subject string, cause Cause, touched ...*service) Truth {
	t := Truth{Type: string(k), Subject: subject, Cause: cause, Onset: in.from, End: in.to}
	for _, s := range touched {
		t.Services = append(t.Services, s.name)
	}
	slices.Sort(t.Services)
	return t
}

// changes announces a bad version at the onset and its rollback at the end.
func (p *plan) changes(in interval, kind string, s *service, old, bad, what string) {
	p.markers = append(p.markers,
		Marker{At: in.from, Kind: kind, Service: s.name, Version: bad, Previous: old,
			Description: fmt.Sprintf("%s of %s changed from %s to %s", what, s.name, old, bad)},
		Marker{At: in.to, Kind: "rollback", Service: s.name, Version: old, Previous: bad,
			Description: fmt.Sprintf("%s of %s rolled back from %s to %s", what, s.name, bad, old)})
}

// nextVersion raises the middle number.
func nextVersion(v string) string {
	var major, minor, patch int
	if _, err := fmt.Sscanf(v, "%d.%d.%d", &major, &minor, &patch); err != nil {
		return v + "-next"
	}
	return fmt.Sprintf("%d.%d.0", major, minor+1)
}

// usersOfBusyKey returns the users of one of the three keys that most users have.
func (w *world) usersOfBusyKey(r *rand.Rand) []*user {
	byKey := map[string][]*user{}
	for _, u := range w.users {
		byKey[u.key] = append(byKey[u.key], u)
	}
	var keys []string
	for _, t := range w.tenants {
		keys = append(keys, t.keys...)
	}
	slices.SortStableFunc(keys, func(a, b string) int { return len(byKey[b]) - len(byKey[a]) })
	return byKey[keys[r.IntN(3)]]
}

// placeDecoys keeps each decoy out of the services that an incident touches around that time, so that nobody can
// mistake it for a cause or an effect.
func (p *plan) placeDecoys(r *rand.Rand, room interval, w *world) error {
	type place struct {
		service *service
		at      time.Time
	}
	const step = 5 * time.Minute
	free := func(before, after time.Duration) (place, error) {
		var all []place
		for _, s := range w.services {
			for at := room.from.Add(step); at.Add(after).Before(room.to); at = at.Add(step) {
				if !p.touches(s, interval{at.Add(-before), at.Add(after)}) {
					all = append(all, place{s, at})
				}
			}
		}
		if len(all) == 0 {
			return place{}, fmt.Errorf("scenario: no calm place for a decoy in %s; lengthen the duration", room.length())
		}
		return pick(r, all), nil
	}
	d, err := free(time.Hour, time.Hour)
	if err != nil {
		return err
	}
	p.deployment = deployment{d.service, d.at, nextVersion(d.service.version)}
	k, err := free(20*time.Minute, 70*time.Minute)
	if err != nil {
		return err
	}
	length := time.Duration(between(r, 35, 45) * float64(time.Minute)).Truncate(time.Second)
	p.peak = peak{interval{k.at, k.at.Add(length)}, k.service, between(r, 2.5, 4)}
	q, err := free(20*time.Minute, 30*time.Minute)
	if err != nil {
		return err
	}
	p.slow = slowRequest{q.service, q.at, 30}
	return nil
}

// touches says whether an incident affects the service at any time of the interval.
func (p *plan) touches(s *service, in interval) bool {
	return slices.ContainsFunc(p.truths, func(t Truth) bool {
		return slices.Contains(t.Services, s.name) && t.Onset.Before(in.to) && in.from.Before(t.End)
	})
}

// What is in force at a time:

func (p *plan) serviceVersion(s *service, at time.Time) string {
	if s == p.deployment.service && !at.Before(p.deployment.at) {
		return p.deployment.version
	}
	return s.version
}

// modelVersion returns the version that answers and the factor on its times.
func (p *plan) modelVersion(s *service, m *model, at time.Time) (string, float64) {
	if s == p.slowModel.service && m == s.primary && p.slowModel.holds(at) {
		return p.slowModel.version, p.slowModel.factor
	}
	return m.version, 1
}

// failure returns the probability that a call fails and its error.type.
func (p *plan) failure(pr *provider, at time.Time) (float64, string) {
	if pr == p.outage.provider && p.outage.holds(at) {
		return p.outage.share, p.outage.kind
	}
	return pr.errorRate, pr.errorType
}

func (p *plan) volume(s *service, at time.Time) float64 {
	if s == p.peak.service && p.peak.holds(at) {
		return p.peak.factor
	}
	return 1
}
