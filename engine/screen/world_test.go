package screen

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// began is a window's start, so that the windows of the tests are those of the screen.
var began = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

func newScreen(t testing.TB, change ...func(*Config)) *Screen {
	t.Helper()
	cfg := DefaultConfig()
	for _, f := range change {
		f(&cfg)
	}
	s, err := New(cfg, prometheus.NewRegistry())
	require.NoError(t, err)
	return s
}

// request is one run of an assistant before it becomes three spans: the agent's, a model call and a tool call.
type request struct {
	service                  string
	provider, model, version string
	toolName                 string
	user                     string
	chat, tool               time.Duration
	tokens                   int64
	cost                     float64
	chatError, toolError     string
	ownError                 string // of the agent's span itself
}

// world makes traffic. Times are event time; nothing in it is a clock.
type world struct {
	rng     *rand.Rand
	now     time.Time // start of the next window
	traces  uint64
	window  time.Duration
	perHour float64
}

func newWorld(seed uint64) *world {
	return &world{rng: rand.New(rand.NewPCG(seed, 0)), now: began, window: 5 * time.Minute, perHour: 480}
}

func (w *world) lognormal(median time.Duration, sigma float64) time.Duration {
	return time.Duration(float64(median) * math.Exp(sigma*w.rng.NormFloat64()))
}

// poisson draws by Knuth's method; means here are small.
func (w *world) poisson(mean float64) int {
	limit, n := math.Exp(-mean), 0
	for p := w.rng.Float64(); p > limit; p *= w.rng.Float64() {
		n++
	}
	return n
}

func (w *world) request() request {
	r := request{
		service: "shop", provider: "acme", model: "large", version: "large-01", toolName: "search",
		user: "user-" + string(rune('a'+w.rng.IntN(20))),
		chat: w.lognormal(800*time.Millisecond, 0.4), tool: w.lognormal(100*time.Millisecond, 0.3),
		tokens: int64(800 * math.Exp(0.4*w.rng.NormFloat64())),
	}
	switch u := w.rng.Float64(); {
	case u < 0.25:
		r.model, r.version = "small", "small-01"
	case u < 0.5:
		r.provider, r.model, r.version = "other", "rival", "rival-01"
	}
	if w.rng.Float64() < 0.01 {
		r.chatError = "503"
	}
	r.cost = float64(r.tokens) * 1e-5
	return r
}

func (w *world) id() (id engine.TraceID) {
	w.traces++
	binary.BigEndian.PutUint64(id[:], w.rng.Uint64())
	binary.BigEndian.PutUint64(id[8:], w.traces)
	return id
}

func (w *world) spans(at time.Time, r request) []engine.Span {
	id := w.id()
	agent := engine.Agent{Name: "helper"}
	root := engine.Span{
		TraceID: id, SpanID: engine.SpanID{1}, Name: "invoke_agent helper", Service: r.service, Operation: engine.OpInvokeAgent,
		Agent: agent, User: r.user, Start: at, End: at.Add(r.chat + r.tool + 20*time.Millisecond),
		Failed: r.chatError != "" || r.ownError != "", ErrorType: r.ownError,
	}
	tool := engine.Span{
		TraceID: id, SpanID: engine.SpanID{2}, Parent: root.SpanID, Name: "execute_tool " + r.toolName, Service: r.service,
		Operation: engine.OpExecuteTool, Tool: engine.Tool{Name: r.toolName}, Agent: agent, User: r.user,
		Start: at.Add(time.Millisecond), End: at.Add(time.Millisecond + r.tool),
		Failed: r.toolError != "", ErrorType: r.toolError,
	}
	chat := engine.Span{
		TraceID: id, SpanID: engine.SpanID{3}, Parent: root.SpanID, Name: "chat " + r.model, Service: r.service,
		Operation: engine.OpChat, Provider: r.provider, Model: r.model, ResponseModel: r.version, User: r.user,
		Start: tool.End, End: tool.End.Add(r.chat), Failed: r.chatError != "", ErrorType: r.chatError,
		Usage: engine.Usage{Input: r.tokens / 2, Output: r.tokens - r.tokens/2, Cost: r.cost},
	}
	return []engine.Span{tool, chat, root} // as an exporter sends them, the root last
}

// traffic makes the spans of one window; change, if any, is applied to each request, and drops it when it returns false.
func (w *world) traffic(change func(*request) bool) []engine.Span {
	var out []engine.Span
	for range w.poisson(w.perHour * w.window.Hours()) {
		r := w.request()
		if change != nil && !change(&r) {
			continue
		}
		at := w.now.Add(time.Duration(w.rng.Float64() * float64(w.window-time.Minute)))
		out = append(out, w.spans(at, r)...)
	}
	w.now = w.now.Add(w.window)
	return out
}

// play sends windows of traffic through the screen and returns what their closing shows.
func (w *world) play(s *Screen, windows int, change func(*request) bool) []engine.Finding {
	var out []engine.Finding
	for range windows {
		s.Observe(w.traffic(change))
		out = append(out, s.Advance(w.now)...)
	}
	return out
}

// learnt is a screen that has seen a day and more of calm traffic.
func learnt(t testing.TB, w *world, change ...func(*Config)) *Screen {
	s := newScreen(t, change...)
	w.play(s, 330, nil)
	return s
}

// told are the findings that an engine would act on.
func told(findings []engine.Finding, alpha float64) []engine.Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f engine.Finding) bool { return f.Learning || !f.Material || f.P >= alpha })
}

func of(findings []engine.Finding, kind engine.AnomalyType) []engine.Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f engine.Finding) bool { return f.Type != kind })
}
