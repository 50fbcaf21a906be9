package ollama

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server speaks the two calls of Ollama that are used. The vector of a text is (length, 3, 4).
type server struct {
	mu      sync.Mutex
	batches [][]string                                               // inputs of each /api/embed, the probe left out
	embed   func(w http.ResponseWriter, r *http.Request, n int) bool // answers the nth of them instead, when it returns true
	change  func(vectors [][]float64) [][]float64
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body) // all of it: only then does a handler learn that the client has gone
	if err != nil {
		return
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /api/tags":
		fmt.Fprint(w, `{"models":[{"name":"other:latest","digest":"ffff"},{"name":"all-minilm:latest","digest":"1b226e2802dbb772b5fc32a58f103ca1"}]}`)
	case "POST /api/show":
		fmt.Fprint(w, `{"model_info":{"general.architecture":"bert","bert.context_length":512}}`)
	case "POST /api/embed":
		var request struct {
			Model   string   `json:"model"`
			Input   []string `json:"input"`
			Options struct {
				Window int `json:"num_ctx"`
			} `json:"options"`
		}
		if err := json.Unmarshal(body, &request); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if request.Options.Window != 512-specialTokens {
			http.Error(w, "this would abort the runner at a long text", http.StatusBadRequest)
			return
		}
		vectors := make([][]float64, len(request.Input))
		for i, text := range request.Input {
			vectors[i] = []float64{float64(len(text)), 3, 4}
		}
		if request.Input[0] != "dimension" {
			s.mu.Lock()
			s.batches = append(s.batches, request.Input)
			n := len(s.batches)
			s.mu.Unlock()
			if s.embed != nil && s.embed(w, r, n) {
				return
			}
			if s.change != nil {
				vectors = s.change(vectors)
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"model": request.Model, "embeddings": vectors})
	default:
		http.NotFound(w, r)
	}
}

func testConfig(url string) Config {
	cfg := DefaultConfig()
	cfg.BaseURL = url
	cfg.RetryDelay = time.Millisecond
	return cfg
}

