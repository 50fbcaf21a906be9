package langchain_test

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
	"github.com/llm-sentinel/llm-sentinel/explain/langchain"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func serve(t *testing.T, handler http.HandlerFunc) *langchain.Chat {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	llm := explain.DefaultConfig().LLM
	llm.Provider, llm.Model, llm.BaseURL, llm.APIKey = explain.ProviderAnthropic, "tiny", server.URL+"/v1/", "sk-very-secret"
	chat, err := langchain.New(llm)
	require.NoError(t, err)
	return chat
}

var question = explain.Request{System: "be brief", User: "why?", Schema: json.RawMessage(`{"type":"object"}`), MaxTokens: 77}

func TestCompleteAsksByTheProtocolOfAnthropic(t *testing.T) {
	var asked map[string]any
	chat := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/messages" || r.Header.Get("X-Api-Key") != "sk-very-secret" || r.Header.Get("Anthropic-Version") == "" {
			http.Error(w, "unexpected request", http.StatusBadRequest)
			return
		}
		_ = json.NewDecoder(r.Body).Decode(&asked)
		_, _ = w.Write([]byte(`{"type":"message","role":"assistant","content":[{"type":"text","text":"{\"a\":"},{"type":"text","text":"1}"}],
			"stop_reason":"end_turn","usage":{"input_tokens":12,"output_tokens":5}}`))
	})
	reply, err := chat.Complete(context.Background(), question)
	require.NoError(t, err)
	require.Equal(t, explain.Reply{Text: `{"a":1}`, InputTokens: 12, OutputTokens: 5}, reply)
	require.Equal(t, "anthropic tiny", chat.Name())
	require.Equal(t, "tiny", asked["model"])
	require.Equal(t, 77.0, asked["max_tokens"])
	require.Equal(t, 0.0, asked["temperature"])
	require.Contains(t, asked["system"], "be brief")
	require.Contains(t, asked["system"], `{"type":"object"}`, "the shape is part of the prompt")
	require.Contains(t, asked["messages"].([]any)[0].(map[string]any)["content"].([]any)[0].(map[string]any)["text"], "why?")
}

func TestErrorsNameAddressAndModelButNoKey(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		body   string
		code   engine.Code
	}{
		"key refused":       {http.StatusUnauthorized, `{"type":"error","error":{"message":"invalid x-api-key: sk-very-secret"}}`, engine.CodeInternal},
		"overloaded":        {529, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`, engine.CodeInternal},
		"prompt too large":  {http.StatusBadRequest, `{"type":"error","error":{"message":"prompt is too long: 250000 tokens > 200000"}}`, engine.CodeTooLarge},
		"request too large": {http.StatusRequestEntityTooLarge, `{"type":"error"}`, engine.CodeTooLarge},
		"no JSON":           {http.StatusOK, `<html>`, engine.CodeInternal},
		"no content":        {http.StatusOK, `{"content":[]}`, engine.CodeInternal},
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
	llm := explain.DefaultConfig().LLM
	llm.Provider = explain.ProviderAnthropic
	_, err := langchain.New(llm)
	require.ErrorContains(t, err, "model")
	llm.Model = "tiny"
	_, err = langchain.New(llm)
	require.ErrorContains(t, err, "api_key")
}
