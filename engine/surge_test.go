package engine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// surging feeds windows of traces whose p-values are uniform, but for a share of unusual ones.
type surging struct {
	s      *surges
	rng    *rand.Rand
	now    time.Time
	traces int
}

func newSurging(t *testing.T, seed uint64, change ...func(*SurgeConfig)) *surging {
	cfg := DefaultConfig().Surges
	for _, f := range change {
		f(&cfg)
	}
	s, err := newSurges(cfg)
	require.NoError(t, err)
	return &surging{s: s, rng: rand.New(rand.NewPCG(seed, 0)), now: began.Truncate(cfg.Window)}
}

// window adds one window of traces and returns what its end shows below the level.
func (x *surging) window(traces int, unusual, level float64) []Finding {
	for range traces {
		x.traces++
		p := 1 - x.rng.Float64()
		if x.rng.Float64() < unusual {
			p *= 0.01
		}
		f := material(SemanticNovelty, p)
		f.TraceID, f.Effect = traceID(x.traces), Effect{Baseline: 0.8, Current: 0.4, Unit: "similarity"}
		f.At = x.now.Add(time.Duration(x.rng.Int64N(int64(x.s.cfg.Window))))
		x.s.add(&f)
	}
	x.now = x.now.Add(x.s.cfg.Window)
	return slices.DeleteFunc(x.s.advance(x.now), func(f Finding) bool { return f.P >= level })
}

func TestCalmTrafficIsNoSurge(t *testing.T) {
	t.Parallel()
	for traces, windows := range map[int]int{5: 8_000, 40: 8_000, 300: 1_000} { // of five minutes: up to four weeks
		x := newSurging(t, uint64(traces))
		hundredth, tenThousandth := 0, 0
		for range windows {
			for _, f := range x.window(traces, 0, 0.01) {
				hundredth++
				if f.P < 1e-4 {
					tenThousandth++
				}
			}
		}
		require.Less(t, hundredth, windows*15/1000+5, "%d traces a window", traces)
		require.LessOrEqual(t, tenThousandth, 5, "%d traces a window", traces)
	}
}

func TestManyUnusualTracesAreASurge(t *testing.T) {
	t.Parallel()
	x := newSurging(t, 1)
	for range 200 {
		x.window(40, 0, 0)
	}
	var found []Finding
	for range 6 {
		found = append(found, x.window(40, 0.2, 1e-4)...)
	}
	require.NotEmpty(t, found)
	f := found[0]
	require.Equal(t, SemanticNovelty, f.Type)
	require.Equal(t, Subject{SubjectService, "shop"}, f.Subject)
	require.GreaterOrEqual(t, len(f.Traces), x.s.cfg.MinTraces)
	require.Positive(t, f.Window)
	require.InDelta(t, 0.4, f.Effect.Current, 1e-9, "the mean effect of the unusual")
	require.Contains(t, f.Reason, "unusual")

	inside, outside := f, f
	inside.At = f.At.Add(-x.s.cfg.Window)
	outside.At = f.At.Add(-24 * time.Hour)
	require.True(t, x.s.during(&inside, 30*time.Minute))
	require.False(t, x.s.during(&outside, 30*time.Minute))
	other := inside
	other.Subject.Value = "elsewhere"
	require.False(t, x.s.during(&other, 30*time.Minute))
}

// Of what a trace does or does not, the effect is the proportion of all traces that do, not of the unusual ones.
func TestSurgeOfAProportionTellsTheProportion(t *testing.T) {
	t.Parallel()
	x := newSurging(t, 1)
	for i := range 40 {
		f := Finding{Type: ModelRegression, Detector: "refusals", Subject: Subject{SubjectService, "shop"}, P: 1, At: x.now, TraceID: traceID(i + 1)}
		f.Effect = Effect{Baseline: 0.1, Unit: UnitProportion}
		if i%2 == 0 {
			f.P, f.Material, f.Effect.Current = 0.1*(float64(i)+0.5)/40, true, 1
		}
		x.s.add(&f)
	}
	x.now = x.now.Add(x.s.cfg.Window)
	found := x.s.advance(x.now)
	require.Len(t, found, 1)
	require.InDelta(t, 0.1, found[0].Effect.Baseline, 1e-9)
	require.Equal(t, 0.5, found[0].Effect.Current)
}

