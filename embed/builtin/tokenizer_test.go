package builtin

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func readGolden(t testing.TB, name string, rows any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, rows))
}

func testTokenizer(t testing.TB) *tokenizer {
	t.Helper()
	tokenizer, err := newTokenizer(vocabFile)
	require.NoError(t, err)
	return tokenizer
}

// The ids must be those of the tokenizer that the model was trained with: a table row under the wrong id is noise.
func TestTokenizerAgreesWithTheRealOne(t *testing.T) {
	var golden []struct {
		Text string
		IDs  []uint32
	}
	readGolden(t, "tokens.json", &golden)
	require.Greater(t, len(golden), 30)
	tokenizer := testTokenizer(t)
	var word wordBuffer
	for _, g := range golden {
		got := tokenizer.tokenize([]uint32{}, g.Text, &word)
		require.Equal(t, g.IDs, got, "%q", g.Text)
	}
}

func TestTokenizerOnInvalidUTF8(t *testing.T) {
	tokenizer := testTokenizer(t)
	var word wordBuffer
	want := tokenizer.tokenize(nil, "hello café", &word)
	for _, text := range []string{"hel\xfflo café", "hello caf\xc3\xa9\xc3", "\x80hello \xed\xa0\x80caf\xc3\xa9", "hello ca\xf0\x9f\x98f\xc3\xa9"} {
		require.Equal(t, want, tokenizer.tokenize(nil, text, &word), "%q", text)
	}
}

func TestSpecialTokensInATextAreText(t *testing.T) {
	tokenizer := testTokenizer(t)
	var word wordBuffer
	ids := tokenizer.tokenize(nil, "[SEP]", &word)
	require.Equal(t, tokenizer.tokenize(nil, "[ sep ]", &word), ids)
	require.Len(t, ids, 3)
}

func TestTokenizerAddsToWhatIsThere(t *testing.T) {
	var word wordBuffer
	require.Equal(t, []uint32{7, 7592}, testTokenizer(t).tokenize([]uint32{7}, "hello", &word))
}

func TestTokenizerDoesNotAllocate(t *testing.T) {
	tokenizer := testTokenizer(t)
	var word wordBuffer
	ids := make([]uint32, 0, 4096)
	text := oneKiB + " déjà vu 東京 한국어 😀"
	require.Zero(t, testing.AllocsPerRun(10, func() { ids = tokenizer.tokenize(ids[:0], text, &word) }))
}

func TestVocabularyMustBeWhole(t *testing.T) {
	for vocabulary, says := range map[string]string{
		"":                    "empty",
		"[UNK]\n##a\n\nb\n":   "empty",
		"[UNK]\na\n##a\na\n":  "twice",
		"a\n##a\n":            "[UNK]",
		"[UNK]\na\n":          "##",
		"[UNK]\n#\na\n##":     "",
		"[UNK]\na\n##b\nab\n": "",
	} {
		_, err := newTokenizer(vocabulary)
		if says == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, says)
		}
	}
}

func TestLongestPieceWins(t *testing.T) {
	tokenizer, err := newTokenizer("[UNK]\nun\nunder\nu\n##n\n##der\n##d\n##e\n##r\ns")
	require.NoError(t, err)
	var word wordBuffer
	for text, want := range map[string][]uint32{
		"under":   {2},
		"underd":  {2, 6},
		"unde":    {1, 6, 7},
		"undder":  {1, 6, 5},
		"us":      {0}, // u is known, ##s is not: the whole word is unknown
		"s us un": {9, 0, 1},
	} {
		require.Equal(t, want, tokenizer.tokenize(nil, text, &word), text)
	}
}

func FuzzTokenizer(f *testing.F) {
	for _, seed := range []string{"hello", "Don't!", "é\u0301", "안녕", "東京", "\xff\xc3", "a\x00b", strings.Repeat("x", 101), "##", "\u1e9b\u0323"} {
		f.Add(seed)
	}
	tokenizer := testTokenizer(f)
	f.Fuzz(func(t *testing.T, text string) {
		var word wordBuffer
		ids := tokenizer.tokenize(nil, text, &word)
		for _, id := range ids {
			require.Less(t, int(id), tokenizer.size)
		}
		require.LessOrEqual(t, len(ids), 3*utf8.RuneCountInString(text)+1)
		// White space around and between changes nothing, and what is dropped may as well not be there.
		require.Equal(t, ids, tokenizer.tokenize(nil, " \n"+text+"\t ", &word))
		require.Equal(t, ids, tokenizer.tokenize(nil, strings.ToValidUTF8(text, ""), &word))
		twice := tokenizer.tokenize(nil, text+" "+text, &word)
		require.Len(t, twice, 2*len(ids))
	})
}
