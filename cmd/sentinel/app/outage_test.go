package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/cmd/sentinel/app"
	"github.com/llm-sentinel/llm-sentinel/deploy/stack/stacktest"
	"github.com/llm-sentinel/llm-sentinel/engine"
)

// traffic sends calls of an assistant that is asked about its office, one prompt a trace, and asks about a prompt that is not.
type traffic struct {
	t    *testing.T
	api  string // host:port
	sent int
}

// pairOfStandIn is the pair in this process, as the metrics name it.
const pairOfStandIn = "builtin-minilm in embedded"

var (
	officeThings = []string{"laptop", "badge", "monitor", "printer", "keyboard", "headset", "docking station", "projector", "desk", "chair"}
	officeAsks   = []string{
		"How do I return my %s to the office in week %d?", "My %s is broken since day %d, can I get a new one?",
		"Where do I pick up a %s on floor %d?", "Who approves a second %s for team %d?", "Can the %s of room %d be moved to another desk?",
	}
)

const alien = "Explain how a neutron star's crust cracks during a glitch and why the pulsar spins faster for a few weeks afterwards."

func (x *traffic) request(prompt string) []byte {
	x.sent++
	content, err := json.Marshal([]map[string]any{{"role": "user", "parts": []any{map[string]string{"type": "text", "content": prompt}}}})
	require.NoError(x.t, err)
	value, err := json.Marshal(string(content))
	require.NoError(x.t, err)
	end := time.Now()
	return fmt.Appendf(nil, `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"office"}}]},
		"scopeSpans":[{"spans":[{"traceId":"%032x","spanId":"b7ad6b7169203331","name":"chat","kind":3,
		"startTimeUnixNano":"%d","endTimeUnixNano":"%d","attributes":[
		{"key":"gen_ai.operation.name","value":{"stringValue":"chat"}},{"key":"gen_ai.request.model","value":{"stringValue":"m"}},
		{"key":"gen_ai.input.messages","value":{"stringValue":%s}}]}]}]}]}`, x.sent, end.Add(-time.Second).UnixNano(), end.UnixNano(), value)
}

func (x *traffic) send(n int) {
	for range n {
		i := x.sent
		prompt := fmt.Sprintf(officeAsks[i%len(officeAsks)], officeThings[i/len(officeAsks)%len(officeThings)], i)
		status, answer := call(x.t, "http://"+x.api+"/v1/traces", x.request(prompt), "")
		require.Equal(x.t, http.StatusOK, status, answer)
	}
}

// novelty is what is said of the alien prompt: whether it was compared, and found to be new.
func (x *traffic) novelty() (compared, found bool) {
	status, answer := call(x.t, "http://"+x.api+"/api/v1/traces", x.request(alien), "")
	x.sent-- // nothing was kept of it
	require.Equal(x.t, http.StatusOK, status, answer)
	var out struct {
		Traces []engine.Verdict `json:"traces"`
	}
	require.NoError(x.t, json.Unmarshal([]byte(answer), &out))
	for _, c := range out.Traces[0].Contributions {
		if c.Detector == "novelty" {
			return !c.Learning, !c.Learning && c.Material && c.P < 0.05
		}
	}
	return false, false
}

func (x *traffic) degraded() (parts []string) {
	_, answer := call(x.t, "http://"+x.api+"/api/v1/health", nil, "")
	var health struct {
		Degraded []engine.Degradation `json:"degraded"`
	}
	require.NoError(x.t, json.Unmarshal([]byte(answer), &health))
	for _, d := range health.Degraded {
		parts = append(parts, d.Part)
	}
	return parts
}

// metric is the value of a series, 0 for one that is not there.
func (x *traffic) metric(series string) int {
	_, metrics := call(x.t, "http://"+x.api+"/metrics", nil, "")
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`).FindStringSubmatch(metrics)
	if found == nil {
		return 0
	}
	value, err := strconv.ParseFloat(found[1], 64)
	require.NoError(x.t, err)
	return int(value)
}

func compared(pair string) string {
	return fmt.Sprintf(`sentinel_engine_compared_total{pair=%q}`, pair)
}

// quick is a configuration under which a service is learnt in some two hundred prompts.
func quick(t *testing.T) app.Config {
	cfg := config(t)
	cfg.Engine.SampleRate = 1
	cfg.Engine.Assembly.QuietAfterRoot, cfg.Engine.AllowedLateness, cfg.Engine.IdleAfter = time.Second, time.Second, 200*time.Millisecond
	cfg.Semantic.MinTexts, cfg.Semantic.MinScores, cfg.Semantic.Siblings = 50, 40, 0
	return cfg
}

// outage plays what an installation sees when the server of a preferred part stops in the middle of traffic and comes back: prompts are
// judged all the while, from the memory of the built-in pair, which has learnt beside the other.
func outage(t *testing.T, cfg app.Config, server *stacktest.Server, preferred, part string) {
	const patience, pause = 2 * time.Minute, 100 * time.Millisecond
	x := &traffic{t: t, api: run(t, cfg).API}
	require.Eventually(t, func() bool {
		x.send(10)
		_, found := x.novelty()
		return found
	}, patience, pause, "it has learnt")
	require.Empty(t, x.degraded())
	require.Positive(t, x.metric(compared(preferred)))
	require.Zero(t, x.metric(compared(pairOfStandIn)))

	server.Stop(t)
	require.Eventually(t, func() bool {
		x.send(1)
		_, found := x.novelty()
		return found && len(x.degraded()) > 0
	}, patience, pause, "it judges on, and says what is down")
	require.Equal(t, []string{part}, x.degraded())
	require.Positive(t, x.metric(compared(pairOfStandIn)))
	x.send(20)
	require.Eventually(t, func() bool { return x.metric("sentinel_engine_spans_total") == x.sent }, patience, pause, "every span is screened")

	server.Start(t)
	before := x.metric(compared(preferred))
	require.Eventually(t, func() bool {
		x.send(1)
		_, found := x.novelty()
		return found && len(x.degraded()) == 0 && x.metric(compared(preferred)) > before
	}, patience, pause, "it recovers by itself")
	require.Zero(t, x.metric(`sentinel_engine_dropped_total{reason="unembedded_trace"}`))
	require.Zero(t, x.metric(`sentinel_engine_dropped_total{reason="uncompared_trace"}`))
}

func TestOllamaStopsInTheMiddleOfTraffic(t *testing.T) {
	server := stacktest.Own(t, "ollama")
	cfg := quick(t)
	cfg.Embed.Provider = app.EmbedOllama
	cfg.Embed.Ollama.BaseURL = server.Value(t, "SENTINEL_OLLAMA_URL")
	outage(t, cfg, server, "all-minilm in embedded", "embedder all-minilm")
}

func TestQdrantStopsInTheMiddleOfTraffic(t *testing.T) {
	server := stacktest.Own(t, "qdrant")
	cfg := quick(t)
	cfg.Memory.Provider, cfg.Memory.Qdrant.Address = app.MemoryQdrant, server.Value(t, "SENTINEL_TEST_QDRANT")
	outage(t, cfg, server, "builtin-minilm in qdrant", "memory qdrant")
}

func TestPostgresStopsInTheMiddleOfTraffic(t *testing.T) {
	server := stacktest.Own(t, "postgres")
	cfg := quick(t)
	cfg.Memory.Provider, cfg.Memory.PGVector.URL = app.MemoryPGVector, engine.Secret(server.Value(t, "SENTINEL_TEST_POSTGRES"))
	outage(t, cfg, server, "builtin-minilm in pgvector", "memory pgvector")
}
