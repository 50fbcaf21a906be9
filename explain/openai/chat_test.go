package openai_test

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
	"github.com/llm-sentinel/llm-sentinel/explain/openai"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func serve(t *testing.T, handler http.HandlerFunc) *openai.Chat {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	llm := explain.DefaultConfig().LLM
	llm.Provider, llm.Model, llm.BaseURL, llm.APIKey = explain.ProviderOpenAI, "tiny", server.URL+"/v1/", "sk-very-secret"
	chat, err := openai.New(llm)
	require.NoError(t, err)
	return chat
}

var question = explain.Request{System: "be brief", User: "why?", Schema: json.RawMessage(`{"type":"object"}`), MaxTokens: 77}

func TestCompleteAsksByTheOpenAIProtocol(t *testing.T) {
	var asked map[string]any
	chat := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/chat/completions" || r.Header.Get("Authorization") != "Bearer sk-very-secret" {
			http.Error(w, "unexpected request", http.StatusBadRequest)
			return
		}
		_ = json.NewDecoder(r.Body).Decode(&asked)
		_, _ = w.Write([]byte(`{"choices":[{"message":{"role":"assistant","content":"{\"a\":1}"}}],"usage":{"prompt_tokens":12,"completion_tokens":5}}`))
	})
	reply, err := chat.Complete(context.Background(), question)
	require.NoError(t, err)
	require.Equal(t, explain.Reply{Text: `{"a":1}`, InputTokens: 12, OutputTokens: 5}, reply)
	require.Equal(t, "openai tiny", chat.Name())
	require.Equal(t, "tiny", asked["model"])
	require.Equal(t, 77.0, asked["max_tokens"])
	require.InDelta(t, 0, asked["temperature"], 1e-9)
	require.Equal(t, map[string]any{
		"type":        "json_schema",
		"json_schema": map[string]any{"name": "incident_note", "schema": map[string]any{"type": "object"}, "strict": false},
	}, asked["response_format"])
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
		"key refused":       {http.StatusUnauthorized, `{"error":{"message":"Incorrect API key provided: sk-very-secret","type":"invalid_request_error"}}`, engine.CodeInternal},
		"broken":            {http.StatusInternalServerError, `oops`, engine.CodeInternal},
		"prompt too large":  {http.StatusBadRequest, `{"error":{"message":"too long","type":"invalid_request_error","code":"context_length_exceeded"}}`, engine.CodeTooLarge},
		"request too large": {http.StatusRequestEntityTooLarge, `{"error":{"message":"too large","type":"x"}}`, engine.CodeTooLarge},
		"no JSON":           {http.StatusOK, `<html>`, engine.CodeInternal},
		"no choices":        {http.StatusOK, `{"choices":[]}`, engine.CodeInternal},
		"endless":           {http.StatusOK, `{"id":"` + strings.Repeat("x", 2<<20) + `"}`, engine.CodeInternal},
	} {
		t.Run(name, func(t *testing.T) {
			chat := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tc.status)
				_, _ = w.Write([]byte(tc.body))
			})
			_, err := chat.Complete(context.Background(), question)
			require.Error(t, err)
			require.Equal(t, tc.code, engine.ErrorCode(err))
			require.ErrorContains(t, err, "tiny")
			require.ErrorContains(t, err, "http://127.0.0.1:")
			require.NotContains(t, err.Error(), "very-secret")
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
	_, err := openai.New(explain.LLM{Provider: explain.ProviderOpenAI})
	require.ErrorContains(t, err, "model")
	require.ErrorContains(t, err, "timeout")
}
