package trajectory

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var began = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

type call struct{ tool, args string }

// world makes runs of agents.
type world struct {
	rng    *rand.Rand
	traces uint64
}

func newWorld() *world { return &world{rng: rand.New(rand.NewPCG(1, 0))} }

// run is a trace in which an agent makes the calls. Only the root names the agent, as most instrumentation does.
func (w *world) run(agent engine.Agent, calls ...call) engine.Observation {
	w.traces++
	var id engine.TraceID
	binary.BigEndian.PutUint64(id[8:], w.traces)
	at := began.Add(time.Duration(w.traces) * time.Minute)
	spans := []engine.Span{{
		TraceID: id, SpanID: engine.SpanID{0xff}, Service: "desk", Operation: engine.OpInvokeAgent, Agent: agent,
		Start: at, End: at.Add(time.Minute),
	}}
	for i, c := range calls {
		start := at.Add(time.Duration(i+1) * time.Second)
		s := engine.Span{
			TraceID: id, Parent: spans[0].SpanID, Service: "desk", Operation: engine.OpExecuteTool,
			Tool: engine.Tool{Name: c.tool, Arguments: c.args}, Start: start, End: start.Add(time.Second / 2),
		}
		binary.BigEndian.PutUint64(s.SpanID[:], uint64(i+1))
		spans = append(spans, s)
	}
	trace := engine.NewTrace(id, spans)
	return engine.Observation{Trace: &trace}
}

var clerk = engine.Agent{Name: "clerk", Version: "3"}

// usual is a run of one to three calls of different tools.
func (w *world) usual(agent engine.Agent) engine.Observation {
	tools := []string{"search", "lookup", "mail"}
	var calls []call
	for i := range 1 + w.rng.IntN(3) {
		calls = append(calls, call{tools[i], fmt.Sprintf(`{"q": "%c"}`, 'a'+rune(w.rng.IntN(26)))})
	}
	if w.rng.Float64() < 0.2 {
		calls = append(calls, call{"search", `{"q": "again"}`})
	}
	return w.run(agent, calls...)
}

func loops(t testing.TB) *Loops {
	l, err := New(DefaultConfig())
	require.NoError(t, err)
	return l
}

func (w *world) teach(t testing.TB, l *Loops, agent engine.Agent, n int) {
	for range n {
		require.NoError(t, l.Learn(t.Context(), w.usual(agent)))
	}
}

func score(t testing.TB, l *Loops, o engine.Observation) engine.Finding {
	t.Helper()
	findings, err := l.Score(t.Context(), o)
	require.NoError(t, err)
	require.Len(t, findings, 1)
	return findings[0]
}

func repeat(n int, tool string, args func(i int) string) []call {
	out := make([]call, n)
	for i := range out {
		out[i] = call{tool, args(i)}
	}
	return out
}

func TestRepeatedCallWithLikeArgumentsIsALoop(t *testing.T) {
	t.Parallel()
	w, l := newWorld(), loops(t)
	w.teach(t, l, clerk, 200)
	for name, args := range map[string]func(int) string{
		"the same arguments":          func(int) string { return `{"q": "x"}` },
		"a page counted up":           func(i int) string { return fmt.Sprintf(`{"q": "x", "page": %d}`, i*7) },
		"spaces and case that differ": func(i int) string { return []string{`{"Q":"X"}`, `{ "q": "x" }`}[i%2] },
	} {
		t.Run(name, func(t *testing.T) {
			f := score(t, l, w.run(clerk, repeat(9, "search", args)...))
			require.True(t, f.Material)
			require.Less(t, f.P, 1e-3)
			require.Equal(t, engine.AgentTrajectory, f.Type)
			require.Equal(t, engine.Subject{Kind: engine.SubjectAgent, Value: "clerk"}, f.Subject)
			require.Equal(t, 9.0, f.Effect.Current)
			require.Len(t, f.Spans, 9, "the calls are the evidence")
			require.Contains(t, f.Reason, "search")
		})
	}
}

