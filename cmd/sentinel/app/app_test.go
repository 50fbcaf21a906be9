package app_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/cmd/sentinel/app"
	"github.com/llm-sentinel/llm-sentinel/engine"
)

// config is the embedded configuration with free ports and a directory of its own.
func config(t testing.TB) app.Config {
	t.Helper()
	cfg, err := app.DefaultConfig()
	require.NoError(t, err)
	cfg.DataDir = t.TempDir()
	cfg.API.Listen, cfg.OTLP.GRPC, cfg.OTLP.HTTP = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	return cfg
}

// run starts a whole Sentinel, which stops with the test.
func run(t testing.TB, cfg app.Config) app.Addrs {
	t.Helper()
	a, err := app.New(t.Context(), cfg, app.Options{Version: "test", Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; !errors.Is(err, context.Canceled) { // the test may be over before all was read at start
			require.NoError(t, err)
		}
	})
	ready, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	addrs, err := a.Addrs(ready)
	require.NoError(t, err)
	return addrs
}

// call makes a request without a key; a body is posted as JSON.
func call(t *testing.T, url string, body []byte, encoding string) (int, string) {
	t.Helper()
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	if encoding != "" {
		req.Header.Set("Content-Encoding", encoding)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }() // it was only read
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(answer)
}

// oneCall is an OTLP request with one model call of now.
func oneCall() []byte {
	end := time.Now()
	return fmt.Appendf(nil, `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"helpdesk"}}]},
		"scopeSpans":[{"spans":[{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331","name":"chat","kind":3,
		"startTimeUnixNano":"%d","endTimeUnixNano":"%d","attributes":[
		{"key":"gen_ai.operation.name","value":{"stringValue":"chat"}},{"key":"gen_ai.request.model","value":{"stringValue":"m"}},
		{"key":"gen_ai.input.messages","value":{"stringValue":"[{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"content\":\"where is my parcel\"}]}]"}}
		]}]}]}]}`, end.Add(-time.Second).UnixNano(), end.UnixNano())
}

func TestAPortThatIsSwitchedOffDoesNotMakeTheOtherAskForKeys(t *testing.T) {
	for name, off := range map[string]func(*app.Config){
		"grpc": func(c *app.Config) { c.OTLP.GRPC = "" },
		"http": func(c *app.Config) { c.OTLP.HTTP = "" },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t)
			off(&cfg)
			addrs := run(t, cfg)
			require.Equal(t, name == "grpc", addrs.GRPC == "")
			target := addrs.HTTP
			if target == "" {
				target = addrs.API
			}
			status, answer := call(t, "http://"+target+"/v1/traces", oneCall(), "")
			require.Equal(t, http.StatusOK, status, answer)
		})
	}
}

// Without its embedder the service starts, judges with the built-in one, and says so.
func TestServesWhileOllamaIsDown(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	cfg := config(t)
	cfg.Embed.Provider = app.EmbedOllama
	cfg.Embed.Ollama.BaseURL, cfg.Embed.Ollama.RetryDelay = gone.URL, time.Millisecond
	addrs := run(t, cfg)

	status, answer := call(t, "http://"+addrs.API+"/api/v1/traces", oneCall(), "")
	require.Equal(t, http.StatusOK, status, answer)
	require.Contains(t, answer, `"novelty"`, "it is judged by meaning all the same")

	_, answer = call(t, "http://"+addrs.API+"/api/v1/health", nil, "")
	var health struct {
		Status   string               `json:"status"`
		Degraded []engine.Degradation `json:"degraded"`
	}
	require.NoError(t, json.Unmarshal([]byte(answer), &health))
	require.Equal(t, "degraded", health.Status)
	require.Len(t, health.Degraded, 1, answer)
	require.Equal(t, "embedder all-minilm", health.Degraded[0].Part)
	require.Contains(t, health.Degraded[0].Reason, "ollama serve")

	_, metrics := call(t, "http://"+addrs.API+"/metrics", nil, "")
	for _, name := range []string{"sentinel_embed_cache_hits_total 0", "sentinel_embed_cache_misses_total 0", "sentinel_retrieval_evicted_total 0"} {
		require.Contains(t, metrics, name)
	}
}

// What waiting does not mend is told at the start.
func TestStartFailsWhenOllamaHasNoSuchModel(t *testing.T) {
	empty := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"models":[]}`)) }))
	defer empty.Close()
	cfg := config(t)
	cfg.Embed.Provider, cfg.Embed.Ollama.BaseURL = app.EmbedOllama, empty.URL
	_, err := app.New(t.Context(), cfg, app.Options{Logger: slog.New(slog.DiscardHandler)})
	require.ErrorContains(t, err, "ollama pull all-minilm")
}

func TestTracesToScoreAreBoundedDecompressed(t *testing.T) {
	cfg := config(t)
	cfg.API.MaxBodyBytes = 2000
	addrs := run(t, cfg)
	zip := func(body []byte) []byte {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		_, err := w.Write(body)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		return out.Bytes()
	}
	url := "http://" + addrs.API + "/api/v1/traces"
	status, answer := call(t, url, zip(oneCall()), "gzip")
	require.Equal(t, http.StatusOK, status, answer)
	status, answer = call(t, url, zip([]byte(strings.Repeat(" ", 2000)+"{}")), "gzip")
	require.Equal(t, http.StatusRequestEntityTooLarge, status, answer)
}
