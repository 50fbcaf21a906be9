package scenario

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// world is who and what exists: it does not change while the scenario runs.
type world struct {
	providers []*provider
	services  []*service // by volume, largest first
	tenants   []*tenant
	tenantMix roulette
	users     []*user
}

type provider struct {
	name      string
	address   string
	embedder  string
	models    []*model
	errorRate float64 // of one call, in calm times
	errorType string  // the usual one
}

type model struct {
	name      string // as requested
	version   string // as answered: the dated name
	provider  *provider
	firstMS   float64 // median time to first chunk
	tokenMS   float64 // median time per output token
	priceIn   float64 // per million tokens
	priceOut  float64
	maxOutput int
}

type service struct {
	name       string
	version    string
	regions    []string
	workflow   string // name of the workflow around the agent, or empty
	domain     *domain
	topics     []*topic
	topicMix   roulette
	agents     []agent // the first takes most of the work
	primary    *model
	secondary  *model
	otherModel float64 // share of conversations on the secondary model
	perHour    float64 // mean requests over a day
	peakHour   float64 // UTC
	amplitude  float64 // of the daily rhythm, 0 to 1
	retrieves  float64 // share of turns that search documents
	usesTool   float64 // share of turns that call the tool of the topic
	overhead   int     // tokens of tool definitions in each call
	users      []*user // by activity in this service
	userMix    roulette
	logs       bool // content travels in log records
}

type agent struct{ name, version string }

type tenant struct {
	id   string
	keys []string
}

type user struct {
	id     string
	tenant string
	key    string
	tone   tone
}

// rate returns the expected requests per hour at a time.
func (s *service) rate(at time.Time) float64 {
	at = at.UTC()
	hour := float64(at.Hour()) + float64(at.Minute())/60
	return s.perHour * (1 + s.amplitude*math.Cos(2*math.Pi*(hour-s.peakHour)/24))
}

// expected returns the expected number of requests in an interval.
func (s *service) expected(from time.Time, d time.Duration) float64 {
	return s.rate(from.Add(d/2)) * d.Hours()
}

const turnsPerConversation = 1.9 // mean of turnMix

var (
	providerNames = []string{"boreal", "helixmind", "lumenary", "stratus-ai", "ostara", "kestrel", "meridian"}
	familyNames   = []string{"aurora", "strand", "lucid", "cirrus", "verdant", "talon", "sextant"}
	versionDates  = []string{"2025-03-18", "2025-04-09", "2025-05-12", "2025-06-01", "2025-06-20"}
	regionNames   = []string{"eu-central-1", "eu-west-1", "us-east-1", "us-west-2", "ap-southeast-1"}
	errorTypes    = []string{"timeout", "429", "500", "overloaded"}
	tenantNames   = []string{"norrland-energy", "acorn-retail", "vela-insurance", "portside-freight", "lumen-clinics", "granite-bank",
		"willow-homes", "tidewater-foods", "juniper-schools", "ironbridge-tools", "saffron-travel", "bluefin-telecom"}
)

func newWorld(cfg Config, b *bank) *world {
	r := stream(cfg.Seed, "world", 0)
	w := &world{}
	domains := sample(r, b.domains, 4+r.IntN(3))
	w.addProviders(r, 2+len(domains)/5)
	w.addPeople(r)
	volume := 0.0
	for i := range domains {
		volume += 1 / float64(i+4)
	}
	for i, d := range domains {
		s := w.newService(r, d, i)
		s.perHour = cfg.RequestsPerHour / float64(i+4) / volume
		s.logs = cfg.ContentInLogs && i == len(domains)-1
		w.services = append(w.services, s)
	}
	return w
}

func (w *world) addProviders(r *rand.Rand, n int) {
	for _, i := range r.Perm(len(providerNames))[:n] {
		p := &provider{
			name:      providerNames[i],
			address:   "api." + providerNames[i] + ".example",
			embedder:  familyNames[i] + "-embed",
			errorRate: between(r, 0.004, 0.014),
			errorType: pick(r, errorTypes),
		}
		for _, size := range []struct {
			suffix                              string
			firstMS, tokenMS, priceIn, priceOut float64
		}{{"large", 700, 17, 3, 15}, {"mini", 320, 7, 0.3, 1.2}} {
			name := familyNames[i] + "-" + size.suffix
			p.models = append(p.models, &model{
				name:      name,
				version:   name + "-" + pick(r, versionDates),
				provider:  p,
				firstMS:   size.firstMS * between(r, 0.75, 1.3),
				tokenMS:   size.tokenMS * between(r, 0.8, 1.25),
				priceIn:   size.priceIn * between(r, 0.7, 1.4),
				priceOut:  size.priceOut * between(r, 0.7, 1.4),
				maxOutput: 8192,
			})
		}
		w.providers = append(w.providers, p)
	}
}

func (w *world) addPeople(r *rand.Rand) {
	for _, name := range sample(r, tenantNames, 5+r.IntN(5)) {
		t := &tenant{id: name}
		for range 2 + r.IntN(2) {
			t.keys = append(t.keys, fmt.Sprintf("key-%05x", r.IntN(1<<20)))
		}
		w.tenants = append(w.tenants, t)
	}
	w.tenantMix = newRoulette(len(w.tenants), func(i int) float64 { return 1 / float64(i+3) })
	for range 60 + r.IntN(141) {
		w.users = append(w.users, w.newUser(r))
	}
}

// newUser makes up a user. The id is drawn from a range so wide that two users hardly ever share one.
func (w *world) newUser(r *rand.Rand) *user {
	t := w.tenants[w.tenantMix.draw(r)]
	return &user{
		id:     fmt.Sprintf("user-%07d", r.IntN(1e7)),
		tenant: t.id,
		key:    pick(r, t.keys),
		tone:   tone(r.IntN(int(tones))),
	}
}

func (w *world) newService(r *rand.Rand, d *domain, rank int) *service {
	s := &service{
		name:       pick(r, d.names),
		version:    fmt.Sprintf("%d.%d.%d", 1+r.IntN(4), r.IntN(20), r.IntN(10)),
		regions:    sample(r, regionNames, 1+r.IntN(2)),
		domain:     d,
		topics:     sample(r, d.topics, len(d.topics)),
		otherModel: between(r, 0.08, 0.15),
		peakHour:   between(r, 13, 15.5),
		amplitude:  between(r, 0.5, 0.62),
		retrieves:  between(r, 0.45, 0.9),
		usesTool:   between(r, 0.5, 0.8),
		overhead:   150 + r.IntN(400),
	}
	if chance(r, 0.3) {
		s.workflow = s.name + "-flow"
	}
	s.topicMix = newRoulette(len(s.topics), func(i int) float64 { return 1 / float64(i+2) })
	for _, name := range sample(r, d.agents, 2) {
		s.agents = append(s.agents, agent{name, fmt.Sprintf("%d.%d.%d", 1+r.IntN(3), r.IntN(10), r.IntN(6))})
	}
	// Both models of a provider are in use once all providers are, so a failing provider is not just a failing model.
	n := len(w.providers)
	s.primary = w.providers[rank%n].models[(rank%n+rank/n)%2]
	s.secondary = pick(r, w.providers[(rank+1+r.IntN(n-1))%n].models)
	s.users = sample(r, w.users, len(w.users))
	s.userMix = newRoulette(len(s.users), func(i int) float64 { return 1 / float64(i+2) })
	return s
}