func TestDifferentArgumentsAreLessOfALoop(t *testing.T) {
	t.Parallel()
	w, l := newWorld(), loops(t)
	// An agent that often calls one tool many times, each time about something else.
	word := func(i int) string { return fmt.Sprintf(`{"q": "%c%c"}`, 'a'+rune(i%26), 'a'+rune(i*7%26)) }
	for range 200 {
		require.NoError(t, l.Learn(t.Context(), w.run(clerk, repeat(1+w.rng.IntN(8), "search", word)...)))
	}
	same := score(t, l, w.run(clerk, repeat(8, "search", func(int) string { return `{"q": "x"}` })...))
	different := score(t, l, w.run(clerk, repeat(8, "search", word)...))
	require.True(t, same.Material)
	require.Less(t, same.P, different.P/100)
	require.Greater(t, different.P, 0.01, "that is how this agent works")
}

func TestUsualRunsAreNoLoops(t *testing.T) {
	t.Parallel()
	w, l := newWorld(), loops(t)
	w.teach(t, l, clerk, 200)
	for range 300 {
		f := score(t, l, w.usual(clerk))
		require.False(t, f.Material, "%+v", f)
	}
}

func TestCallsBelongToTheLeadsAgent(t *testing.T) {
	t.Parallel()
	w, l := newWorld(), loops(t)
	w.teach(t, l, clerk, 100)
	o := w.run(clerk, repeat(9, "search", func(int) string { return "{}" })...)
	require.Equal(t, "clerk", score(t, l, o).Series.Agent)

	// A call that names its own agent is that agent's, not the lead's.
	for i := range o.Trace.Spans {
		if o.Trace.Spans[i].Tool.Name != "" {
			o.Trace.Spans[i].Agent.Name = "helper"
		}
	}
	f := score(t, l, o)
	require.Equal(t, "helper", f.Subject.Value)
	require.True(t, f.Learning, "nothing is known of it")
}

func TestAgentsLearnApart(t *testing.T) {
	t.Parallel()
	w, l := newWorld(), loops(t)
	w.teach(t, l, clerk, 100)
	looping := repeat(9, "search", func(int) string { return "{}" })
	require.True(t, score(t, l, w.run(engine.Agent{Name: "tireless"}, looping...)).Learning)
	for range 100 {
		require.NoError(t, l.Learn(t.Context(), w.run(engine.Agent{Name: "tireless"}, looping...)))
	}
	require.False(t, score(t, l, w.run(engine.Agent{Name: "tireless"}, looping...)).Material, "it always does that")
	require.True(t, score(t, l, w.run(clerk, looping...)).Material)
}

func TestTraceWithoutToolsHasNoFinding(t *testing.T) {
	t.Parallel()
	w, l := newWorld(), loops(t)
	findings, err := l.Score(t.Context(), w.run(clerk))
	require.NoError(t, err)
	require.Empty(t, findings)
}

func TestFindingNamesABoundedNumberOfSpans(t *testing.T) {
	t.Parallel()
	w, l := newWorld(), loops(t)
	w.teach(t, l, clerk, 100)
	f := score(t, l, w.run(clerk, repeat(2_000, "search", func(int) string { return "{}" })...))
	require.LessOrEqual(t, len(f.Spans), maxSpans)
	require.Equal(t, 2000.0, f.Effect.Current)
}

func TestScoreTeachesNothing(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.MaxAgents = 1
	l, err := New(cfg)
	require.NoError(t, err)
	w := newWorld()
	w.teach(t, l, clerk, 100)
	o := w.run(clerk, repeat(6, "search", func(int) string { return "{}" })...)
	first := score(t, l, o)
	for i := range 100 {
		score(t, l, o)
		score(t, l, w.usual(engine.Agent{Name: fmt.Sprint("agent-", i)}))
	}
	require.Equal(t, first, score(t, l, o))
}

