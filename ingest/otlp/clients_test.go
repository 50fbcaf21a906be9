package otlp_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/deploy/stack/stacktest"
	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/ingest/genai"
	"github.com/llm-sentinel/llm-sentinel/ingest/otlp"
)

// The programs under testdata/clients: the same call through three instrumentations, each with a dialect of its own.
var clients = []string{"openai_v2", "openinference", "traceloop"}

// fact is what a model call was, whatever dialect told of it.
type fact struct {
	Operation      engine.Operation
	Provider       string
	Model          string
	ResponseModel  string
	Input, Output  int64
	FinishReasons  []string
	Messages       []said // system and input, in order
	Answers        []said
	Failed         bool
	ErrorType      string
	InsideRootSpan bool
}

type said struct{ Role, Text string }

// report is what a program says it received from the model server.
type report struct {
	Model            string `json:"model"`
	PromptTokens     int64  `json:"prompt_tokens"`
	CompletionTokens int64  `json:"completion_tokens"`
	FinishReason     string `json:"finish_reason"`
	Content          string `json:"content"`
	Error            string `json:"error"`
	TraceID          string `json:"trace_id"`
}

// The same call arrives as the same domain span from each real client, over gRPC and over HTTP, when it succeeds and when it fails,
// and it is what the program received.
func TestRealClientsTellTheSame(t *testing.T) {
	environments := stacktest.Require(t, "SENTINEL_CLIENT_VENVS")
	ollama := stacktest.Require(t, "SENTINEL_OLLAMA_URL")
	sink, endpoints := receive(t)
	for _, failing := range []bool{false, true} {
		for _, client := range clients {
			for protocol, endpoint := range endpoints {
				name := client + " " + protocol
				args := []string{"--endpoint", endpoint, "--protocol", protocol, "--base-url", ollama + "/v1"}
				if failing {
					name += " failing"
					args = append(args, "--fail")
				}
				t.Run(name, func(t *testing.T) {
					r := call(t, environments, client, args)
					want := fact{
						Operation: engine.OpChat, Provider: "openai", Model: r.Model, InsideRootSpan: true,
						Messages: []said{{"system", "You answer in one short sentence."}, {"user", "Name the capital of France."}},
					}
					if failing {
						want.Failed, want.ErrorType = true, r.Error
						require.Equal(t, "NotFoundError", r.Error)
					} else {
						want.ResponseModel, want.Input, want.Output = r.Model, r.PromptTokens, r.CompletionTokens
						want.FinishReasons = []string{r.FinishReason}
						want.Answers = []said{{"assistant", r.Content}}
						require.Positive(t, r.PromptTokens)
						require.NotEmpty(t, r.Content)
					}
					require.Equal(t, want, sink.fact(t, r.TraceID))
				})
			}
		}
	}
}

// call runs one program to its end, when everything is exported.
func call(t *testing.T, environments, client string, args []string) (r report) {
	t.Helper()
	program := exec.CommandContext(t.Context(), filepath.Join(environments, client, "bin", "python"),
		append([]string{filepath.Join("testdata", "clients", client+".py")}, args...)...)
	out, err := program.Output()
	require.NoError(t, err, "%s", out)
	require.NoError(t, json.Unmarshal(out, &r), "%s", out)
	return r
}

// receive runs a receiver and says where clients reach it, by the name that exporters have for the protocol.
func receive(t *testing.T) (*collector, map[string]string) {
	t.Helper()
	cfg := otlp.DefaultConfig()
	cfg.GRPC, cfg.HTTP = "127.0.0.1:0", "127.0.0.1:0"
	mapper, err := genai.New(genai.DefaultLimits())
	require.NoError(t, err)
	r, err := otlp.New(cfg, mapper, nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	require.NoError(t, err)
	sink := &collector{}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx, sink) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-done)
	})
	select {
	case <-r.Ready():
	case err := <-done:
		require.NoError(t, err, "the receiver ended")
	case <-time.After(time.Minute):
		require.Fail(t, "the receiver does not come up")
	}
	grpc, http := r.Addrs()
	return sink, map[string]string{"grpc": "http://" + grpc.String(), "http/protobuf": "http://" + http.String()}
}

// collector keeps what the receiver hands on.
type collector struct {
	mu       sync.Mutex
	spans    []engine.Span
	contents []engine.Content
}

func (c *collector) Consume(_ context.Context, b engine.Batch) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spans = append(c.spans, b.Spans...)
	c.contents = append(c.contents, b.Contents...)
	return nil
}

// fact sums up the one model call of a trace, with the content joined that came apart from it.
func (c *collector) fact(t *testing.T, trace string) fact {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	var spans []engine.Span
	var root engine.SpanID
	for _, s := range c.spans {
		if s.TraceID.String() != trace {
			continue
		}
		spans = append(spans, s)
		if s.Parent.IsZero() {
			root = s.SpanID
			require.Empty(t, s.Operation, "the application's own span is no model call")
			require.False(t, s.Failed)
		}
	}
	require.Len(t, spans, 2, "the application's span and the model call")
	var out []fact
	for _, s := range engine.Join(spans, c.contents) {
		if s.Operation == "" {
			continue
		}
		out = append(out, fact{
			Operation: s.Operation, Provider: s.Provider, Model: s.Model, ResponseModel: s.ResponseModel,
			Input: s.Usage.Input, Output: s.Usage.Output, FinishReasons: s.FinishReasons,
			Messages: texts(append(append([]engine.Message(nil), s.System...), s.Input...)), Answers: texts(s.Output),
			Failed: s.Failed, ErrorType: s.ErrorType, InsideRootSpan: s.Parent == root,
		})
	}
	require.Len(t, out, 1)
	return out[0]
}

func texts(messages []engine.Message) (out []said) {
	for _, m := range messages {
		out = append(out, said{m.Role, m.Text()})
	}
	return out
}
