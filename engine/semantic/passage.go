package semantic

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// passage is a text of a span, put together again from its chunks.
type passage struct {
	span   int
	kind   engine.TextKind
	text   string
	chunks []int // of the observation
}

// passages lists the texts of the given kinds.
func passages(texts []engine.Text, kinds ...engine.TextKind) []passage {
	var out []passage
	for i, t := range texts {
		wanted := false
		for _, k := range kinds {
			wanted = wanted || t.Kind == k
		}
		if !wanted {
			continue
		}
		if n := len(out); n > 0 && t.Chunk > 0 && out[n-1].span == t.Span && out[n-1].kind == t.Kind {
			p := &out[n-1]
			p.text += gap(p.text) + t.Text
			p.chunks = append(p.chunks, i)
			continue
		}
		out = append(out, passage{t.Span, t.Kind, t.Text, []int{i}})
	}
	return out
}

// gap is what stood between two chunks as far as that can be told: a text is cut at the end of a line or sentence where one is near.
func gap(before string) string {
	if r, _ := utf8.DecodeLastRuneInString(before); unicode.IsLetter(r) || r == ',' {
		return " "
	}
	return "\n"
}

// maxUnits bounds the sentences of a text that are looked at, at its beginning and at its end.
const maxUnits = 400

// units cuts a text into its lines, and those into sentences: what is put into a document is rarely less.
func units(text string) []string {
	var out []string
	for line := range strings.SplitSeq(text, "\n") {
		start := 0
		for i, r := range line {
			if r != '.' && r != '!' && r != '?' && r != '。' {
				continue
			}
			next := i + utf8.RuneLen(r)
			rest := strings.TrimLeft(line[next:], `"')`)
			if r != '。' && (rest == "" || rest[0] != ' ') {
				continue
			}
			after, _ := utf8.DecodeRuneInString(strings.TrimLeft(rest, " \"'("))
			if i-start < 8 || unicode.IsLower(after) { // an abbreviation
				continue
			}
			out = appendUnit(out, line[start:next])
			start = next
		}
		out = appendUnit(out, line[start:])
	}
	if len(out) > maxUnits {
		out = append(out[:maxUnits/2:maxUnits/2], out[len(out)-maxUnits/2:]...)
	}
	return out
}

func appendUnit(out []string, unit string) []string {
	if unit = strings.TrimSpace(unit); strings.ContainsFunc(unit, unicode.IsLetter) {
		out = append(out, unit)
	}
	return out
}

// pieces cuts a text between words into parts of about equal length, as few as keep each within the given number of words.
func pieces(text string, words int) []string {
	all := strings.Fields(text)
	n := max(1, (len(all)+words-1)/words)
	out := make([]string, n)
	for i := range out {
		out[i] = strings.Join(all[i*len(all)/n:(i+1)*len(all)/n], " ")
	}
	return out
}
