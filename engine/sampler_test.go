package engine

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func newTestSampler(t *testing.T, rate float64, change func(*SamplingConfig)) *sampler {
	cfg := DefaultSampling()
	if change != nil {
		change(&cfg)
	}
	require.NoError(t, cfg.validate())
	s, err := newSampler(cfg, rate)
	require.NoError(t, err)
	return s
}

// The last 56 bits decide, as in OpenTelemetry's samplers: what those kept at a lower rate is kept here too.
func TestSampleGoesByTheRandomnessOfTheTraceID(t *testing.T) {
	t.Parallel()
	id := TraceID{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x80}
	require.True(t, id.within(0.5), "exactly at the threshold of one half, whatever the other bits are")
	require.False(t, id.within(0.4999))
	require.False(t, TraceID{0xff}.within(0.9999))
	require.True(t, TraceID{}.within(1))
	require.False(t, TraceID{15: 0xff}.within(0))
}

func TestSeriesThatLearnOrDriftAreLookedAtMoreClosely(t *testing.T) {
	t.Parallel()
	s := newTestSampler(t, 0.1, nil)
	root, call := span(1, 1, 0, began), span(1, 2, 1, began)
	call.Model = "m"
	trace := NewTrace(TraceID{}, []Span{root, call}) // an id that only a rate of 1 takes
	now, _ := s.chosen(&trace, false)
	require.False(t, now)
	s.look(call.Series(), began)
	now, _ = s.chosen(&trace, false)
	require.True(t, now)
	later := NewTrace(TraceID{}, []Span{span(1, 1, 0, began.Add(2*closerFor))})
	now, _ = s.chosen(&later, false)
	require.False(t, now, "for a while")
	now, _ = s.chosen(&later, true)
	require.True(t, now, "a young service is looked at whole")
}

// runFor plays intervals in which looking at all of the sample would take so much of a core, and what is flagged so much more.
func runFor(s *sampler, intervals int, sample, flagged float64) {
	if s.since.IsZero() {
		s.adjust(began)
	}
	now := s.since
	for range intervals {
		took := s.cfg.AdjustEvery
		s.spent(time.Duration(sample*s.state().Throttle*float64(took)), 0, false)
		s.spent(time.Duration(flagged*float64(took)), 0, true)
		now = now.Add(took)
		s.adjust(now)
	}
}

func TestRateFollowsTheCPUBudget(t *testing.T) {
	t.Parallel()
	cpu := func(c *SamplingConfig) { c.CPUCores = 0.2 }
	s := newTestSampler(t, 0.5, cpu)
	runFor(s, 20, 0.1, 0.05)
	require.InDelta(t, 1, s.state().Throttle, 0, "within the budget nothing is taken away")
	runFor(s, 60, 0.8, 0.04)
	require.InDelta(t, 0.2, s.state().Busy, 0.01, "it meets the budget, what is flagged included")
	require.InDelta(t, 0.2, s.state().Throttle, 0.01)
	require.InDelta(t, 0.1, s.state().Rate, 0.01)
	runFor(s, 60, 0.1, 0.04)
	require.InDelta(t, 1, s.state().Throttle, 0, "it comes back")

	runFor(s, 200, 0.1, 0.5) // what is flagged alone is above it
	require.InDelta(t, s.cfg.MinRate, s.state().Rate, 0, "something is always looked at")
}

func TestRateFollowsTheMoneyBudget(t *testing.T) {
	t.Parallel()
	s := newTestSampler(t, 1, func(c *SamplingConfig) { c.CostPerHour, c.PricePerMillion, c.AdjustEvery = 0.5, 2, time.Minute })
	now := began
	s.adjust(now)
	for range 60 {
		tokens := 1e6 / 60 * s.state().Throttle // 2 an hour, all of it
		s.spent(0, int(tokens*bytesPerToken), false)
		now = now.Add(time.Minute)
		s.adjust(now)
	}
	require.InDelta(t, 0.5, s.state().CostHour, 0.01)
	require.InDelta(t, 0.25, s.state().Rate, 0.01)
}

func TestWhatTheBudgetShedsIsCounted(t *testing.T) {
	t.Parallel()
	x := newPlant(t)
	for range youngSpans {
		x.services.saw([]Span{span(1, 1, 0, began)})
	}
	runFor(x.sampler, 20, 8, 0)
	trace := NewTrace(TraceID{}, []Span{span(1, 1, 0, began)})
	require.False(t, x.sampled(&trace))
	require.EqualValues(t, 1, x.Health().Dropped[dropBudget])
	require.Less(t, x.Health().Sampling.Rate, 0.2)
}

func TestSamplingConfigSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*SamplingConfig){
		"closer_rate":   func(c *SamplingConfig) { c.CloserRate = 2 },
		"min_rate":      func(c *SamplingConfig) { c.MinRate = math.NaN() },
		"cpu_cores":     func(c *SamplingConfig) { c.CPUCores = -1 },
		"cost_per_hour": func(c *SamplingConfig) { c.CostPerHour = 1 },
		"adjust_every":  func(c *SamplingConfig) { c.AdjustEvery = 0 },
	} {
		cfg := DefaultConfig()
		change(&cfg.Sampling)
		require.ErrorContains(t, cfg.Validate(), want)
	}
}
