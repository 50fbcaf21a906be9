package screen

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// modelCall is one call of a streaming model before it becomes a span.
type modelCall struct {
	first, perToken float64 // seconds
	input, output   float64 // tokens
	cost            float64
}

// stream makes the calls of one model. Times are event time.
type stream struct {
	rng    *rand.Rand
	now    time.Time
	traces uint64
	whole  bool // answers come in one piece: nobody knows when the first token was there
}

func newStream(seed uint64) *stream {
	return &stream{rng: rand.New(rand.NewPCG(seed, 9)), now: began}
}

func (s *stream) lognormal(median, sigma float64) float64 {
	return median * math.Exp(sigma*s.rng.NormFloat64())
}

func (s *stream) call() modelCall {
	c := modelCall{input: s.lognormal(500, 0.7), output: s.lognormal(180, 0.6), perToken: s.lognormal(0.016, 0.2)}
	if s.rng.IntN(4) == 0 { // with documents
		c.input, c.output = s.lognormal(3500, 0.3), s.lognormal(260, 0.4)
	}
	c.first = s.lognormal(0.15+c.input/8000, 0.25)
	c.cost = c.input*2e-5 + c.output*8e-5
	return c
}

func (s *stream) span(at time.Time, c modelCall) engine.Span {
	s.traces++
	id := engine.TraceID{byte(s.traces >> 16), byte(s.traces >> 8), byte(s.traces), 1}
	span := engine.Span{
		TraceID: id, SpanID: engine.SpanID{1}, Name: "chat large", Service: "shop", Operation: engine.OpChat, Model: "large", User: "ann",
		Start: at, End: at.Add(time.Duration((c.first + c.perToken*(c.output-1)) * 1e9)), TimeToFirstChunk: time.Duration(c.first * 1e9),
		Usage: engine.Usage{Input: int64(c.input), Output: int64(c.output), Cost: c.cost},
	}
	if s.whole {
		span.TimeToFirstChunk = 0
	}
	return span
}

// window makes the spans of one window of 40 calls.
func (s *stream) window(change func(*modelCall)) []engine.Span {
	var out []engine.Span
	for range 40 {
		c := s.call()
		if change != nil {
			change(&c)
		}
		out = append(out, s.span(s.now.Add(time.Duration(s.rng.Float64()*float64(4*time.Minute))), c))
	}
	s.now = s.now.Add(5 * time.Minute)
	return out
}

func (s *stream) play(x *Screen, windows int, change func(*modelCall)) []engine.Finding {
	var out []engine.Finding
	for range windows {
		x.Observe(s.window(change))
		out = append(out, x.Advance(s.now)...)
	}
	return out
}

func by(findings []engine.Finding, detector string) []engine.Finding {
	var out []engine.Finding
	for _, f := range findings {
		if f.Detector == detector {
			out = append(out, f)
		}
	}
	return out
}

// judged is what the screen says of a trace of one call.
func (s *stream) judged(x *Screen, c modelCall) []engine.Finding {
	t := engine.NewTrace(engine.TraceID{9}, []engine.Span{s.span(s.now, c)})
	return x.Score(&t)
}

func TestCallsAreSilentWhileNothingChanges(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		s := newStream(seed)
		x := newScreen(t)
		s.play(x, 60, nil)
		var windows, calls []engine.Finding
		for range 300 {
			spans := s.window(nil)
			x.Observe(spans)
			for _, trace := range engine.Traces(spans) {
				calls = append(calls, told(x.Score(&trace), 1e-4)...)
			}
			windows = append(windows, told(x.Advance(s.now), 1e-4)...)
		}
		require.Empty(t, windows)
		require.LessOrEqual(t, len(calls), 6, "of 12,000 calls and as many as six detectors of each: %v", calls)
	}
}

func TestFirstTokenThatComesLateIsFoundThoughCallsTakeAsLong(t *testing.T) {
	t.Parallel()
	s := newStream(10)
	x := newScreen(t)
	s.play(x, 60, nil)
	found := s.play(x, 3, func(c *modelCall) {
		late := c.first
		c.first += late
		c.perToken -= late / c.output / 2
	})
	f := told(by(found, "first_token"), 1e-6)
	require.NotEmpty(t, f)
	require.Equal(t, engine.LatencySpike, f[0].Type)
	require.Equal(t, engine.Subject{Kind: engine.SubjectService, Value: "shop"}, f[0].Subject)
	require.InDelta(t, 2, f[0].Effect.Ratio(), 0.4)
	require.NotEmpty(t, f[0].Traces)
	require.Contains(t, f[0].Reason, "sends its first token after")
}

