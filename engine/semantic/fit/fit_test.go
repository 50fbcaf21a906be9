package main

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine/semantic"
)

func TestGridIsExpandedTheSameEachTime(t *testing.T) {
	t.Parallel()
	const text = "# a comment\n\nwho = Ann|Bob\n+ 40 greeting | {Hi|Hello, {dear|good}} {who}[ again]\\n\\[end\\]\n- 1 plain | {one} word\n"
	first, err := expand(strings.NewReader(text))
	require.NoError(t, err)
	second, err := expand(strings.NewReader(text))
	require.NoError(t, err)
	require.Equal(t, first, second)
	require.Len(t, first, 41)
	seen := make(map[string]bool)
	for _, e := range first[:40] {
		require.True(t, e.Attack)
		require.Equal(t, "greeting", e.Family)
		require.Regexp(t, `^(Hi|Hello, (dear|good)) (Ann|Bob)( again)?\n\[end\]$`, e.Text)
		seen[e.Text] = true
	}
	require.Greater(t, len(seen), 6)
	require.Equal(t, semantic.Example{Family: "plain", Text: "one word"}, first[40])
}

func TestBadGridIsAnErrorWithItsLine(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no count":  "+ family | text",
		"no number": "+ x family | text",
		"open":      "+ 1 family | {a|b",
		"endless":   "a = {a}\n+ 1 family | {a}",
		"backslash": "+ 1 family | a\\",
	} {
		_, err := expand(strings.NewReader(text))
		require.ErrorContains(t, err, "line ", name)
	}
}

// The weights that ship must be those of the texts that ship.
func TestWeightsAreOfTheseTexts(t *testing.T) {
	t.Parallel()
	if runtime.GOARCH != "amd64" {
		t.Skip("the weights were made on amd64; other processors round differently")
	}
	dir := t.TempDir()
	require.NoError(t, run("../../../retrieval/attack/attacks.jsonl", dir))
	for _, file := range []string{"jailbreak.weights", "injection.weights"} {
		made, err := os.ReadFile(filepath.Join(dir, file))
		require.NoError(t, err)
		kept, err := os.ReadFile(filepath.Join("..", file))
		require.NoError(t, err)
		require.True(t, bytes.Equal(kept, made), "%s is of other texts: run go generate ./engine/semantic", file)
	}
}
