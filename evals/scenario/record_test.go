package scenario

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// span is what tests look at.
type span struct {
	step         int
	trace        pcommon.TraceID
	id, parent   pcommon.SpanID
	operation    string
	service      string
	version      string
	agent        string
	agentVersion string
	model        string
	response     string
	provider     string
	user, key    string
	conversation string
	tool         string
	arguments    string
	failure      string
	failed       bool
	prompt       string // last message of the user
	reply        string // text of the output
	documents    string
	in, out      int64
	cost         float64
	start, end   time.Time
}

func (s span) took() time.Duration { return s.end.Sub(s.start) }

// record is a whole scenario, played.
type record struct {
	*Scenario
	steps   []time.Time
	spans   []span
	markers []Marker
	logs    int
}

func play(t testing.TB, cfg Config) *record {
	t.Helper()
	s, err := New(cfg)
	require.NoError(t, err)
	rec := &record{Scenario: s}
	for {
		step, ok := s.Next()
		if !ok {
			return rec
		}
		if step.Marker != nil {
			require.Zero(t, step.Traces.SpanCount())
			require.Equal(t, step.At, step.Marker.At)
			rec.markers = append(rec.markers, *step.Marker)
		}
		rec.logs += step.Logs.LogRecordCount()
		rec.add(t, step)
		rec.steps = append(rec.steps, step.At)
	}
}

func (rec *record) add(t testing.TB, step Step) {
	for _, rs := range step.Traces.ResourceSpans().All() {
		service := text(rs.Resource().Attributes(), "service.name")
		version := text(rs.Resource().Attributes(), "service.version")
		for _, sp := range rs.ScopeSpans().At(0).Spans().All() {
			a := sp.Attributes()
			s := span{
				step: len(rec.steps), service: service, version: version,
				trace: sp.TraceID(), id: sp.SpanID(), parent: sp.ParentSpanID(),
				start: sp.StartTimestamp().AsTime(), end: sp.EndTimestamp().AsTime(),
				operation: text(a, "gen_ai.operation.name"), agent: text(a, "gen_ai.agent.name"),
				agentVersion: text(a, "gen_ai.agent.version"), model: text(a, "gen_ai.request.model"),
				response: text(a, "gen_ai.response.model"), provider: text(a, "gen_ai.provider.name"),
				user: text(a, "user.id"), key: text(a, "api_key.id"), conversation: text(a, "gen_ai.conversation.id"),
				tool: text(a, "gen_ai.tool.name"), arguments: text(a, "gen_ai.tool.call.arguments"),
				failure: text(a, "error.type"), failed: sp.Status().Code() == ptrace.StatusCodeError,
				documents: text(a, "gen_ai.retrieval.documents"),
			}
			s.in, s.out, s.cost = number(a, "gen_ai.usage.input_tokens"), number(a, "gen_ai.usage.output_tokens"), 0
			if v, ok := a.Get("gen_ai.usage.cost"); ok {
				s.cost = v.Double()
			}
			s.prompt = lastText(t, text(a, "gen_ai.input.messages"), "user")
			s.reply = lastText(t, text(a, "gen_ai.output.messages"), "assistant")
			rec.spans = append(rec.spans, s)
		}
	}
}

func text(a pcommon.Map, name string) string {
	if v, ok := a.Get(name); ok {
		return v.Str()
	}
	return ""
}

func number(a pcommon.Map, name string) int64 {
	if v, ok := a.Get(name); ok {
		return v.Int()
	}
	return 0
}

// lastText returns the last text part of a role, after making sure that the messages are what the conventions ask for.
func lastText(t testing.TB, encoded, role string) (last string) {
	if encoded == "" {
		return ""
	}
	var messages []struct {
		Role  string `json:"role"`
		Parts []struct {
			Type      string          `json:"type"`
			Content   string          `json:"content"`
			Arguments json.RawMessage `json:"arguments"`
			Response  json.RawMessage `json:"response"`
		} `json:"parts"`
	}
	require.NoError(t, json.Unmarshal([]byte(encoded), &messages), encoded)
	require.NotEmpty(t, messages)
	for _, m := range messages {
		require.Len(t, m.Parts, 1)
		if m.Role == role && m.Parts[0].Type == "text" {
			last = m.Parts[0].Content
		}
	}
	return last
}

// chats returns the model calls for which keep says yes.
func (rec *record) chats(keep func(span) bool) []span {
	return rec.filter(func(s span) bool { return s.operation == "chat" && keep(s) })
}

func (rec *record) filter(keep func(span) bool) []span {
	var out []span
	for _, s := range rec.spans {
		if keep(s) {
			out = append(out, s)
		}
	}
	return out
}

func distinct[K comparable](spans []span, of func(span) K) int {
	seen := map[K]bool{}
	for _, s := range spans {
		seen[of(s)] = true
	}
	return len(seen)
}

func traces(spans []span) int {
	return distinct(spans, func(s span) pcommon.TraceID { return s.trace })
}

func median(spans []span, of func(span) float64) float64 {
	if len(spans) == 0 {
		return 0
	}
	var xs []float64
	for _, s := range spans {
		xs = append(xs, of(s))
	}
	slices.Sort(xs)
	return xs[len(xs)/2]
}

func seconds(s span) float64 { return s.took().Seconds() }

func seeded(seed uint64) Config {
	cfg := DefaultConfig()
	cfg.Seed = seed
	return cfg
}

func (s span) String() string {
	return fmt.Sprintf("%s %s %s %s", s.service, s.operation, s.trace, s.id)
}
