package engine

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/llm-sentinel/llm-sentinel/statistical"
)

// LearningState says how far a detector of a series has come.
type LearningState struct {
	Series   SeriesKey `json:"series"`
	Detector string    `json:"detector"`
	Learning bool      `json:"learning"`
	Seen     uint64    `json:"seen"`
	Needed   uint64    `json:"needed"`
	Baseline Effect    `json:"baseline,omitzero"` // the median or rate it holds to be normal
}

// ServiceHealth sums a service up.
type ServiceHealth struct {
	Service   string          `json:"service"`
	Score     float64         `json:"health_score"` // 1 is calm; falls with open incidents by severity
	LastSeen  time.Time       `json:"last_seen"`
	Spans     uint64          `json:"spans"`
	Learning  []LearningState `json:"series"`
	Incidents int             `json:"open_incidents"`
	Alpha     float64         `json:"alpha"`
}

// serviceBook knows which services there are and how much was seen of each.
type serviceBook struct {
	mu       sync.Mutex
	max      int
	services map[string]*serviceEntry
}

type serviceEntry struct {
	Spans    uint64    `json:"spans"`
	LastSeen time.Time `json:"last_seen"`
}

func newServiceBook(maxServices int) serviceBook {
	return serviceBook{max: maxServices, services: make(map[string]*serviceEntry)}
}

// youngSpans is how many spans of a service are looked at whole before it is sampled: enough for the semantic detectors to learn.
const youngSpans = 4_000

func (b *serviceBook) saw(spans []Span) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range spans {
		e, ok := b.services[spans[i].Service]
		if !ok {
			if len(b.services) >= b.max {
				b.evict()
			}
			e = &serviceEntry{}
			b.services[spans[i].Service] = e
		}
		e.Spans++
		if spans[i].End.After(e.LastSeen) {
			e.LastSeen = spans[i].End
		}
	}
}

func (b *serviceBook) evict() {
	var oldest string
	for name, e := range b.services {
		if oldest == "" || e.LastSeen.Before(b.services[oldest].LastSeen) {
			oldest = name
		}
	}
	delete(b.services, oldest)
}

func (b *serviceBook) young(service string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	e, ok := b.services[service]
	return !ok || e.Spans < youngSpans
}

// Snapshot implements Snapshotter.
func (b *serviceBook) Snapshot(w io.Writer) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return json.NewEncoder(w).Encode(b.services)
}

// Restore implements Snapshotter.
func (b *serviceBook) Restore(r io.Reader) error {
	var in map[string]serviceEntry
	if err := json.NewDecoder(r).Decode(&in); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, e := range in {
		if len(b.services) < b.max {
			b.services[name] = &e
		}
	}
	return nil
}

// alphaBook keeps a significance level a service, moved so that its incidents meet the alert budget. It is guarded by its owner.
type alphaBook struct {
	cfg    AlertConfig
	levels *simplelru.LRU[string, *statistical.Alpha]
}

func newAlphaBook(cfg AlertConfig, maxServices int) (*alphaBook, error) {
	levels, err := simplelru.NewLRU[string, *statistical.Alpha](maxServices, nil)
	if err != nil {
		return nil, err
	}
	b := &alphaBook{cfg: cfg, levels: levels}
	_, err = b.newAlpha()
	return b, err
}

func (b *alphaBook) newAlpha() (*statistical.Alpha, error) {
	return statistical.NewAlpha(statistical.AlphaConfig{
		PerDay: b.cfg.PerDay, Initial: b.cfg.InitialAlpha, Min: b.cfg.MinAlpha, Max: b.cfg.MaxAlpha, Gain: alphaGain,
	})
}

func (b *alphaBook) of(service string) *statistical.Alpha {
	if a, ok := b.levels.Get(service); ok {
		return a
	}
	a, err := b.newAlpha()
	if err != nil {
		panic(err) // newAlphaBook tried the same configuration
	}
	b.levels.Add(service, a)
	return a
}

// alphaGain is the step on log α of one alert: slow, since a day has few.
const alphaGain = 0.1

// value is the level of a service, the initial one when it was never judged. Nothing changes.
func (b *alphaBook) value(service string) float64 {
	if a, ok := b.levels.Peek(service); ok {
		return a.Value()
	}
	return b.cfg.InitialAlpha
}

func (b *alphaBook) alerted(service string, at time.Time) { b.of(service).Alert(at) }

func (b *alphaBook) tick(at time.Time) {
	for _, a := range b.levels.Values() {
		a.Tick(at)
	}
}

// Snapshot implements Snapshotter.
func (b *alphaBook) Snapshot(w io.Writer) error {
	out := make(map[string][]byte, b.levels.Len())
	for _, service := range b.levels.Keys() {
		a, _ := b.levels.Peek(service)
		data, err := a.MarshalBinary()
		if err != nil {
			return fmt.Errorf("alpha of %s: %w", service, err)
		}
		out[service] = data
	}
	return json.NewEncoder(w).Encode(out)
}

// Restore implements Snapshotter.
func (b *alphaBook) Restore(r io.Reader) error {
	var in map[string][]byte
	if err := json.NewDecoder(r).Decode(&in); err != nil {
		return err
	}
	for service, data := range in {
		if err := b.of(service).UnmarshalBinary(data); err != nil {
			return fmt.Errorf("alpha of %s: %w", service, err)
		}
	}
	return nil
}

// LearningReporter is a screener that can say what it still learns.
type LearningReporter interface {
	States() []LearningState
	// Learning is how many series have not seen enough; it is cheap.
	Learning() int
}

// Learning is how many series have not seen enough yet.
func (p *Pipeline) Learning() int {
	if r, ok := p.parts.Screener.(LearningReporter); ok {
		return r.Learning()
	}
	return 0
}

// Services sums up every service that was seen, by name.
func (p *Pipeline) Services() []ServiceHealth {
	byService := make(map[string][]LearningState)
	if r, ok := p.parts.Screener.(LearningReporter); ok {
		for _, s := range r.States() {
			byService[s.Series.Service] = append(byService[s.Series.Service], s)
		}
	}
	p.services.mu.Lock()
	out := make([]ServiceHealth, 0, len(p.services.services))
	for name, e := range p.services.services {
		out = append(out, ServiceHealth{Service: name, LastSeen: e.LastSeen, Spans: e.Spans, Learning: byService[name], Score: 1})
	}
	p.services.mu.Unlock()
	slices.SortFunc(out, func(a, b ServiceHealth) int { return cmp.Or(strings.Compare(a.Service, b.Service)) })
	p.mu.Lock()
	defer p.mu.Unlock()
	groups := p.grouper.sorted()
	for i := range out {
		s := &out[i]
		s.Alpha = p.alphas.value(s.Service)
		for _, x := range groups {
			if x.opened && slices.Contains(x.incident.Services, s.Service) {
				s.Incidents++
				s.Score *= 1 - 0.2*float64(x.incident.Severity.Rank()+1)
			}
		}
	}
	return out
}