func TestSlowGenerationIsFoundThoughAnswersAreShorter(t *testing.T) {
	t.Parallel()
	s := newStream(11)
	x := newScreen(t)
	s.play(x, 60, nil)
	found := s.play(x, 3, func(c *modelCall) { c.perToken *= 2; c.output = max(20, c.output/2) })
	require.Empty(t, told(by(found, "latency"), 1e-4), "calls take as long as ever")
	f := told(by(found, "token_time"), 1e-6)
	require.NotEmpty(t, f)
	require.Contains(t, f[0].Reason, "tokens a second, normally")
}

func TestIncidentDoesNotBecomeNormalUntilItHasLasted(t *testing.T) {
	t.Parallel()
	s := newStream(12)
	x := newScreen(t, func(c *Config) { c.AdoptAfter = 4 * time.Hour })
	s.play(x, 60, nil)
	slow := func(c *modelCall) { c.perToken *= 3 }
	found := s.play(x, 48, slow)
	require.NotEmpty(t, told(by(found[len(found)-30:], "token_time"), 1e-6), "after four hours it still is none")
	s.play(x, 400, slow)
	require.Empty(t, told(by(s.play(x, 6, slow), "token_time"), 1e-4))
}

func TestCallThatIsExtremeIsFound(t *testing.T) {
	t.Parallel()
	s := newStream(13)
	x := newScreen(t)
	s.play(x, 60, nil)
	usual := s.call()
	require.Empty(t, told(s.judged(x, usual), 0.01))

	dear := usual
	dear.cost = 40
	f := told(by(s.judged(x, dear), "call_cost"), 1e-4)
	require.Len(t, f, 1)
	require.Equal(t, engine.CostOverrun, f[0].Type)
	require.Equal(t, engine.SubjectService, f[0].Subject.Kind)

	long := usual
	long.input = 400_000
	f = told(by(s.judged(x, long), "context"), 1e-4)
	require.Len(t, f, 1)
	require.Equal(t, engine.TokenAbuse, f[0].Type)
	require.Equal(t, engine.Subject{Kind: engine.SubjectUser, Value: "ann"}, f[0].Subject)
	require.Contains(t, f[0].Reason, "a context of 400000 tokens")

	late := usual
	late.first = 60
	require.Len(t, told(by(s.judged(x, late), "first_token"), 1e-4), 1)
}

func TestOneCallThatRanWildDoesNotBecomeNormal(t *testing.T) {
	t.Parallel()
	s := newStream(14)
	x := newScreen(t)
	s.play(x, 60, nil)
	wild := s.call()
	wild.cost = 40
	for range 30 {
		x.Observe([]engine.Span{s.span(s.now, wild)})
		s.play(x, 1, nil)
	}
	require.Len(t, told(by(s.judged(x, wild), "call_cost"), 1e-4), 1)
}

func TestMeasuresSaySoWhileTheyLearnAndOnlyOfWhatCallsHave(t *testing.T) {
	t.Parallel()
	s := newStream(15)
	x := newScreen(t)
	s.whole = true
	plain := func(c *modelCall) { c.cost = 0 }
	s.play(x, 1, plain)
	c := s.call()
	plain(&c)
	said := s.judged(x, c)
	require.True(t, by(said, "context")[0].Learning)
	for _, detector := range []string{"first_token", "token_time", "call_cost"} {
		require.Empty(t, by(said, detector))
	}
}

func TestCallsStayBounded(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.MaxCallSeries = 3
	c, j := newCalls(cfg), newJoint(cfg)
	s := newStream(16)
	for i := range 10 {
		span := s.span(s.now, s.call())
		span.Service = string(rune('a' + i))
		c.observe(&span, time.Time{})
		j.observe(&span, time.Time{})
	}
	require.Equal(t, 3, c.series.Len())
	require.Equal(t, 3, j.series.Len())
}

func TestCallsOfAClosedWindowAreTooLate(t *testing.T) {
	t.Parallel()
	c, j := newCalls(DefaultConfig()), newJoint(DefaultConfig())
	s := newStream(17)
	span := s.span(s.now, s.call())
	c.observe(&span, s.now.Add(5*time.Minute))
	j.observe(&span, s.now.Add(5*time.Minute))
	require.Zero(t, c.series.Len())
	require.Zero(t, j.series.Len())
}

// A series of every measure and its combinations, with two full windows open, stays within what the configuration promises. It runs
// without others beside it, since it looks at the heap.
func TestSeriesOfCallsIsSmall(t *testing.T) {
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	s := newStream(18)
	x := newScreen(t)
	before := heap()
	x.watchers = newWatchers(x.cfg)
	const services = 50
	for n := range 32 {
		for i := range services {
			for _, span := range append(s.window(nil), s.window(nil)...) {
				span.Service = fmt.Sprint("service ", i)
				span.Start, span.End = began.Add(time.Duration(n)*5*time.Minute), began.Add(time.Duration(n)*5*time.Minute+span.Duration())
				for _, w := range x.watchers {
					if w.name() == "calls" || w.name() == "joint" {
						w.observe(&span, time.Time{})
					}
				}
			}
		}
		for _, w := range x.watchers {
			w.advance(began.Add(time.Duration(min(n, 30)) * 5 * time.Minute))
		}
	}
	require.Less(t, (heap()-before)/services, uint64(40<<10))
	runtime.KeepAlive(x)
}

