package screen

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Each of these calls is ordinary in every number of its own.
func TestCallsWhoseNumbersDoNotGoTogetherAreFound(t *testing.T) {
	t.Parallel()
	streamed, whole := newStream(30), newStream(30)
	whole.whole = true
	screens := map[*stream]*Screen{streamed: newScreen(t), whole: newScreen(t)}
	for s, x := range screens {
		s.play(x, 100, nil)
	}
	for name, c := range map[string]struct {
		of   *stream
		call modelCall
		kind engine.AnomalyType
		says string
	}{
		"slow for a short answer":     {whole, modelCall{first: 0.2, perToken: 0.2, input: 400, output: 40, cost: 0.0112}, engine.LatencySpike, "duration 8s instead of"},
		"much written in no time":     {streamed, modelCall{first: 0.1, perToken: 0.002, input: 500, output: 500, cost: 0.05}, engine.TokenAbuse, "output tokens 500 instead of"},
		"a price that tokens are not": {whole, modelCall{first: 0.2, perToken: 0.016, input: 500, output: 150, cost: 0.1}, engine.CostOverrun, "cost 0.1 instead of"},
		"a late start, then fast":     {streamed, modelCall{first: 1.4, perToken: 0.006, input: 300, output: 200, cost: 0.022}, engine.LatencySpike, "first token after 1.4s instead of"},
	} {
		t.Run(name, func(t *testing.T) {
			said := c.of.judged(screens[c.of], c.call)
			for _, f := range said {
				if f.Detector != "joint" {
					require.True(t, f.P > 1e-3 || !f.Material, "%s finds it alone: %v", f.Detector, f)
				}
			}
			f := told(by(said, "joint"), 2e-4)
			require.Len(t, f, 1)
			require.Equal(t, c.kind, f[0].Type)
			require.Equal(t, engine.Subject{Kind: engine.SubjectService, Value: "shop"}, f[0].Subject)
			require.Greater(t, f[0].Effect.Ratio(), 2.0)
			require.Contains(t, f[0].Reason, c.says)
		})
	}
}

func TestJointPValuesAreNotTooSmall(t *testing.T) {
	t.Parallel()
	s := newStream(31)
	j := newJoint(DefaultConfig())
	below := map[float64]int{0.05: 0, 0.01: 0, 0.001: 0}
	judged := 0
	for n := range 500 {
		spans := s.window(nil)
		for i := range spans {
			j.observe(&spans[i], time.Time{})
			c, ok := callOf(&spans[i])
			require.True(t, ok)
			if x, ok := j.series.Peek(spans[i].Series()); ok && n >= 60 {
				l := look{call: &c}
				l.at(x.model)
				if l.beyond {
					continue
				}
				p := x.calm.UpperP(l.strangeness)
				judged++
				for level := range below {
					if p < level {
						below[level]++
					}
				}
			}
		}
		j.advance(s.now)
	}
	for level, n := range below {
		require.Less(t, float64(n), 1.5*level*float64(judged)+5, "%d of %d below %v", n, judged, level)
		require.Greater(t, float64(n), 0.5*level*float64(judged)-5, "%d of %d below %v", n, judged, level)
	}
}

func TestJointIncidentIsNotLearntUntilItHasLasted(t *testing.T) {
	t.Parallel()
	s := newStream(32)
	x := newScreen(t, func(c *Config) { c.AdoptAfter = 4 * time.Hour })
	s.play(x, 100, nil)
	odd := modelCall{first: 0.2, perToken: 0.1, input: 400, output: 60, cost: 0.0128}
	dear := func(c *modelCall) { c.cost *= 4 }
	require.NotEmpty(t, told(by(s.judged(x, odd), "joint"), 1e-4))
	s.play(x, 40, dear)
	c := s.call()
	dear(&c)
	require.NotEmpty(t, told(by(s.judged(x, c), "joint"), 1e-4), "a wrong price of three hours is not normal")
	s.play(x, 400, dear)
	require.Empty(t, told(by(s.judged(x, c), "joint"), 1e-3), "one of a day and a half is")
}

func TestJointLeavesOutCallsThatSayNothing(t *testing.T) {
	t.Parallel()
	s := newStream(33)
	span := s.span(s.now, s.call())
	for name, change := range map[string]func(*engine.Span){
		"a failed call":         func(x *engine.Span) { x.Failed = true },
		"a call without tokens": func(x *engine.Span) { x.Usage = engine.Usage{} },
		"a tool":                func(x *engine.Span) { x.Operation = engine.OpExecuteTool },
	} {
		t.Run(name, func(t *testing.T) {
			changed := span
			change(&changed)
			_, ok := callOf(&changed)
			require.False(t, ok)
		})
	}
}
