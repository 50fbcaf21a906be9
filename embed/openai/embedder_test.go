package openai_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/llm-sentinel/llm-sentinel/deploy/stack/stacktest"
	"github.com/llm-sentinel/llm-sentinel/embed/openai"
	"github.com/llm-sentinel/llm-sentinel/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const key = "sk-very-secret"

// peer speaks the protocol: the vector of a text is (length, 3, 4), and answers come in reverse order.
func peer(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var request struct {
		Input  []string `json:"input"`
		Model  string   `json:"model"`
		Format string   `json:"encoding_format"`
	}
	if json.Unmarshal(body, &request) != nil || r.URL.Path != "/v1/embeddings" || r.Header.Get("Authorization") != "Bearer "+key ||
		request.Model != "tiny" || request.Format != "float" {
		http.Error(w, `{"error":{"message":"unexpected request"}}`, http.StatusBadRequest)
		return
	}
	var data []string
	for i := len(request.Input) - 1; i >= 0; i-- {
		data = append(data, fmt.Sprintf(`{"object":"embedding","index":%d,"embedding":[%d,3,4]}`, i, len(request.Input[i])))
	}
	fmt.Fprintf(w, `{"object":"list","data":[%s],"model":"tiny"}`, strings.Join(data, ","))
}

func config(url string) openai.Config {
	cfg := openai.DefaultConfig()
	cfg.BaseURL, cfg.Model, cfg.APIKey, cfg.Version = url+"/v1/", "tiny", key, "2025-06"
	cfg.RetryDelay = time.Millisecond
	return cfg
}

func newEmbedder(t *testing.T, cfg openai.Config) *openai.Embedder {
	t.Helper()
	e, err := openai.New(cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(e.Close)
	return e
}

func TestEmbedByTheOpenAIProtocol(t *testing.T) {
	host := httptest.NewServer(http.HandlerFunc(peer))
	defer host.Close()
	cfg := config(host.URL)
	cfg.BatchSize = 2
	e := newEmbedder(t, cfg)
	vectors, err := e.Embed(t.Context(), []string{"", strings.Repeat("a", 12), "b", "c"})
	require.NoError(t, err)
	require.Equal(t, engine.Model{Name: "tiny", Version: "2025-06", Dimension: 3}, e.Model())
	require.Equal(t, []float32{0, 0, 0}, vectors[0])
	require.InDeltaSlice(t, []float64{12. / 13, 3. / 13, 4. / 13}, vectors[1], 1e-6, "each text has its own vector, at unit length")
	require.Equal(t, vectors[2], vectors[3])
}

func TestFaults(t *testing.T) {
	vector := func(index int) string { return fmt.Sprintf(`{"index":%d,"embedding":[1,2,3]}`, index) }
	for name, test := range map[string]struct {
		status int
		body   string
		code   engine.Code
		says   string
		calls  int
	}{
		"key refused":      {401, `{"error":{"message":"Incorrect API key provided: sk-very-secret"}}`, engine.CodeInvalid, "check api_key", 1},
		"no such model":    {404, `{"error":{"message":"model not found"}}`, engine.CodeInvalid, "check that it has tiny", 1},
		"text refused":     {400, `{"error":{"message":"too long"}}`, engine.CodeInvalid, "too long", 1},
		"busy":             {429, `{"error":{"message":"rate limit"}}`, engine.CodeUnavailable, "rate limit", 3},
		"broken":           {500, `oops`, engine.CodeUnavailable, "500 Internal Server Error: oops", 3},
		"no JSON":          {200, `<html>`, engine.CodeUnavailable, "check base_url", 3},
		"too few vectors":  {200, `{"data":[` + vector(0) + `]}`, engine.CodeInternal, "1 vectors came back for 2 texts", 1},
		"one text twice":   {200, `{"data":[` + vector(0) + `,` + vector(0) + `]}`, engine.CodeInternal, "not of one text each", 1},
		"index out of all": {200, `{"data":[` + vector(0) + `,` + vector(7) + `]}`, engine.CodeInternal, "not of one text each", 1},
		"other dimension":  {200, `{"data":[` + vector(0) + `,{"index":1,"embedding":[1]}]}`, engine.CodeInvalid, "dimension 1, want 3", 1},
		"no direction":     {200, `{"data":[` + vector(0) + `,{"index":1,"embedding":[0,0,0]}]}`, engine.CodeInternal, "has length 0", 1},
	} {
		t.Run(name, func(t *testing.T) {
			calls, connected := 0, false
			host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !connected {
					peer(w, r)
					return
				}
				calls++
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}))
			defer host.Close()
			e := newEmbedder(t, config(host.URL))
			require.NoError(t, e.Connect(t.Context()))
			connected = true
			vectors, err := e.Embed(t.Context(), []string{"a private prompt", "b"})
			require.Nil(t, vectors)
			require.Equal(t, test.code, engine.ErrorCode(err), "%v", err)
			require.ErrorContains(t, err, test.says)
			require.ErrorContains(t, err, "tiny at "+host.URL)
			require.NotContains(t, err.Error(), key)
			require.NotContains(t, err.Error(), "private")
			require.Equal(t, test.calls, calls)
		})
	}
}