func newEmbedder(t *testing.T, s http.Handler, change func(*Config)) *Embedder {
	t.Helper()
	host := httptest.NewServer(s)
	t.Cleanup(host.Close)
	cfg := testConfig(host.URL)
	if change != nil {
		change(&cfg)
	}
	e, err := New(cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(e.Close)
	require.NoError(t, e.Connect(t.Context()))
	return e
}

func TestBatchesAndUnitLength(t *testing.T) {
	s := &server{}
	e := newEmbedder(t, s, func(c *Config) { c.BatchSize = 2 })
	require.Equal(t, engine.Model{Name: "all-minilm", Version: "1b226e2802db", Dimension: 3}, e.Model())
	vectors, err := e.Embed(t.Context(), []string{"a", "bb", " \n", "ccc", ""})
	require.NoError(t, err)
	require.Equal(t, [][]string{{"a", "bb"}, {"ccc"}}, s.batches)
	require.Len(t, vectors, 5)
	for i, length := range map[int]float64{0: 1, 1: 2, 3: 3} {
		norm := math.Sqrt(length*length + 25)
		require.InDeltaSlice(t, []float64{length / norm, 3 / norm, 4 / norm}, vectors[i], 1e-6)
	}
	require.Equal(t, []float32{0, 0, 0}, vectors[2], "a blank text has the zero vector")
	require.Equal(t, []float32{0, 0, 0}, vectors[4])
}

func TestNoTextsNoRequest(t *testing.T) {
	s := &server{}
	vectors, err := newEmbedder(t, s, nil).Embed(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, vectors)
	require.Empty(t, s.batches)
}

func TestTemporaryFailuresAreTriedAgain(t *testing.T) {
	for _, status := range []int{http.StatusInternalServerError, http.StatusServiceUnavailable, http.StatusTooManyRequests} {
		s := &server{}
		s.embed = func(w http.ResponseWriter, _ *http.Request, n int) bool {
			if n < 3 {
				w.WriteHeader(status)
				return true
			}
			return false
		}
		vectors, err := newEmbedder(t, s, nil).Embed(t.Context(), []string{"a"})
		require.NoError(t, err)
		require.Len(t, vectors, 1)
		require.Len(t, s.batches, 3)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	cases := map[string]struct {
		status int
		body   string
		change func([][]float64) [][]float64
		tries  int
		code   engine.Code
		says   string
	}{
		"server fails for good": {status: 500, body: `{"error":"out of memory"}`, tries: 3, code: engine.CodeUnavailable, says: "out of memory"},
		"model was removed":     {status: 404, body: `{"error":"model not found"}`, tries: 1, code: engine.CodeInvalid, says: "ollama pull all-minilm"},
		"cannot embed":          {status: 400, body: `{"error":"this model does not support embeddings"}`, tries: 1, code: engine.CodeInvalid, says: "does not support embeddings"},
		"needs a key":           {status: 401, body: `{}`, tries: 1, code: engine.CodeInvalid, says: "base_url"},
		"not JSON":              {status: 200, body: `<html>`, tries: 3, code: engine.CodeUnavailable, says: "base_url"},
		"too few vectors": {change: func(v [][]float64) [][]float64 { return v[1:] },
			tries: 1, code: engine.CodeInternal, says: "1 vectors came back for 2 texts"},
		"another dimension": {change: func(v [][]float64) [][]float64 { v[1] = []float64{1, 2}; return v },
			tries: 1, code: engine.CodeInvalid, says: "dimension 2, want 3"},
		"empty vector": {change: func(v [][]float64) [][]float64 { v[0] = nil; return v },
			tries: 1, code: engine.CodeInvalid, says: "dimension 0, want 3"},
		"zero vector": {change: func(v [][]float64) [][]float64 { v[0] = []float64{0, 0, 0}; return v },
			tries: 1, code: engine.CodeInternal, says: "vector 1 of 2 has length 0"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := &server{change: c.change}
			if c.status != 0 {
				s.embed = func(w http.ResponseWriter, _ *http.Request, _ int) bool {
					w.WriteHeader(c.status)
					fmt.Fprint(w, c.body)
					return true
				}
			}
			e := newEmbedder(t, s, nil)
			vectors, err := e.Embed(t.Context(), []string{"a secret prompt", "another"})
			require.Nil(t, vectors, "a failing call returns no vectors at all")
			require.ErrorContains(t, err, c.says)
			require.ErrorContains(t, err, "all-minilm at "+"http://127.0.0.1:")
			require.NotContains(t, err.Error(), "secret")
			require.Equal(t, c.code, engine.ErrorCode(err))
			require.Len(t, s.batches, c.tries)
		})
	}
}

func TestSecondBatchFailing(t *testing.T) {
	s := &server{}
	s.embed = func(w http.ResponseWriter, _ *http.Request, n int) bool {
		if n == 2 {
			w.WriteHeader(http.StatusBadRequest)
			return true
		}
		return false
	}
	vectors, err := newEmbedder(t, s, func(c *Config) { c.BatchSize = 1 }).Embed(t.Context(), []string{"a", "b", "c"})
	require.Error(t, err)
	require.Nil(t, vectors)
	require.Len(t, s.batches, 2, "nothing is sent after a failure")
}

// hang answers only when the client has gone away.
func hang(_ http.ResponseWriter, r *http.Request, _ int) bool {
	<-r.Context().Done()
	return true
}

func TestSlowServerMeetsTheTimeout(t *testing.T) {
	s := &server{embed: hang}
	e := newEmbedder(t, s, func(c *Config) {
		c.Timeout = time.Second // long enough for the questions of Connect on a busy machine
		c.MaxRetries = 1
	})
	_, err := e.Embed(t.Context(), []string{"a"})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "raise timeout")
	require.Equal(t, engine.CodeUnavailable, engine.ErrorCode(err))
	s.mu.Lock()
	defer s.mu.Unlock()
	require.Len(t, s.batches, 2, "one try and one retry")
}

func TestContextEndsACall(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := &server{embed: func(w http.ResponseWriter, r *http.Request, n int) bool {
		cancel()
		return hang(w, r, n)
	}}
	e := newEmbedder(t, s, nil)
	vectors, err := e.Embed(ctx, []string{"a"})
	require.ErrorIs(t, err, context.Canceled)
	require.Nil(t, vectors)
	_, err = e.Embed(ctx, []string{"a"})
	require.ErrorIs(t, err, context.Canceled)
}