func TestRestoredDetectorAnswersTheSame(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.MinRuns, cfg.HalfLife = 90, 3*time.Hour // unlike the defaults of what they are learnt with
	before, err := New(cfg)
	require.NoError(t, err)
	after, err := New(cfg)
	require.NoError(t, err)
	w := newWorld()
	w.teach(t, before, clerk, 80)
	w.teach(t, before, engine.Agent{Name: "porter"}, 200)
	var buf bytes.Buffer
	require.NoError(t, before.Snapshot(&buf))
	require.NoError(t, after.Restore(&buf))
	for range 200 {
		for _, agent := range []engine.Agent{clerk, {Name: "porter"}} {
			for _, o := range []engine.Observation{w.usual(agent), w.run(agent, repeat(7, "search", func(int) string { return "{}" })...)} {
				require.Equal(t, score(t, before, o), score(t, after, o))
			}
			o := w.usual(agent)
			require.NoError(t, before.Learn(t.Context(), o))
			require.NoError(t, after.Learn(t.Context(), o))
		}
	}
}

func TestCorruptSnapshotIsAnError(t *testing.T) {
	t.Parallel()
	w, l := newWorld(), loops(t)
	w.teach(t, l, clerk, 100)
	o := w.run(clerk, repeat(7, "search", func(int) string { return "{}" })...)
	answer := score(t, l, o)
	var whole, forged bytes.Buffer
	require.NoError(t, l.Snapshot(&whole))
	require.NoError(t, gob.NewEncoder(&forged).Encode([]state{{Key: agentKey{"desk", "clerk"}, Same: []byte("no")}}))
	for name, data := range map[string][]byte{"nothing": nil, "half": whole.Bytes()[:whole.Len()/2], "forged": forged.Bytes()} {
		t.Run(name, func(t *testing.T) {
			require.ErrorContains(t, l.Restore(bytes.NewReader(data)), "trajectory: restore")
			require.Equal(t, answer, score(t, l, o), "on an error nothing changes")
		})
	}
}

// FuzzRestore shows that whatever can be restored can be worked with.
func FuzzRestore(f *testing.F) {
	w, l := newWorld(), loops(f)
	w.teach(f, l, clerk, 30)
	var buf bytes.Buffer
	require.NoError(f, l.Snapshot(&buf))
	f.Add(buf.Bytes())
	f.Add([]byte{})
	o := w.run(clerk, repeat(7, "search", func(int) string { return "{}" })...)
	f.Fuzz(func(t *testing.T, data []byte) {
		l := loops(t)
		if l.Restore(bytes.NewReader(data)) != nil {
			return
		}
		p := score(t, l, o).P
		require.True(t, p > 0 && p <= 1)
		require.NoError(t, l.Learn(t.Context(), o))
	})
}

// FuzzShape shows that any arguments fold to something of bounded size, the same for what differs in digits alone.
func FuzzShape(f *testing.F) {
	f.Add(`{"page": 12}`, 7)
	f.Fuzz(func(t *testing.T, args string, n int) {
		require.LessOrEqual(t, len(shape(args)), 3*512)
		require.Equal(t, shape("x1"+args), shape(fmt.Sprintf("x%d", uint(n)%10)+args))
	})
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for _, change := range []func(*Config){
		func(c *Config) { c.MinRuns = 1 }, func(c *Config) { c.MinCalls = 0 }, func(c *Config) { c.MinRatio = 0.5 },
		func(c *Config) { c.MaxAgents = 0 }, func(c *Config) { c.HalfLife = 0 },
	} {
		cfg := DefaultConfig()
		change(&cfg)
		_, err := New(cfg)
		require.Error(t, err)
	}
}

// BenchmarkScore is the cost of one run with ten tool calls.
func BenchmarkScore(b *testing.B) {
	w, l := newWorld(), loops(b)
	w.teach(b, l, clerk, 100)
	o := w.run(clerk, repeat(10, "search", func(i int) string { return fmt.Sprintf(`{"q": "%d"}`, i) })...)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Score(b.Context(), o); err != nil {
			b.Fatal(err)
		}
	}
}
