package explain_test

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/explain"
	"github.com/llm-sentinel/llm-sentinel/explain/ollama"
	"github.com/llm-sentinel/llm-sentinel/explain/openai"
)

const stackModel = "smollm2:135m"

// stackNotes is how many notes a protocol writes: each takes a small machine up to a minute.
const stackNotes = 2

// A real small model writes notes by both protocols. However weak it is, each note either passed the check or is the
// deterministic one with the reason counted. It also judges an answer, in the form that was asked for.
func TestRealModelWritesNotes(t *testing.T) {
	address := os.Getenv("SENTINEL_OLLAMA_URL")
	if address == "" {
		require.NotEqual(t, "1", os.Getenv("SENTINEL_REQUIRE_STACK"), "SENTINEL_OLLAMA_URL is not set")
		t.Skip("SENTINEL_OLLAMA_URL is not set: no real model to ask")
	}
	cfg := explain.DefaultConfig()
	cfg.LLM.Model, cfg.LLM.Timeout = stackModel, 3*time.Minute
	cfg.Budget.TokensPerHour = 1_000_000
	cfg.Budget.TokensPerDay = 1_000_000
	for _, tc := range []struct {
		provider explain.Provider
		path     string
		open     func(explain.LLM) (explain.Chat, error)
	}{
		{explain.ProviderOllama, "", func(l explain.LLM) (explain.Chat, error) { return ollama.New(l) }},
		{explain.ProviderOpenAI, "/v1", func(l explain.LLM) (explain.Chat, error) { return openai.New(l) }},
	} {
		t.Run(string(tc.provider), func(t *testing.T) {
			cfg := cfg
			cfg.LLM.Provider, cfg.LLM.BaseURL = tc.provider, address+tc.path
			chat, err := tc.open(cfg.LLM)
			require.NoError(t, err)
			registry := prometheus.NewRegistry()
			e, err := explain.New(cfg, chat, registry, slog.New(slog.DiscardHandler))
			require.NoError(t, err)
			for _, s := range explain.Scenarios()[:stackNotes] {
				x, err := e.Explain(context.Background(), s.Incident, s.Evidence)
				require.NoError(t, err)
				require.Equal(t, s.Cause, x.Hypotheses[0].Cause)
				require.NotEmpty(t, x.Note)
				require.Positive(t, x.Tokens)
				require.NotEmpty(t, x.PromptVersion)
				if x.Fallback == "" {
					require.Equal(t, chat.Name(), x.Author)
				} else {
					require.Equal(t, explain.Deterministic, x.Author)
					require.NotEqual(t, explain.FallbackUnavailable, x.Fallback)
				}
				t.Logf("%s: author %q fallback %q tokens %d took %s", s.Name, x.Author, x.Fallback, x.Tokens, x.Took.Round(time.Millisecond))
				t.Logf("summary: %s", x.Summary)
			}
			sentences := []string{"The bridge opened in 1931.", "It was painted by the mayor."}
			quotes, err := e.Support(t.Context(), []string{"The bridge of the harbour opened in 1931 after four years of work."}, sentences)
			require.NoError(t, err)
			require.Len(t, quotes, len(sentences))
			t.Logf("quotes: %q", quotes)
			var written float64
			for _, n := range explain.NotesWritten(t, registry) {
				written += n
			}
			require.Equal(t, float64(stackNotes), written)
		})
	}
}