// connect makes an embedder and connects it.
func connect(t *testing.T, cfg Config) error {
	t.Helper()
	e, err := New(cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer e.Close()
	return e.Connect(t.Context())
}

func TestConnectChecksTheServer(t *testing.T) {
	host := httptest.NewServer(&server{})
	defer host.Close()

	missing := testConfig(host.URL)
	missing.Model = "nomic-embed-text"
	err := connect(t, missing)
	require.ErrorContains(t, err, "ollama pull nomic-embed-text")
	require.Equal(t, engine.CodeInvalid, engine.ErrorCode(err))

	wrong := testConfig(host.URL)
	wrong.Dimension = 384
	err = connect(t, wrong)
	require.ErrorContains(t, err, "dimension 3, want 384")
	require.Equal(t, engine.CodeInvalid, engine.ErrorCode(err))

	gone := httptest.NewServer(nil)
	gone.Close()
	err = connect(t, testConfig(gone.URL))
	require.ErrorContains(t, err, "ollama serve")
	require.Equal(t, engine.CodeUnavailable, engine.ErrorCode(err))
}

func TestServerMayComeUpLater(t *testing.T) {
	var up atomic.Bool
	inner := &server{}
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !up.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	defer host.Close()
	e, err := New(testConfig(host.URL), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer e.Close()
	_, err = e.Embed(t.Context(), []string{"a"})
	require.Equal(t, engine.CodeUnavailable, engine.ErrorCode(err))
	require.Equal(t, engine.Model{Name: "all-minilm"}, e.Model(), "its name is known already")
	up.Store(true)
	vectors, err := e.Embed(t.Context(), []string{"a"})
	require.NoError(t, err)
	require.Len(t, vectors[0], 3)
	require.Equal(t, engine.Model{Name: "all-minilm", Version: "1b226e2802db", Dimension: 3}, e.Model())
}

func TestValidate(t *testing.T) {
	require.NoError(t, DefaultConfig().Validate())
	for field, change := range map[string]func(*Config){
		"base_url":    func(c *Config) { c.BaseURL = "127.0.0.1:11434" },
		"model":       func(c *Config) { c.Model = "" },
		"dimension":   func(c *Config) { c.Dimension = -1 },
		"batch_size":  func(c *Config) { c.BatchSize = 0 },
		"timeout":     func(c *Config) { c.Timeout = 0 },
		"max_retries": func(c *Config) { c.MaxRetries = 11 },
		"retry_delay": func(c *Config) { c.RetryDelay = 0 },
	} {
		cfg := DefaultConfig()
		change(&cfg)
		_, err := New(cfg, slog.New(slog.DiscardHandler))
		require.ErrorContains(t, err, field)
	}
}

// TestRealServer runs against the Ollama that SENTINEL_OLLAMA_URL names, with all-minilm in it.
func TestRealServer(t *testing.T) {
	address := os.Getenv("SENTINEL_OLLAMA_URL")
	if address == "" {
		if os.Getenv("SENTINEL_REQUIRE_STACK") == "1" {
			t.Fatal("SENTINEL_OLLAMA_URL is not set, and SENTINEL_REQUIRE_STACK=1 requires it")
		}
		t.Skip("SENTINEL_OLLAMA_URL is not set: no real Ollama to test against")
	}
	cfg := DefaultConfig()
	cfg.BaseURL = address
	cfg.BatchSize = 2
	cfg.Timeout = time.Minute // a model is loaded at the first call
	e, err := New(cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer e.Close()
	require.NoError(t, e.Connect(t.Context()))
	require.Equal(t, 384, e.Model().Dimension)
	require.Len(t, e.Model().Version, 12)
	vectors, err := e.Embed(t.Context(), []string{
		"A kitten sleeps on the sofa.", "", "The cat naps on the couch.", "Quarterly revenue fell by nine percent.",
	})
	require.NoError(t, err)
	require.Greater(t, dot(vectors[0], vectors[2]), dot(vectors[0], vectors[3])+0.2)
	require.InDelta(t, 1, dot(vectors[0], vectors[0]), 1e-5)
	require.Equal(t, make([]float32, 384), vectors[1])

	// As many tokens as characters, twice what the model can read: the server must be told where to cut.
	random := make([]byte, 512)
	_, _ = rand.Read(random) // it never fails
	vectors, err = e.Embed(t.Context(), []string{hex.EncodeToString(random)})
	require.NoError(t, err)
	require.InDelta(t, 1, dot(vectors[0], vectors[0]), 1e-5)

	cfg.Model = "no-such-model"
	require.ErrorContains(t, connect(t, cfg), "ollama pull no-such-model")
}

func dot(a, b []float32) float64 {
	sum := 0.0
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}
