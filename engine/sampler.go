package engine

import (
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// SamplingConfig says what the semantic tier may spend on traces that nothing flagged. What is flagged is always looked at, and comes out
// of the same budgets first.
type SamplingConfig struct {
	// CloserRate is the share of the traces of series that learn or drift that is looked at, instead of sample_rate.
	CloserRate float64 `yaml:"closer_rate"`
	// MinRate is the least share that is looked at, whatever that costs.
	MinRate float64 `yaml:"min_rate"`
	// CPUCores is how much of a core the semantic tier may use, measured as the time that it is busy; 0 is no bound.
	CPUCores float64 `yaml:"cpu_cores"`
	// CostPerHour is what embedding may cost in an hour, in the currency of PricePerMillion; 0 is no bound.
	CostPerHour float64 `yaml:"cost_per_hour"`
	// PricePerMillion is that of a million tokens, taken to be four bytes of text each.
	PricePerMillion float64 `yaml:"price_per_million_tokens"`
	// AdjustEvery is how often the rate is moved, in wall time.
	AdjustEvery time.Duration `yaml:"adjust_every"`
}

// DefaultSampling looks at all of what learns or drifts, within most of a core.
func DefaultSampling() SamplingConfig {
	return SamplingConfig{CloserRate: 1, MinRate: 0.01, CPUCores: 0.8, AdjustEvery: 10 * time.Second}
}

func (c SamplingConfig) validate() error {
	switch {
	case !(c.CloserRate >= 0 && c.CloserRate <= 1) || !(c.MinRate >= 0 && c.MinRate <= 1):
		return fmt.Errorf("engine: sampling.closer_rate and min_rate must be in [0, 1], are %v, %v", c.CloserRate, c.MinRate)
	case !(c.CPUCores >= 0) || !(c.CostPerHour >= 0) || !(c.PricePerMillion >= 0):
		return fmt.Errorf("engine: sampling.cpu_cores, cost_per_hour and price_per_million_tokens must not be negative, are %v, %v, %v",
			c.CPUCores, c.CostPerHour, c.PricePerMillion)
	case c.CostPerHour > 0 && c.PricePerMillion == 0:
		return fmt.Errorf("engine: sampling.cost_per_hour needs price_per_million_tokens")
	case c.AdjustEvery <= 0:
		return fmt.Errorf("engine: sampling.adjust_every must be positive, is %v", c.AdjustEvery)
	}
	return nil
}

// Sampling is how traces that nothing flagged are sampled at the moment.
type Sampling struct {
	Rate     float64 `json:"rate"`     // share of calm traces that is looked at
	Closer   float64 `json:"closer"`   // of those of series that learn or drift
	Throttle float64 `json:"throttle"` // what the budgets leave of the rates that are set, 1 is all
	Busy     float64 `json:"busy"`     // cores that the semantic tier used lately
	CostHour float64 `json:"cost_per_hour"`
}

// sampler chooses the traces that the semantic tier looks at beside the flagged ones. Which ones follows from their ids, so that every
// instance and every rate chooses alike: what is chosen at one rate is chosen at each higher one. It is safe for concurrent use.
type sampler struct {
	cfg  SamplingConfig
	rate float64

	mu       sync.Mutex
	closer   *simplelru.LRU[SeriesKey, time.Time] // event time until which a series is looked at more closely
	throttle float64
	since    time.Time // wall time from which spend counts
	flagged  spend
	sampled  spend
	latest   Sampling
}

// spend is what looking at traces took.
type spend struct {
	busy time.Duration
	cost float64
}

// closerFor is how long a series stays under closer looks after the latest reason, in event time; maxCloser bounds the series.
const (
	closerFor = time.Hour
	maxCloser = 10_000
)

func newSampler(cfg SamplingConfig, rate float64) (*sampler, error) {
	closer, err := simplelru.NewLRU[SeriesKey, time.Time](maxCloser, nil)
	if err != nil {
		return nil, fmt.Errorf("engine: sampling: %w", err)
	}
	s := &sampler{cfg: cfg, rate: rate, closer: closer, throttle: 1}
	s.latest = Sampling{Rate: rate, Closer: max(rate, cfg.CloserRate), Throttle: 1}
	return s, nil
}

// look says that a series learns or drifts at the time.
func (s *sampler) look(k SeriesKey, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if until, ok := s.closer.Peek(k); !ok || until.Before(at.Add(closerFor)) {
		s.closer.Add(k, at.Add(closerFor))
	}
}

// chosen reports whether a trace is in the sample, and whether it would be but for the budget. A young service is looked at whole.
func (s *sampler) chosen(t *Trace, young bool) (now, wanted bool) {
	s.mu.Lock()
	rate := s.rate
	switch {
	case young:
		rate = 1
	case s.close(t):
		rate = max(rate, s.cfg.CloserRate)
	}
	throttled := max(min(rate, s.cfg.MinRate), rate*s.throttle)
	s.mu.Unlock()
	return t.ID.within(throttled), t.ID.within(rate)
}

// close reports whether one of the trace's series is looked at more closely. s.mu is held.
func (s *sampler) close(t *Trace) bool {
	const spans = 32 // of a long trace the first say enough
	for i := range t.Spans[:min(spans, len(t.Spans))] {
		if until, ok := s.closer.Get(t.Spans[i].Series()); ok && t.Spans[i].End.Before(until) {
			return true
		}
	}
	return false
}

// within reports whether the trace is in the sample of the given probability: as OpenTelemetry's consistent probability sampling has it,
// when the randomness of its id, the last 56 bits, is not below the rejection threshold.
func (id TraceID) within(probability float64) bool {
	const all = 1 << 56
	randomness := binary.BigEndian.Uint64(id[8:]) & (all - 1)
	return float64(randomness) >= (1-probability)*all
}

// spent says what looking at a trace took: how long the tier was busy, and the bytes that were embedded.
func (s *sampler) spent(busy time.Duration, bytes int, flagged bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	to := &s.sampled
	if flagged {
		to = &s.flagged
	}
	to.busy += busy
	to.cost += float64(bytes) / bytesPerToken * s.cfg.PricePerMillion / 1e6
}

// bytesPerToken is a usual ratio of English text.
const bytesPerToken = 4

// Bounds of one move of the throttle: it gives way faster than it comes back, and one odd interval moves it little.
const (
	throttleDown = 0.5
	throttleUp   = 1.25
	minThrottle  = 1e-3
)

// adjust moves the throttle towards what the budgets leave to the sample, once an interval of wall time is over. It reports whether it did.
func (s *sampler) adjust(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.since.IsZero() {
		s.since = now
		return false
	}
	took := now.Sub(s.since)
	if took < s.cfg.AdjustEvery {
		return false
	}
	move := throttleUp
	follow := func(budget, flagged, sampled float64) {
		switch left := budget - flagged; {
		case budget == 0:
		case left <= 0:
			move = throttleDown
		case sampled > 0:
			move = min(move, max(throttleDown, left/sampled))
		}
	}
	follow(s.cfg.CPUCores*took.Seconds(), s.flagged.busy.Seconds(), s.sampled.busy.Seconds())
	follow(s.cfg.CostPerHour*took.Hours(), s.flagged.cost, s.sampled.cost)
	s.throttle = min(1, max(minThrottle, s.throttle*move))
	s.latest = Sampling{
		Rate: max(min(s.rate, s.cfg.MinRate), s.rate*s.throttle), Closer: max(s.rate, s.cfg.CloserRate) * s.throttle, Throttle: s.throttle,
		Busy:     (s.flagged.busy + s.sampled.busy).Seconds() / took.Seconds(),
		CostHour: (s.flagged.cost + s.sampled.cost) / took.Hours(),
	}
	s.since, s.flagged, s.sampled = now, spend{}, spend{}
	return true
}

func (s *sampler) state() Sampling {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.latest
}
