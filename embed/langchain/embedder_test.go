package langchain_test

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
	"github.com/llm-sentinel/llm-sentinel/embed/langchain"
	"github.com/llm-sentinel/llm-sentinel/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const key = "pa-very-secret"

// peer speaks the protocols of all providers: the vector of a text is (length, 3, 4).
func peer(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var request struct {
		Model  string   `json:"model"`
		Input  []string `json:"input"`
		Inputs []string `json:"inputs"` // Hugging Face
	}
	if json.Unmarshal(body, &request) != nil || r.Header.Get("Authorization") != "Bearer "+key {
		http.Error(w, "unexpected request", http.StatusBadRequest)
		return
	}
	var data []string
	switch {
	case r.URL.Path == "/v1/embeddings" && request.Model == "org/tiny":
		for i, text := range request.Input {
			data = append(data, fmt.Sprintf(`{"index":%d,"embedding":[%d,3,4]}`, i, len(text)))
		}
		fmt.Fprintf(w, `{"data":[%s]}`, strings.Join(data, ","))
	case r.URL.Path == "/v1/models/org/tiny":
		for _, text := range request.Inputs {
			data = append(data, fmt.Sprintf(`[%d,3,4]`, len(text)))
		}
		fmt.Fprintf(w, `[%s]`, strings.Join(data, ","))
	default:
		http.Error(w, `{"detail":"not here"}`, http.StatusNotFound)
	}
}

func config(provider langchain.Provider, base string) langchain.Config {
	cfg := langchain.DefaultConfig()
	cfg.Provider, cfg.BaseURL, cfg.Model, cfg.APIKey, cfg.Version = provider, base, "org/tiny", key, "1"
	cfg.RetryDelay = time.Millisecond
	return cfg
}

func newEmbedder(t *testing.T, cfg langchain.Config) *langchain.Embedder {
	t.Helper()
	e, err := langchain.New(cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(e.Close)
	return e
}

var providers = []langchain.Provider{langchain.ProviderVoyageAI, langchain.ProviderJina, langchain.ProviderHuggingFace}

func TestEmbedByTheProtocolOfEachProvider(t *testing.T) {
	host := httptest.NewServer(http.HandlerFunc(peer))
	defer host.Close()
	for _, p := range providers {
		t.Run(string(p), func(t *testing.T) {
			cfg := config(p, host.URL+"/v1/")
			cfg.BatchSize = 2
			e := newEmbedder(t, cfg)
			texts := []string{strings.Repeat("a", 11) + "\n", "", "b", "c"}
			vectors, err := e.Embed(t.Context(), texts)
			require.NoError(t, err)
			require.Equal(t, engine.Model{Name: "org/tiny", Version: "1", Dimension: 3}, e.Model())
			require.InDeltaSlice(t, []float64{12. / 13, 3. / 13, 4. / 13}, vectors[0], 1e-6)
			require.Equal(t, []float32{0, 0, 0}, vectors[1])
			require.Equal(t, vectors[2], vectors[3])
			require.Equal(t, "b", texts[2], "texts stay as they are")
		})
	}
}

func TestFaults(t *testing.T) {
	for _, p := range providers {
		for name, test := range map[string]struct {
			status int
			body   string
			code   engine.Code
			says   string
			calls  int
		}{
			"key refused":   {401, `{"detail":"Provided API key pa-very-secret is invalid"}`, engine.CodeInvalid, "check api_key", 1},
			"no such model": {404, `{"detail":"no such model"}`, engine.CodeInvalid, fmt.Sprintf("check that %s has org/tiny", p), 1},
			"busy":          {429, `{"detail":"slow down"}`, engine.CodeUnavailable, "slow down", 3},
			"broken":        {503, `{"error":"loading"}`, engine.CodeUnavailable, "loading", 3},
			"no JSON":       {200, `<html>`, engine.CodeUnavailable, "check base_url", 3},
		} {
			t.Run(fmt.Sprint(p, " ", name), func(t *testing.T) {
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
				e := newEmbedder(t, config(p, host.URL+"/v1"))
				require.NoError(t, e.Connect(t.Context()))
				connected = true
				vectors, err := e.Embed(t.Context(), []string{"a private prompt"})
				require.Nil(t, vectors)
				require.Equal(t, test.code, engine.ErrorCode(err), "%v", err)
				require.ErrorContains(t, err, test.says)
				require.ErrorContains(t, err, "org/tiny at "+host.URL)
				require.NotContains(t, err.Error(), key)
				require.NotContains(t, err.Error(), "private")
				require.Equal(t, test.calls, calls)
			})
		}
	}
}

func TestSilentServerMeetsTheTimeout(t *testing.T) {
	host := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does a handler learn that the client has gone
		<-r.Context().Done()
	}))
	defer host.Close()
	for _, p := range providers {
		cfg := config(p, host.URL)
		cfg.Timeout, cfg.MaxRetries = 20*time.Millisecond, 0
		_, err := newEmbedder(t, cfg).Embed(t.Context(), []string{"a"})
		require.Equal(t, engine.CodeUnavailable, engine.ErrorCode(err), p)
		require.ErrorContains(t, err, "raise timeout", p)
	}
}

func TestValidate(t *testing.T) {
	for field, change := range map[string]func(*langchain.Config){
		"provider": func(c *langchain.Config) { c.Provider = "nobody" },
		"api_key":  func(c *langchain.Config) { c.APIKey = "" },
		"base_url": func(c *langchain.Config) { c.BaseURL = "" },
	} {
		cfg := config(langchain.ProviderJina, "http://127.0.0.1:1")
		change(&cfg)
		_, err := langchain.New(cfg, slog.New(slog.DiscardHandler))
		require.ErrorContains(t, err, field)
	}
}

// TestRealServer asks a real model server by the protocols that are like enough to the one it speaks.
func TestRealServer(t *testing.T) {
	address := stacktest.Require(t, "SENTINEL_OLLAMA_URL") + "/v1"
	for _, p := range []langchain.Provider{langchain.ProviderVoyageAI, langchain.ProviderJina} {
		cfg := config(p, address)
		cfg.Model, cfg.Timeout = "all-minilm", time.Minute // a model is loaded at the first call
		e := newEmbedder(t, cfg)
		vectors, err := e.Embed(t.Context(), []string{
			"A kitten sleeps on the sofa.", "The cat naps on the couch.", "Quarterly revenue fell by nine percent.",
		})
		require.NoError(t, err, p)
		require.Equal(t, 384, e.Model().Dimension)
		require.Greater(t, dot(vectors[0], vectors[1]), dot(vectors[0], vectors[2])+0.2, p)
	}
}

func dot(a, b []float32) (sum float64) {
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}