func TestWhatIsOverIsNotToldAgain(t *testing.T) {
	t.Parallel()
	x := newSurging(t, 2)
	for range 200 {
		x.window(40, 0, 0)
	}
	told := 0
	for range 12 {
		told += len(x.window(40, 0.5, 1e-4))
	}
	require.Greater(t, told, 8, "it is told as long as it lasts")
	require.Empty(t, x.window(0, 0, 1))
	again := 0
	for range surgeHorizons[len(surgeHorizons)-1] {
		again += len(x.window(40, 0, 1e-4))
	}
	require.LessOrEqual(t, again, 4, "only where chance makes the latest window unusual too")
	for range 50 {
		require.Empty(t, x.window(40, 0, 1e-4))
	}
}

func TestFewOrImmaterialOrLearningTracesAreNoSurge(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Finding){
		"immaterial": func(f *Finding) { f.Material = false },
		"learning":   func(f *Finding) { f.Learning = true },
		"of nobody":  func(f *Finding) { f.Subject = Subject{} },
		"likely":     func(f *Finding) { f.P = 0.3 },
	} {
		t.Run(name, func(t *testing.T) {
			x := newSurging(t, 3)
			for i := range 100 {
				f := material(SemanticNovelty, 1e-6)
				f.At, f.TraceID = x.now, traceID(i)
				change(&f)
				x.s.add(&f)
			}
			require.Empty(t, x.window(0, 0, 1))
		})
	}
	x := newSurging(t, 4)
	for i := range x.s.cfg.MinTraces - 1 {
		f := material(SemanticNovelty, 1e-9)
		f.At, f.TraceID = x.now, traceID(i)
		x.s.add(&f)
	}
	require.Empty(t, x.window(0, 0, 1), "a few traces are no surge, however unlikely")
}

func TestSurgesAreBounded(t *testing.T) {
	t.Parallel()
	x := newSurging(t, 5, func(c *SurgeConfig) { c.MaxKeys = 10 })
	for n := range 500 {
		for i := range 200 {
			f := material(Jailbreak, 1e-6)
			f.Subject, f.At, f.TraceID = Subject{SubjectUser, fmt.Sprint(n)}, x.now, traceID(i)
			x.s.add(&f)
		}
	}
	require.Equal(t, 10, x.s.keys.Len())
	found := x.window(0, 0, 1)
	require.Len(t, found, 10)
	for _, f := range found {
		require.LessOrEqual(t, len(f.Traces), maxUnusual*surgeHorizons[len(surgeHorizons)-1])
	}
	for range 100 {
		x.window(3, 0, 0)
	}
	for _, v := range x.s.keys.Values() {
		require.LessOrEqual(t, len(v.windows), surgeHorizons[len(surgeHorizons)-1]+1)
	}
}

func TestLateTracesCountWithTheOpenWindow(t *testing.T) {
	t.Parallel()
	x := newSurging(t, 6)
	x.window(10, 0, 0)
	for i := range 20 {
		f := material(SemanticNovelty, 1e-6)
		f.At, f.TraceID = x.now.Add(-time.Hour), traceID(1000+i)
		x.s.add(&f)
	}
	require.Len(t, x.window(0, 0, 1e-4), 1)
}

func TestProportionIsNamedAsOne(t *testing.T) {
	f := Finding{Type: ModelRegression, Effect: Effect{Unit: UnitProportion}}
	require.Equal(t, "proportion of answers", f.quantity())
	f.Effect.Unit = "ratio"
	require.Equal(t, ModelRegression.Quantity(), f.quantity())
}