func TestSilentServerMeetsTheTimeout(t *testing.T) {
	host := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does a handler learn that the client has gone
		<-r.Context().Done()
	}))
	defer host.Close()
	cfg := config(host.URL)
	cfg.Timeout, cfg.MaxRetries = 20*time.Millisecond, 1
	_, err := newEmbedder(t, cfg).Embed(t.Context(), []string{"a"})
	require.Equal(t, engine.CodeUnavailable, engine.ErrorCode(err))
	require.ErrorContains(t, err, "raise timeout")
}

func TestValidate(t *testing.T) {
	require.NoError(t, openai.DefaultConfig().Validate())
	for field, change := range map[string]func(*openai.Config){
		"base_url":    func(c *openai.Config) { c.BaseURL = "api.openai.com" },
		"model":       func(c *openai.Config) { c.Model = "" },
		"dimension":   func(c *openai.Config) { c.Dimension = -1 },
		"batch_size":  func(c *openai.Config) { c.BatchSize = 0 },
		"timeout":     func(c *openai.Config) { c.Timeout = 0 },
		"max_retries": func(c *openai.Config) { c.MaxRetries = 11 },
		"retry_delay": func(c *openai.Config) { c.RetryDelay = 0 },
	} {
		cfg := openai.DefaultConfig()
		change(&cfg)
		_, err := openai.New(cfg, slog.New(slog.DiscardHandler))
		require.ErrorContains(t, err, field)
	}
}

// TestRealServer asks a real model server by its OpenAI protocol.
func TestRealServer(t *testing.T) {
	cfg := openai.DefaultConfig()
	cfg.BaseURL, cfg.Model = stacktest.Require(t, "SENTINEL_OLLAMA_URL")+"/v1", "all-minilm"
	cfg.Timeout = time.Minute // a model is loaded at the first call
	e := newEmbedder(t, cfg)
	vectors, err := e.Embed(t.Context(), []string{
		"A kitten sleeps on the sofa.", "The cat naps on the couch.", "Quarterly revenue fell by nine percent.",
	})
	require.NoError(t, err)
	require.Equal(t, 384, e.Model().Dimension)
	require.Greater(t, dot(vectors[0], vectors[1]), dot(vectors[0], vectors[2])+0.2)
	require.InDelta(t, 1, dot(vectors[0], vectors[0]), 1e-5)

	cfg.Model = "no-such-model"
	err = newEmbedder(t, cfg).Connect(t.Context())
	require.Equal(t, engine.CodeInvalid, engine.ErrorCode(err), "%v", err)
	require.ErrorContains(t, err, "check that it has no-such-model")
}

func dot(a, b []float32) (sum float64) {
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}
