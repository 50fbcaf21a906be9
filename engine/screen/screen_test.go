package screen

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// alarm is a level at which an engine speaks.
const alarm = 1e-4

func TestCalmTrafficIsSilent(t *testing.T) {
	t.Parallel()
	w := newWorld(1)
	s := learnt(t, w)
	findings := w.play(s, 900, nil)
	require.Greater(t, len(findings), 3_000)
	require.LessOrEqual(t, len(told(findings, alarm)), 2, "three days of calm: %v", told(findings, alarm))

	// The p-values of windows are no smaller than they say, with some room for chance.
	byDetector := make(map[string][2]int)
	for _, f := range findings {
		if f.Learning || f.Detector == "versions" || f.Detector == "heavy_users" {
			continue // these are listed only when they have something to say
		}
		c := byDetector[f.Detector]
		c[1]++
		if f.P < 0.01 {
			c[0]++
		}
		byDetector[f.Detector] = c
	}
	require.Len(t, byDetector, 5)
	for detector, c := range byDetector {
		require.Less(t, float64(c[0]), 0.02*float64(c[1])+5, "%s: %d of %d windows below 1 %%", detector, c[0], c[1])
	}
}

func TestCalmTracesScoreUniformly(t *testing.T) {
	t.Parallel()
	w := newWorld(2)
	s := learnt(t, w)
	traces, small := 0, 0
	for range 40 {
		for _, trace := range engine.Traces(w.traffic(func(r *request) bool { return r.chatError == "" })) {
			traces++
			for _, f := range s.Score(&trace) {
				if f.Material && f.P < 0.001 {
					small++
				}
			}
		}
	}
	require.Greater(t, traces, 1_000)
	require.Less(t, small, traces/100)
}

func TestEachDetectorFindsItsChange(t *testing.T) {
	t.Parallel()
	some := rand.New(rand.NewPCG(3, 0))
	often := func(p float64) bool { return some.Float64() < p }
	for _, c := range []struct {
		name    string
		change  func(*request) bool
		kind    engine.AnomalyType
		subject engine.Subject
	}{
		{"a model call takes three times as long", func(r *request) bool { r.chat *= 3; return true },
			engine.LatencySpike, engine.Subject{Kind: engine.SubjectService, Value: "shop"}},
		{"a provider fails, whatever its model", func(r *request) bool {
			if r.provider == "acme" && often(0.5) {
				r.chatError = "503"
			}
			return true
		}, engine.ErrorRate, engine.Subject{Kind: engine.SubjectProvider, Value: "acme"}},
		{"one model of a provider fails", func(r *request) bool {
			if r.model == "small" && often(0.8) {
				r.chatError = "429"
			}
			return true
		}, engine.ErrorRate, engine.Subject{Kind: engine.SubjectModel, Value: "small"}},
		{"a tool fails", func(r *request) bool {
			if often(0.5) {
				r.toolError = "timeout"
			}
			return true
		}, engine.ErrorRate, engine.Subject{Kind: engine.SubjectTool, Value: "search"}},
		{"the service itself fails", func(r *request) bool {
			if often(0.5) {
				r.ownError = "panic"
			}
			return true
		}, engine.ErrorRate, engine.Subject{Kind: engine.SubjectService, Value: "shop"}},
		{"one user spends as much as all others", func(r *request) bool {
			if r.user == "user-c" || often(0.2) {
				r.user, r.tokens = "user-c", r.tokens*25
			}
			return true
		}, engine.TokenAbuse, engine.Subject{Kind: engine.SubjectUser, Value: "user-c"}},
		{"calls cost ten times as much", func(r *request) bool { r.cost *= 10; return true },
			engine.CostOverrun, engine.Subject{Kind: engine.SubjectService, Value: "shop"}},
		{"requests stay away", func(*request) bool { return often(0.02) },
			engine.Traffic, engine.Subject{Kind: engine.SubjectService, Value: "shop"}},
		{"a new version of a model is slower", func(r *request) bool {
			if r.model == "large" {
				r.version, r.chat = "large-02", r.chat*17/10
			}
			return true
		}, engine.ModelRegression, engine.Subject{Kind: engine.SubjectModelVersion, Value: "large-02"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(4)
			s := learnt(t, w)
			found := of(told(w.play(s, 12, c.change), alarm), c.kind)
			require.NotEmpty(t, found)
			for _, f := range found {
				if f.Subject == c.subject {
					require.NotEmpty(t, f.Reason)
					require.Contains(t, f.Series.Service, "shop")
					return
				}
			}
			require.Fail(t, "blamed on others", "%+v", found)
		})
	}
}

func TestFailurePassedUpIsNotTheCallersOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(5)
	s := learnt(t, w)
	found := of(told(w.play(s, 6, func(r *request) bool { r.chatError = "503"; return true }), alarm), engine.ErrorRate)
	require.NotEmpty(t, found)
	for _, f := range found {
		require.Equal(t, engine.OpChat, f.Series.Operation, "the agent's span fails only because its call did")
	}
}

func TestOneSlowRequestIsNoFindingOfItsWindow(t *testing.T) {
	t.Parallel()
	w := newWorld(6)
	s := learnt(t, w)
	slow := 1
	w.play(s, 1, nil)
	findings := w.play(s, 6, func(r *request) bool {
		if slow > 0 {
			slow--
			r.chat = time.Minute
		}
		return true
	})
	require.Empty(t, of(told(findings, alarm), engine.LatencySpike))
}

func TestSlowTraceIsScored(t *testing.T) {
	t.Parallel()
	w := newWorld(7)
	s := learnt(t, w)
	r := w.request()
	r.chat, r.tool, r.chatError = time.Minute, 100*time.Millisecond, ""
	trace := engine.Traces(w.spans(w.now, r))[0]
	found := of(told(s.Score(&trace), alarm), engine.LatencySpike)
	require.Len(t, found, 1)
	require.Contains(t, found[0].Spans, engine.SpanID{3})
	require.NotContains(t, found[0].Spans, engine.SpanID{2}, "the tool was as quick as ever")
	require.Greater(t, found[0].Effect.Ratio(), 10.0)
}

func TestScoreTeachesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(8)
	s := learnt(t, w)
	r := w.request()
	r.chat, r.chatError = 5*time.Second, ""
	trace := engine.Traces(w.spans(w.now, r))[0]
	first, states := s.Score(&trace), s.States()
	for range 1_000 {
		s.Score(&trace)
	}
	require.Equal(t, first, s.Score(&trace))
	require.Equal(t, states, s.States())

	unknown := r
	unknown.service = "never seen"
	trace = engine.Traces(w.spans(w.now, unknown))[0]
	for _, f := range s.Score(&trace) {
		require.True(t, f.Learning, "%+v", f)
	}
	require.Equal(t, states, s.States(), "asking about a service does not create it")
}

func TestLearningIsSilent(t *testing.T) {
	t.Parallel()
	s, w := newScreen(t), newWorld(9)
	w.perHour = 24 // two requests a window
	findings := w.play(s, 5, nil)
	findings = append(findings, w.play(s, 1, func(r *request) bool { r.chat, r.chatError, r.tokens = time.Hour, "503", 1e6; return true })...)
	require.Empty(t, told(findings, 1))
	for _, st := range s.States() {
		require.True(t, st.Learning, "%+v", st)
		require.Less(t, st.Seen, st.Needed)
	}
}

func TestIncidentDoesNotTeach(t *testing.T) {
	t.Parallel()
	w := newWorld(10)
	s := learnt(t, w)
	median := func() float64 {
		for _, st := range s.States() {
			if st.Series.Model == "large" {
				return st.Baseline.Baseline
			}
		}
		return 0
	}
	before := median()
	slower := func(r *request) bool { r.chat *= 3; return true }
	w.play(s, 100, slower) // eight hours
	require.InEpsilon(t, before, median(), 0.1)
	require.NotEmpty(t, told(w.play(s, 1, slower), alarm), "it is told as long as it lasts")
	require.Empty(t, told(w.play(s, 12, nil)[6:], alarm), "what follows is normal again")
}

func TestLevelThatLastsIsAdopted(t *testing.T) {
	t.Parallel()
	quick := func(c *Config) { c.AdoptAfter, c.HalfLife = 2*time.Hour, 2*time.Hour }
	for name, change := range map[string]func(*request) bool{
		"latency": func(r *request) bool { r.chat *= 3; return true },
		"errors":  func(r *request) bool { r.toolError = "gone"; return true },
		"cost":    func(r *request) bool { r.cost *= 10; return true },
		"traffic": func(*request) bool { return false },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(11)
			s := learnt(t, w, quick)
			detector := func(findings []engine.Finding) (n int) {
				for _, f := range told(findings, alarm) {
					if f.Detector == name {
						n++
					}
				}
				return n
			}
			require.Positive(t, detector(w.play(s, 20, change)))
			w.play(s, 200, change)
			require.Zero(t, detector(w.play(s, 20, change)), "after most of a day it is what is normal")
		})
	}
}

func TestNewSeriesBorrowsItsPoolsErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(12)
	s := learnt(t, w)
	r := w.request()
	r.toolName, r.toolError = "brand new", "timeout"
	trace := engine.Traces(w.spans(w.now, r))[0]
	findings := s.Score(&trace)
	found := of(told(findings, 1), engine.ErrorRate)
	require.Len(t, found, 1, "tools of this service hardly ever fail: %+v", findings)
	require.Equal(t, engine.Subject{Kind: engine.SubjectTool, Value: "brand new"}, found[0].Subject)
}

func TestLateSpansAreCountedAndLeftOut(t *testing.T) {
	t.Parallel()
	s, w := newScreen(t), newWorld(13)
	early := w.traffic(nil)
	w.play(s, 10, nil)
	states := s.States()
	s.Observe(early)
	require.Equal(t, float64(len(early)), testutil.ToFloat64(s.late))
	require.Empty(t, s.Advance(w.now), "a closed window does not close twice")
	require.Equal(t, states, s.States())
}

func TestOrderOfArrivalDoesNotMatter(t *testing.T) {
	t.Parallel()
	straight, shuffled := newScreen(t), newScreen(t)
	a, b := newWorld(14), newWorld(14)
	noVersion := func(r *request) bool { r.version = ""; return true } // which version came first is a matter of order
	rng := rand.New(rand.NewPCG(1, 1))
	for range 60 {
		straight.Observe(a.traffic(noVersion))
		straight.Observe(a.traffic(noVersion))
		spans := append(b.traffic(noVersion), b.traffic(noVersion)...)
		rng.Shuffle(len(spans), func(i, j int) { spans[i], spans[j] = spans[j], spans[i] })
		// A failed child tells of its parent only when it comes first or beside it.
		shuffled.Observe(spans)
		one, other := straight.Advance(a.now), shuffled.Advance(b.now)
		require.Len(t, other, len(one))
		for i := range one {
			require.Equal(t, one[i].Series, other[i].Series)
			require.Equal(t, one[i].Detector, other[i].Detector)
			require.InDelta(t, one[i].P, other[i].P, 1e-9)
		}
	}
}

func TestMemoryIsBoundedAndEvictionCounted(t *testing.T) {
	t.Parallel()
	s := newScreen(t, func(c *Config) { c.MaxSeries, c.MaxServices, c.MaxUsers = 12, 3, 4 })
	w := newWorld(15)
	for n := range 50 {
		w.play(s, 1, func(r *request) bool {
			r.service, r.user = fmt.Sprintf("service-%d", n), fmt.Sprintf("user-%d", w.rng.IntN(1_000))
			return true
		})
	}
	for kind, most := range map[string]float64{"series": 12, "pool": 12, "service": 3} {
		require.LessOrEqual(t, testutil.ToFloat64(s.live.WithLabelValues(kind)), most, kind)
		require.Positive(t, testutil.ToFloat64(s.evicted.WithLabelValues(kind)), kind)
	}
	require.LessOrEqual(t, len(s.States()), 12)
}

func TestWildTimesAndValuesDoNoHarm(t *testing.T) {
	t.Parallel()
	s, w := newScreen(t), newWorld(16)
	w.play(s, 3, nil)
	for _, at := range []time.Time{{}, time.Unix(0, 0), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), w.now} {
		for _, d := range []time.Duration{0, 1, time.Duration(1<<63 - 1)} {
			span := engine.Span{TraceID: w.id(), Service: "shop", Name: "odd", Start: at, End: at.Add(d), ServiceVersion: "1",
				Usage: engine.Usage{Input: 1<<62 - 1, Output: 1<<62 - 1, Cost: 1e300}, Operation: engine.OpChat, User: "u"}
			s.Observe([]engine.Span{span})
			trace := engine.NewTrace(span.TraceID, []engine.Span{span})
			s.Score(&trace)
		}
	}
	require.NotPanics(t, func() { s.Advance(w.now.Add(time.Hour)) })
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	require.NoError(t, DefaultConfig().Validate())
	for name, change := range map[string]func(*Config){
		"window":        func(c *Config) { c.Window = 0 },
		"max_series":    func(c *Config) { c.MaxSeries = 0 },
		"min_samples":   func(c *Config) { c.MinSamples = 1 },
		"latency_ratio": func(c *Config) { c.LatencyRatio = 0.5 },
	} {
		cfg := DefaultConfig()
		change(&cfg)
		_, err := New(cfg, prometheus.NewRegistry())
		require.ErrorContains(t, err, name)
	}
}

func TestMetricsRegisterOnce(t *testing.T) {
	t.Parallel()
	r := prometheus.NewRegistry()
	_, err := New(DefaultConfig(), r)
	require.NoError(t, err)
	_, err = New(DefaultConfig(), r)
	require.ErrorContains(t, err, "register")
}
