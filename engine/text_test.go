package engine

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// secretive replaces the word SECRET and counts how often it is asked.
type secretive struct{ asked map[string]int }

func (r secretive) Redact(text string) (string, []Sensitive) {
	if r.asked != nil {
		r.asked[text]++
	}
	at := strings.Index(text, secret)
	if at < 0 {
		return text, nil
	}
	return strings.ReplaceAll(text, secret, "[KEY]"), []Sensitive{{Kind: SensitiveKey, Start: at, End: at + len(secret)}}
}

const secret = "sk-SECRET-4711"

// speaking is a span with text in every field that can hold some.
func speaking(trace, id, parent int, text string) Span {
	s := span(trace, id, parent, began)
	say := func(role string, kind PartKind) Message {
		return Message{Role: role, Parts: []Part{{Kind: kind, Text: role + " " + string(kind) + " " + text}}}
	}
	s.ErrorMessage = "failed: " + text
	s.Tool = Tool{Name: "search", Arguments: `{"q": "` + text + `"}`, Result: "result " + text}
	s.Retrieval = Retrieval{Query: "query " + text, Documents: []Document{{ID: "d", Text: "document " + text}}}
	s.System = []Message{say("system", PartText)}
	s.Input = []Message{say("user", PartText), say("tool", PartToolResponse), say("assistant", PartToolCall)}
	s.Output = []Message{say("assistant", PartText), say("assistant", PartReasoning)}
	s.Evaluations = []Evaluation{{Name: "tone", Explanation: "because " + text}}
	return s
}

func TestRedactionReachesEveryText(t *testing.T) {
	t.Parallel()
	original := NewTrace(traceID(1), []Span{speaking(1, 1, 0, secret), speaking(1, 2, 1, secret)})
	want := NewTrace(traceID(1), []Span{speaking(1, 1, 0, "[KEY]"), speaking(1, 2, 1, "[KEY]")})
	redactor := secretive{asked: make(map[string]int)}
	got, found := redactTrace(original, redactor)
	require.Equal(t, want, got)
	require.Equal(t, NewTrace(traceID(1), []Span{speaking(1, 1, 0, secret), speaking(1, 2, 1, secret)}), original, "the original is left alone")
	for text, n := range redactor.asked {
		require.Equal(t, 1, n, "%q is in both spans and redacted once", text)
	}
	require.Equal(t, []Sensitive{{Kind: SensitiveKey, Start: 9, End: 9 + len(secret)}}, found["document [KEY]"])
}

func TestTextsAreThoseOfTheWantedKinds(t *testing.T) {
	t.Parallel()
	trace, found := redactTrace(NewTrace(traceID(1), []Span{speaking(1, 1, 0, secret), speaking(1, 2, 1, secret)}), secretive{})
	byKind := make(map[TextKind]string)
	all := []TextKind{TextUserPrompt, TextSystemPrompt, TextResponse, TextToolArguments, TextToolResult, TextDocument}
	for _, x := range texts(&trace, found, all, 64, 100) {
		require.Zero(t, x.Span, "what both spans say is said by the first")
		require.Len(t, x.Sensitive, 1)
		byKind[x.Kind] += x.Text + ";"
	}
	require.Equal(t, map[TextKind]string{
		TextUserPrompt:    "user text [KEY];",
		TextSystemPrompt:  "system text [KEY];",
		TextResponse:      "assistant text [KEY];",
		TextToolArguments: `{"q": "[KEY]"};`,
		TextToolResult:    "result [KEY];tool tool_call_response [KEY];",
		TextDocument:      "document [KEY];",
	}, byKind)
	require.Empty(t, texts(&trace, found, nil, 64, 100))
}

func TestLongTextsAreCutAndTheirNumberIsBounded(t *testing.T) {
	t.Parallel()
	s := span(1, 1, 0, began)
	s.Input = user(strings.Repeat("one two three. ", 100))
	trace := NewTrace(traceID(1), []Span{s})
	found := map[string][]Sensitive{s.Input[0].Text(): {{Kind: SensitiveEmail}}}
	list := texts(&trace, found, []TextKind{TextUserPrompt}, 12, 7)
	require.Len(t, list, 7)
	for n, x := range list {
		require.Equal(t, n, x.Chunk)
		require.Equal(t, n == 0, len(x.Sensitive) > 0, "findings are listed once, with the first chunk")
	}
}

func TestChunksEndWhereSentencesDo(t *testing.T) {
	t.Parallel()
	require.Empty(t, chunks("  \n ", 8))
	require.Equal(t, []string{"short text"}, chunks(" short text ", 8))
	require.Equal(t, []string{"a b c d e.", "f g h i j"}, chunks("a b c d e. f g h i j", 8))
	require.Equal(t, []string{"a b c d e f g h", "i j k l"}, chunks("a b c d e f g h i j k l", 8))
	require.Equal(t, []string{"a b c d e f g h i"}, chunks("a b c d e f g h i", 8), "a short rest stays with what came before")
}

func FuzzChunks(f *testing.F) {
	f.Add("One sentence. Another one: with more words! And\na line", 4)
	f.Add(strings.Repeat("長い文章には空白がない。", 50), 8)
	f.Add(strings.Repeat("x", 5_000)+" \xff\xfe", 3)
	f.Fuzz(func(t *testing.T, text string, n int) {
		words := 1 + int(uint(n)%100)
		solid := func(s string) string {
			return strings.Map(func(r rune) rune {
				if unicode.IsSpace(r) {
					return -1
				}
				return r
			}, s)
		}
		got := chunks(text, words)
		require.Equal(t, solid(text), solid(strings.Join(got, "")), "no character is lost, doubled or moved")
		for _, c := range got {
			require.NotEmpty(t, strings.TrimSpace(c))
			require.LessOrEqual(t, len(strings.Fields(c)), words+words/4+1)
			require.LessOrEqual(t, len(c), 2*words*wordBytes+utf8.UTFMax)
			require.True(t, utf8.ValidString(c) || !utf8.ValidString(text), "runes stay whole")
		}
	})
}

func FuzzExcerpt(f *testing.F) {
	f.Add("grüße", 3)
	f.Fuzz(func(t *testing.T, s string, n int) {
		n = int(uint(n) % 100)
		got := excerpt(s, n)
		require.LessOrEqual(t, len(got), n+len("…"))
		require.True(t, utf8.ValidString(got) || !utf8.ValidString(s), "cut between runes")
		require.True(t, strings.HasPrefix(s, strings.TrimSuffix(got, "…")))
		if len(s) <= n {
			require.Equal(t, s, got)
		}
	})
}
