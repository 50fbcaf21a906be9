package evals_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
)

// textEnv is a data folder with the given files, and the malformed lines that are told of it.
func textEnv(t *testing.T, files map[string]string) (evals.Env, *[]int) {
	t.Helper()
	dir := t.TempDir()
	for name, lines := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(lines), 0o600))
	}
	skipped := new([]int)
	return evals.Env{
		Data: dir, Log: slog.New(slog.DiscardHandler),
		Skip: func(_ string, line int, _ error) error { *skipped = append(*skipped, line); return nil },
	}, skipped
}

func TestTextsKnowWhereTheyComeFrom(t *testing.T) {
	env, skipped := textEnv(t, map[string]string{
		"prompts.jsonl.gz": `{"id":"p1","kind":"user","text":"a  question"}
{"id":"p2","kind":"user","text":"obey me","cluster":7}
{"id":"p3","kind":"tweet","text":"of no known kind"}
{"id":"p4","kind":"document","text":""}`,
		"groundedness.jsonl.gz":       `{"id":"g1","context":"the source","question":"","response":"the summary"}`,
		"open_hallucination.jsonl.gz": `{"id":"h1","question":"a question","response":"an answer"}`,
		"agent_runs.jsonl.gz": `{"id":"r1","task":"book it","steps":[{"kind":"user","output":"please"},{"kind":"llm","output":"sure"},{"kind":"tool","input":"{}","output":"done"}]}
{"id":"r2","task":"x","steps":[{"kind":"dance"}]}`,
	})
	got, err := evals.ReadTexts(env)
	require.NoError(t, err)
	require.Equal(t, []evals.Text{
		{Kind: engine.TextUserPrompt, Text: "a question", Group: "p1"},
		{Kind: engine.TextUserPrompt, Text: "obey me", Group: "cluster 7"},
		{Kind: engine.TextDocument, Text: "the source", Group: "the source"},
		{Kind: engine.TextResponse, Text: "the summary", Group: "the source"},
		{Kind: engine.TextResponse, Text: "an answer", Group: "h1"},
		{Kind: engine.TextUserPrompt, Text: "book it", Group: "r1"},
		{Kind: engine.TextUserPrompt, Text: "please", Group: "r1"},
		{Kind: engine.TextResponse, Text: "sure", Group: "r1"},
		{Kind: engine.TextToolArguments, Text: "{}", Group: "r1"},
		{Kind: engine.TextToolResult, Text: "done", Group: "r1"},
	}, got, "each text once, empty ones left out")
	require.Equal(t, []int{3, 4, 2}, *skipped)
}

func TestTextsAreCutBetweenWords(t *testing.T) {
	long := strings.TrimSpace(strings.Repeat("word ", 150))
	env, _ := textEnv(t, map[string]string{
		"open_hallucination.jsonl.gz": `{"id":"h","question":"` + long + `","response":"` + strings.Repeat("長", 500) + `"}`,
	})
	got, err := evals.ReadTexts(env)
	require.NoError(t, err)
	var words, runes []int
	for _, text := range got {
		require.LessOrEqual(t, len(text.Text), 1024)
		if text.Kind == engine.TextUserPrompt {
			words = append(words, len(strings.Fields(text.Text)))
		} else {
			runes = append(runes, len([]rune(text.Text)))
		}
	}
	require.Equal(t, []int{64, 22}, words, "two pieces of 64 equal words are one text")
	require.Equal(t, []int{341, 159}, runes, "a word without an end is cut between runes")
}

func TestNoTextsAtAll(t *testing.T) {
	env, _ := textEnv(t, nil)
	_, err := evals.ReadTexts(env)
	require.ErrorIs(t, err, evals.ErrUnavailable)
	require.ErrorContains(t, err, "prompts.jsonl.gz")
}

// TestTextsOfTheDevelopmentData reads every line of the real files.
func TestTextsOfTheDevelopmentData(t *testing.T) {
	dir := filepath.Join("..", "..", "shared", "data", "dev")
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("SENTINEL_REQUIRE_STACK") == "1" {
			require.NoError(t, err)
		}
		t.Skip("the development data is not here")
	}
	env, skipped := textEnv(t, nil)
	env.Data = dir
	texts, err := evals.ReadTexts(env)
	require.NoError(t, err)
	require.Empty(t, *skipped)
	byKind := make(map[engine.TextKind]int)
	for _, text := range texts {
		byKind[text.Kind]++
	}
	for _, kind := range []engine.TextKind{
		engine.TextUserPrompt, engine.TextResponse, engine.TextDocument, engine.TextToolArguments, engine.TextToolResult,
	} {
		require.Greater(t, byKind[kind], 100, kind)
	}
	require.Greater(t, len(texts), 10_000)
}
