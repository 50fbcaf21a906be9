package main

import (
	"fmt"
	"net/http"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/deploy/stack/stacktest"
)

// A real language model is asked for the note, over either protocol. A small one rarely gets it right: then the deterministic note
// stands in its place, with the reason counted. Either way everything that is cited is there.
func TestServeAsksALanguageModelForTheNote(t *testing.T) {
	t.Parallel()
	ollama := stacktest.Require(t, "SENTINEL_OLLAMA_URL")
	for _, test := range []struct{ provider, url string }{{"ollama", ollama}, {"openai", ollama + "/v1"}} {
		// One after the other: two calls at once slow each other down on a small machine.
		t.Run(test.provider, func(t *testing.T) {
			p := startProcess(t, t.TempDir(), fmt.Sprintf(`
explain:
  llm: {provider: %s, model: "smollm2:135m", base_url: %q, api_key: unused, timeout: 100s, max_output_tokens: 300}
`, test.provider, test.url))
			_, sent := errorBurst("helpdesk")
			p.send(t, sent)
			note := p.incident(t).Explanation
			t.Logf("author %q, fallback %q, %d tokens, %s", note.Author, note.Fallback, note.Tokens, note.Took)
			require.NotEmpty(t, note.Note)
			known := make(map[string]bool)
			for _, c := range note.Citations {
				known[c.ID] = true
				require.NotEmpty(t, c.Text)
			}
			require.NotEmpty(t, known)
			for _, h := range note.Hypotheses {
				require.NotEmpty(t, h.Citations)
				for _, id := range h.Citations {
					require.True(t, known[id], "hypothesis cites %s", id)
				}
			}
			for _, r := range note.Recommendations {
				for _, id := range r.Citations {
					require.True(t, known[id], "recommendation cites %s", id)
				}
			}
			for _, id := range regexp.MustCompile(`\bE\d+\b`).FindAllString(note.Note, -1) {
				require.True(t, known[id], "the note cites %s", id)
			}
			if note.Fallback == "" {
				require.Contains(t, note.Author, "smollm2:135m")
			} else {
				require.Equal(t, "deterministic", note.Author)
			}
			// The evidence may have grown since, and the note with it: it counts the first time too.
			_, _, page := p.do(t, http.MethodGet, p.api+"/metrics", "", nil)
			counted := fmt.Sprintf("sentinel_explain_notes_total{author=%q,fallback=%q} ", note.Author, note.Fallback)
			require.Regexp(t, regexp.QuoteMeta(counted)+`[1-9]`, string(page))
			require.Positive(t, note.Tokens, "the model was asked")
		})
	}
}
