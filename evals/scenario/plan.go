package scenario

import (
	"cmp"
	"fmt"
	"math"
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
	slowModel slowModel
	outage    outage
	flood     flood
	campaign  campaign
	rollout   rollout
	novelty   novelty
	decoys

	strength float64 // see Config.Strength
	truths   []Truth
	markers  []Marker
}

// factor is a factor of an incident, as strong as incidents are.
func (p *plan) factor(full float64) float64 { return full*p.strength + (1 - p.strength) }

// share is a proportion of an incident, as strong as incidents are.
func (p *plan) share(full float64) float64 { return full * p.strength }

// count is a number of requests of an incident, as strong as incidents are.
func (p *plan) count(full int) int { return int(math.Round(float64(full) * p.strength)) }

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

// decoys are changes that are no incident.
type decoys struct {
	deployments []deployment // by time
	peaks       []peak
	slow        []slowRequest
}

type deployment struct { // a service version without effect
	service  *service
	at       time.Time
	version  string
	previous string
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

// gap is the time that is set aside for an incident.
type gap struct {
	interval
	spread time.Duration // how long after the calm at its beginning the incident begins at the latest; 0: wherever it fits
}

// beside is a gap for an incident that begins before the middle of one that is there.
func beside(t Truth, to time.Time) gap {
	half := t.End.Sub(t.Onset) / 2
	if latest := t.Onset.Add(half + 150*time.Minute); latest.Before(to) {
		to = latest // volumes are those of this time of day
	}
	return gap{interval{t.Onset.Add(-calm), to}, half}
}

// newPlan places each incident in a slot of its own, or beside the one before it, then the decoys away from them.
func newPlan(cfg Config, w *world, b *bank) (*plan, error) {
	r := stream(cfg.Seed, "plan", 0)
	p := &plan{strength: cfg.Strength}
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
		own := gap{interval: interval{from.Add(time.Duration(i) * size), from.Add(time.Duration(i+1) * size)}}
		if cfg.Overlap && i%2 == 1 {
			own = beside(p.truths[i-1], own.to)
		}
		p.place(r, k, own, w, b)
	}
	if err := p.placeDecoys(r, cfg.Decoys, interval{from, from.Add(room)}, w); err != nil {
		return nil, err
	}
	if cfg.Control {
		p = &plan{decoys: p.decoys}
	}
	for _, d := range p.deployments {
		p.markers = append(p.markers, Marker{
			At: d.at, Kind: "deployment", Service: d.service.name, Version: d.version, Previous: d.previous,
			Description: fmt.Sprintf("%s %s deployed to production", d.service.name, d.version),
		})
	}
	slices.SortFunc(p.markers, func(a, b Marker) int { return a.At.Compare(b.At) })
	return p, nil
}

// calm is kept free of the incident at the beginning of its gap.
const calm = 10 * time.Minute

// within chooses an interval inside a gap, long enough for the wanted number of affected traces at perHour but at most two
// hours, with calm before and after it.
func within(r *rand.Rand, slot gap, perHour float64) interval {
	longest := min(2*time.Hour, slot.length()-40*time.Minute)
	d := time.Duration(between(r, 45, 85) * float64(time.Minute))
	if enough := time.Duration(wanted / perHour * float64(time.Hour)); d < enough {
		d = enough
	}
	d = min(d, longest).Truncate(time.Second)
	slack := slot.length() - d - 3*calm
	if slot.spread > 0 {
		slack = min(slack, slot.spread)
	}
	onset := slot.from.Add(calm + time.Duration(r.Float64()*float64(slack))).Truncate(time.Second)
	return interval{onset, onset.Add(d)}
}

