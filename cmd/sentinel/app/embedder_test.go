package app

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/embed/ollama"
	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/retrieval/embedded"
)

// lateOllama refuses everything until it is up.
type lateOllama struct{ up atomic.Bool }

func (o *lateOllama) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !o.up.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if r.URL.Path == "/api/tags" {
		_, _ = w.Write([]byte(`{"models":[{"name":"all-minilm:latest","digest":"1b226e2802db"}]}`))
		return
	}
	var request struct {
		Input []string `json:"input"`
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	vectors := make([][]float64, len(request.Input))
	for i, text := range request.Input {
		vectors[i] = []float64{float64(len(text)), 3, 4}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"embeddings": vectors})
}

// When the server comes up after the start, the known attacks are there before the first text is compared with them.
func TestPairConnectsWhenItsServerComesUp(t *testing.T) {
	late := &lateOllama{}
	host := httptest.NewServer(late)
	defer host.Close()
	cfg := ollama.DefaultConfig()
	cfg.BaseURL, cfg.MaxRetries, cfg.RetryDelay = host.URL, 0, time.Millisecond
	remote, err := ollama.New(cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer remote.Close()
	memoryCfg := embedded.DefaultConfig()
	memoryCfg.Path = ":memory:"
	memory, err := embedded.Open(t.Context(), memoryCfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	s := &pair{Embedder: remote, connect: remote.Connect, Memory: memory}

	_, err = s.Embed(t.Context(), []string{"a text"})
	require.Equal(t, engine.CodeUnavailable, engine.ErrorCode(err))
	require.Equal(t, "all-minilm", s.Model().Name, "health can name it")
	require.Empty(t, memory.Stats())

	late.up.Store(true)
	vectors, err := s.Embed(t.Context(), []string{"a text"})
	require.NoError(t, err)
	require.Len(t, vectors, 1)
	require.Len(t, memory.Stats(), 2)
	for _, c := range memory.Stats() {
		require.Equal(t, engine.PurposeAttack, c.Collection.Purpose)
		require.Equal(t, engine.Model{Name: "all-minilm", Version: "1b226e2802db", Dimension: 3}, c.Collection.Model)
		require.Positive(t, c.Items)
	}
	late.up.Store(false)
	_, err = s.Embed(t.Context(), []string{"a text"})
	require.Equal(t, engine.CodeUnavailable, engine.ErrorCode(err), "it may go away again")
}