func TestRestoredCallsAnswerTheSame(t *testing.T) {
	t.Parallel()
	s := newStream(19)
	before := newScreen(t)
	s.play(before, 60, nil)
	before.Observe(s.window(nil)) // an open window
	var buf bytes.Buffer
	require.NoError(t, before.Snapshot(&buf))
	after := newScreen(t)
	require.NoError(t, after.Restore(&buf))
	for n := range 20 {
		spans := s.window(func(c *modelCall) {
			if n > 5 {
				c.perToken *= 2
			}
		})
		before.Observe(spans)
		after.Observe(spans)
		for _, trace := range engine.Traces(spans) {
			require.Equal(t, before.Score(&trace), after.Score(&trace))
		}
		require.Equal(t, before.Advance(s.now), after.Advance(s.now))
	}
}

func TestDamagedCallsAreAnErrorAndChangeNothing(t *testing.T) {
	t.Parallel()
	s := newStream(20)
	x := newScreen(t)
	s.play(x, 30, nil)
	x.Observe(s.window(nil))
	for name, change := range map[string]func(*callsState){
		"a base cut short":       func(in *callsState) { in.Series[0].Measured[0].Base = []byte("Q") },
		"a bad correction":       func(in *callsState) { in.Inflation["first_token"] = []byte("no") },
		"a window of nothing":    func(in *callsState) { in.Series[0].Measured[1].Values.Open[0].Values = nil },
		"a value that is not":    func(in *callsState) { in.Series[0].Measured[1].Values.Open[0].Values[0].Value = math.NaN() },
		"more than there were":   func(in *callsState) { in.Series[0].Measured[1].Closed = []callTally{{Values: 2, Above25: 3}} },
		"fewer than none at all": func(in *callsState) { in.Series[0].Measured[1].Closed = []callTally{{Above05: -1}} },
	} {
		t.Run(name, func(t *testing.T) {
			c := x.watchers[0].(*calls)
			whole, err := c.MarshalBinary()
			require.NoError(t, err)
			var state callsState
			require.NoError(t, gob.NewDecoder(bytes.NewReader(whole)).Decode(&state))
			change(&state)
			var damaged bytes.Buffer
			require.NoError(t, gob.NewEncoder(&damaged).Encode(state))
			require.Error(t, c.UnmarshalBinary(damaged.Bytes()))
			again, err := c.MarshalBinary()
			require.NoError(t, err)
			require.Len(t, again, len(whole))
		})
	}
}

// FuzzRestoreCalls shows that whatever can be restored can be worked with.
func FuzzRestoreCalls(f *testing.F) {
	s := newStream(21)
	x := newScreen(f)
	s.play(x, 6, nil)
	x.Observe(s.window(nil))
	for _, w := range []watcher{x.watchers[0], x.watchers[1]} {
		data, err := w.MarshalBinary()
		require.NoError(f, err)
		f.Add(data)
		f.Add(data[:len(data)/2])
	}
	spans := s.window(nil)
	traces := engine.Traces(spans)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, w := range []watcher{newCalls(DefaultConfig()), newJoint(DefaultConfig())} {
			if w.UnmarshalBinary(data) != nil {
				continue
			}
			for i := range spans {
				w.observe(&spans[i], time.Time{})
			}
			for i := range traces {
				w.score(&traces[i])
			}
			w.advance(s.now)
			if _, err := w.MarshalBinary(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// benchmarkWatcher measures a span with its share of closing windows, of a series with 40 calls a window and of one with 4,000, and the
// score of a trace of one call.
func benchmarkWatcher(b *testing.B, w watcher) {
	s := newStream(22)
	var spans []engine.Span
	for range 30 {
		window := s.window(nil)
		for i := range window {
			w.observe(&window[i], time.Time{})
		}
		w.advance(s.now)
		spans = append(spans, window...)
	}
	traces := engine.Traces(spans)
	for _, calls := range []int{40, 4000} {
		b.Run(fmt.Sprintf("span/%d", calls), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				span := &spans[i%len(spans)]
				span.Start, span.End = s.now, s.now.Add(span.Duration())
				w.observe(span, time.Time{})
				if i%calls == calls-1 {
					s.now = s.now.Add(5 * time.Minute)
					w.advance(s.now)
				}
			}
		})
	}
	b.Run("score", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			w.score(&traces[i%len(traces)])
		}
	})
}

func BenchmarkCalls(b *testing.B) { benchmarkWatcher(b, newCalls(DefaultConfig())) }
func BenchmarkJoint(b *testing.B) { benchmarkWatcher(b, newJoint(DefaultConfig())) }
