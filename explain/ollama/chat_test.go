package ollama_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/explain"
	"github.com/llm-sentinel/llm-sentinel/explain/ollama"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func serve(t *testing.T, handler http.HandlerFunc) *ollama.Chat {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	llm := explain.DefaultConfig().LLM
	llm.Provider, llm.Model, llm.BaseURL, llm.APIKey = explain.ProviderOllama, "tiny:1b", server.URL, "key-of-the-gateway"
	chat, err := ollama.New(llm)
	require.NoError(t, err)
	return chat
}

var question = explain.Request{System: "be brief", User: "why?", Schema: json.RawMessage(`{"type":"object"}`), MaxTokens: 77}

func TestCompleteAsksByTheNativeProtocol(t *testing.T) {
	var asked map[string]any
	chat := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/chat" || r.Header.Get("Authorization") != "Bearer key-of-the-gateway" {
			http.Error(w, "unexpected request", http.StatusBadRequest)
			return
		}
		_ = json.NewDecoder(r.Body).Decode(&asked)
		_, _ = w.Write([]byte(`{"model":"tiny:1b","message":{"role":"assistant","content":"{\"a\":1}"},"done":true,"prompt_eval_count":12,"eval_count":5}`))
	})
	reply, err := chat.Complete(context.Background(), question)
	require.NoError(t, err)
	require.Equal(t, explain.Reply{Text: `{"a":1}`, InputTokens: 12, OutputTokens: 5}, reply)
	require.Equal(t, "ollama tiny:1b", chat.Name())
	require.Equal(t, "tiny:1b", asked["model"])
	require.Equal(t, false, asked["stream"])
	require.Equal(t, map[string]any{"type": "object"}, asked["format"])
	require.Equal(t, map[string]any{"temperature": 0.0, "seed": 1.0, "num_predict": 77.0, "num_ctx": 8192.0}, asked["options"])
	require.Equal(t, []any{
		map[string]any{"role": "system", "content": "be brief"}, map[string]any{"role": "user", "content": "why?"},
	}, asked["messages"])
}

func TestErrorsNameAddressAndModelButNoKey(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		body   string
		code   engine.Code
	}{
		"no such model":     {http.StatusNotFound, `{"error":"model \"tiny:1b\" not found"}`, engine.CodeInternal},
		"broken":            {http.StatusInternalServerError, `oops`, engine.CodeInternal},
		"prompt too large":  {http.StatusBadRequest, `{"error":"the input length exceeds the context length"}`, engine.CodeTooLarge},
		"request too large": {http.StatusRequestEntityTooLarge, `{"error":"too large"}`, engine.CodeTooLarge},
		"no JSON":           {http.StatusOK, `<html>`, engine.CodeInternal},
		"endless":           {http.StatusOK, `{"message":{"content":"` + strings.Repeat("x", 2<<20) + `"}}`, engine.CodeInternal},
	} {
		t.Run(name, func(t *testing.T) {
			chat := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tc.status)
				_, _ = w.Write([]byte(tc.body))
			})
			_, err := chat.Complete(context.Background(), question)
			require.Error(t, err)
			require.Equal(t, tc.code, engine.ErrorCode(err))
			require.ErrorContains(t, err, "tiny:1b")
			require.ErrorContains(t, err, "http://127.0.0.1:")
			require.NotContains(t, err.Error(), "key-of-the-gateway")
			require.Less(t, len(err.Error()), 1000)
		})
	}
}

func TestCompleteEndsWithItsContext(t *testing.T) {
	release := make(chan struct{})
	chat := serve(t, func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err := chat.Complete(ctx, question)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	_, err := ollama.New(explain.LLM{Provider: explain.ProviderOllama})
	require.ErrorContains(t, err, "model")
	require.ErrorContains(t, err, "timeout")
}
