package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/llm-sentinel/llm-sentinel/embed/builtin"
	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals/scenario"
	"github.com/llm-sentinel/llm-sentinel/ingest/genai"
	"github.com/llm-sentinel/llm-sentinel/retrieval/embedded"
)

// What BenchmarkPostTraces asks, and of how much: each of the texts of a workflow is compared with what its service, one of several, holds
// to be normal.
const (
	benchServices   = 25
	benchNormal     = 2000 // vectors a service
	benchSpans      = 20
	benchTexts      = 40
	benchEvery      = time.Second / 20
	benchServiceOne = "service-00"
)

// BenchmarkPostTraces measures POST /api/v1/traces on a whole service with the built-in embedder: a workflow of 20 model calls with two
// prompts each, beside 50,000 vectors of normal prompts, at 20 requests a second. Requests leave by the clock, whether or not earlier ones
// are answered, and their time counts from when they should have left. cpu-ms/op holds the client's share too.
func BenchmarkPostTraces(b *testing.B) {
	cfg := config(b)
	say := newSayer(b)
	fillNormal(b, filepath.Join(cfg.DataDir, cfg.Memory.Embedded.Path), say)
	addrs := run(b, cfg)
	client := &http.Client{}
	defer client.CloseIdleConnections()
	post := func(path string, body []byte) []byte {
		resp, err := client.Post("http://"+addrs.API+path, "application/x-protobuf", bytes.NewReader(body))
		if err != nil {
			b.Error(err)
			return nil
		}
		defer func() { _ = resp.Body.Close() }() // it was only read
		answer, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			b.Errorf("%s: %v %s", resp.Status, err, answer)
		}
		return answer
	}
	begin := time.Now().Add(-time.Hour)
	for i := range 600 { // what a service needs before it is judged
		post("/v1/traces", workflow(b, say, uint64(i), 1, 1, begin.Add(time.Duration(i)*time.Second)))
	}
	bodies := make([][]byte, 64)
	for i := range bodies {
		bodies[i] = workflow(b, say, uint64(1_000+i), benchSpans, benchTexts, time.Now())
	}
	require.Eventually(b, func() bool { return judged(b, post("/api/v1/traces", bodies[0])) }, time.Minute, 100*time.Millisecond)

	var mu sync.Mutex
	var took []float64 // milliseconds
	var requests sync.WaitGroup
	before, start := cpu(b), time.Now()
	for i := 0; b.Loop(); i++ {
		due := start.Add(time.Duration(i) * benchEvery)
		time.Sleep(time.Until(due))
		requests.Go(func() {
			post("/api/v1/traces", bodies[i%len(bodies)])
			mu.Lock()
			defer mu.Unlock()
			took = append(took, float64(time.Since(due))/1e6)
		})
	}
	requests.Wait()
	used := cpu(b) - before
	slices.Sort(took)
	b.ReportMetric(0, "ns/op") // it is the clock's
	b.ReportMetric(took[len(took)/2], "p50-ms")
	b.ReportMetric(took[len(took)*99/100], "p99-ms")
	b.ReportMetric(float64(used.Milliseconds())/float64(len(took)), "cpu-ms/op")
}

// judged reports whether the only trace of the answer was compared with what is normal.
func judged(b *testing.B, answer []byte) bool {
	var out struct {
		Traces []engine.Verdict `json:"traces"`
	}
	require.NoError(b, json.Unmarshal(answer, &out))
	require.Len(b, out.Traces, 1)
	return slices.ContainsFunc(out.Traces[0].Contributions, func(s engine.Contribution) bool { return s.Detector == "novelty" && !s.Learning })
}

// cpu is the processor time of this process.
func cpu(b *testing.B) time.Duration {
	var used syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// sayer makes texts that nobody has said: pieces of what users of the scenarios say, joined.
type sayer struct {
	random *rand.Rand
	said   [][]string // words
}

func newSayer(b *testing.B) *sayer {
	cfg := scenario.DefaultConfig()
	cfg.Control = true
	s, err := scenario.New(cfg)
	require.NoError(b, err)
	mapper, err := genai.New(genai.DefaultLimits())
	require.NoError(b, err)
	out := &sayer{random: rand.New(rand.NewPCG(1, 1))}
	for len(out.said) < 2000 {
		step, more := s.Next()
		require.True(b, more)
		for _, span := range mapper.Spans(step.Traces, step.At).Spans {
			for _, m := range slices.Concat(span.Input, span.Output) {
				if words := strings.Fields(m.Text()); len(words) >= 12 {
					out.said = append(out.said, words)
				}
			}
		}
	}
	return out
}

// text has about 36 words, 250 bytes.
func (s *sayer) text() string {
	var words []string
	for range 3 {
		from := s.said[s.random.IntN(len(s.said))]
		at := s.random.IntN(len(from) - 11)
		words = append(words, from[at:at+12]...)
	}
	return strings.Join(words, " ")
}

// fillNormal puts as many prompts of each service into the memory as it is to know.
func fillNormal(b *testing.B, path string, say *sayer) {
	embedder, err := builtin.New()
	require.NoError(b, err)
	memory, err := embedded.Open(b.Context(), embedded.Config{Path: path, MaxPerCollection: 100_000, BusyTimeout: time.Second}, slog.New(slog.DiscardHandler))
	require.NoError(b, err)
	collection := engine.Collection{Purpose: engine.PurposeNormal, Kind: engine.TextUserPrompt, Model: embedder.Model()}
	for service := range benchServices {
		texts := make([]string, benchNormal)
		for i := range texts {
			texts[i] = say.text()
		}
		vectors, err := embedder.Embed(b.Context(), texts)
		require.NoError(b, err)
		memos := make([]engine.Memo, len(texts))
		for i := range memos {
			memos[i] = engine.Memo{
				ID: fmt.Sprintf("%d-%d", service, i), Collection: collection, Vector: vectors[i], Text: texts[i],
				Service: fmt.Sprintf("service-%02d", service), At: time.Now(),
			}
		}
		require.NoError(b, memory.Remember(b.Context(), memos))
	}
	require.NoError(b, memory.Close())
}

// workflow is an OTLP request with one trace: an agent's calls of a model, with the prompts divided among them.
func workflow(b *testing.B, say *sayer, id uint64, spans, texts int, begin time.Time) []byte {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", benchServiceOne)
	all := rs.ScopeSpans().AppendEmpty().Spans()
	for i := range spans {
		s := all.AppendEmpty()
		s.SetTraceID(pcommon.TraceID{1, byte(id >> 16), byte(id >> 8), byte(id)})
		s.SetSpanID(pcommon.SpanID{1, byte(i)})
		if i > 0 {
			s.SetParentSpanID(pcommon.SpanID{1, 0})
		}
		s.SetName("chat small-1")
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(begin.Add(time.Duration(i) * 10 * time.Millisecond)))
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(begin.Add(time.Duration(spans) * 10 * time.Millisecond)))
		type part struct {
			Type    string `json:"type"`
			Content string `json:"content"`
		}
		type message struct {
			Role  string `json:"role"`
			Parts []part `json:"parts"`
		}
		var messages []message
		for range texts / spans {
			messages = append(messages, message{"user", []part{{"text", say.text()}}})
		}
		content, err := json.Marshal(messages)
		require.NoError(b, err)
		s.Attributes().PutStr("gen_ai.operation.name", "chat")
		s.Attributes().PutStr("gen_ai.request.model", "small-1")
		s.Attributes().PutStr("gen_ai.input.messages", string(content))
	}
	body, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	require.NoError(b, err)
	return body
}