func (p *plan) place(r *rand.Rand, k Kind, slot gap, w *world, b *bank) {
	middle := slot.from.Add(slot.length() / 2)
	busy := w.services[r.IntN(2)]
	var t Truth
	switch k {
	case LatencySpike:
		s := w.services[r.IntN(len(w.services)-1)]
		m := s.primary
		version := m.name + "-" + pick(r, []string{"2025-08-28", "2025-09-15", "2025-09-30"})
		p.slowModel = slowModel{within(r, slot, s.rate(middle)*(1-s.otherModel)), s, version, p.factor(between(r, 2.5, 5))}
		t = truth(k, p.slowModel.interval, s.name, Cause{"model_version", version}, s)
		p.changes(p.slowModel.interval, "model_version", s, m.version, version, m.name)
	case ErrorRate:
		pr := w.providers[r.IntN(2)] // each of these is the main one of two services
		share, perHour := p.share(between(r, 0.35, 0.7)), 0.0
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
		p.flood = flood{in, busy, u, p.count(max(50, min(140, int(10*past)))), p.factor(between(r, 18, 24))}
		t = truth(k, in, u.id, Cause{"user", u.id}, busy)
	case Jailbreak:
		users := w.usersOfBusyKey(r)
		s := w.services[r.IntN(len(w.services)-1)]
		p.campaign = campaign{within(r, slot, wanted), s, sample(r, users, 3+r.IntN(4)), p.count(45 + r.IntN(36))}
		key := users[0].key
		t = truth(k, p.campaign.interval, key, Cause{"api_key", key}, s)
	case AgentTrajectory:
		old := busy.agents[0]
		bad := agent{old.name, nextVersion(old.version)}
		share := between(r, 0.7, 1)
		loops := p.share(between(r, 0.55, 0.68))
		perHour := busy.rate(middle) * mainAgentShare * share * loops
		p.rollout = rollout{within(r, slot, perHour), busy, bad, share, loops}
		t = truth(k, p.rollout.interval, bad.name, Cause{"agent_version", bad.name + "@" + bad.version}, busy)
		p.changes(p.rollout.interval, "deployment", busy, old.version, bad.version, "agent "+bad.name)
	case SemanticNovelty:
		s := w.services[0] // a fraction of its conversations must still be many
		share := p.share(between(r, 0.27, 0.35))
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
// mistake it for a cause or an effect. Of each kind there is one a round; those of later rounds keep away from earlier ones.
func (p *plan) placeDecoys(r *rand.Rand, rounds int, room interval, w *world) error {
	type place struct {
		service *service
		at      time.Time
	}
	const (
		step  = 5 * time.Minute
		apart = 2 * time.Hour
	)
	var taken, earlier []place
	free := func(before, after time.Duration) (place, error) {
		var all []place
		for _, s := range w.services {
			for at := room.from.Add(step); at.Add(after).Before(room.to); at = at.Add(step) {
				crowded := slices.ContainsFunc(earlier, func(e place) bool { return e.service == s && at.Sub(e.at).Abs() < apart })
				if !crowded && !p.touches(s, interval{at.Add(-before), at.Add(after)}) {
					all = append(all, place{s, at})
				}
			}
		}
		if len(all) == 0 {
			return place{}, fmt.Errorf("scenario: no calm place for a decoy in %s; lengthen the duration", room.length())
		}
		chosen := pick(r, all)
		taken = append(taken, chosen)
		return chosen, nil
	}
	for range rounds {
		earlier = slices.Clone(taken)
		d, err := free(time.Hour, time.Hour)
		if err != nil {
			return err
		}
		p.deployments = append(p.deployments, deployment{service: d.service, at: d.at})
		k, err := free(20*time.Minute, 70*time.Minute)
		if err != nil {
			return err
		}
		length := time.Duration(between(r, 35, 45) * float64(time.Minute)).Truncate(time.Second)
		p.peaks = append(p.peaks, peak{interval{k.at, k.at.Add(length)}, k.service, between(r, 2.5, 4)})
		q, err := free(20*time.Minute, 30*time.Minute)
		if err != nil {
			return err
		}
		p.slow = append(p.slow, slowRequest{q.service, q.at, 30})
	}
	slices.SortStableFunc(p.deployments, func(a, b deployment) int { return a.at.Compare(b.at) })
	current := make(map[*service]string)
	for i := range p.deployments {
		d := &p.deployments[i]
		d.previous = cmp.Or(current[d.service], d.service.version)
		d.version = nextVersion(d.previous)
		current[d.service] = d.version
	}
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
	version := s.version
	for _, d := range p.deployments {
		if s == d.service && !at.Before(d.at) {
			version = d.version
		}
	}
	return version
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

// volume is the factor on the usual requests.
func (p *plan) volume(s *service, at time.Time) float64 {
	factor := 1.0
	for _, k := range p.peaks {
		if s == k.service && k.holds(at) {
			factor = max(factor, k.factor)
		}
	}
	return factor
}

// highest is the largest volume of the service at any time.
func (p *plan) highest(s *service) float64 {
	factor := 1.0
	for _, k := range p.peaks {
		if s == k.service {
			factor = max(factor, k.factor)
		}
	}
	return factor
}
