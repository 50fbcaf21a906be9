package grounding

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// words are the runs of letters and digits, in lower case.
func words(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

// functionWords carry no content of their own.
var functionWords = setOf(`a an the and or but if then of at by for with about against between into through during before after above below
	to from up down in out on off over under again further once here there all any both each few more most other some such no nor not only
	own same so than too very s t can will just don should now i me my we our ours you your yours he him his she her hers it its they them
	their theirs what which who whom this that these those am is are was were be been being have has had having do does did doing would
	could while as until because also`)

func setOf(list string) map[string]bool {
	out := make(map[string]bool)
	for _, w := range strings.Fields(list) {
		out[w] = true
	}
	return out
}

// content are the stems of the words that carry content, in order.
func content(all []string) []string {
	out := make([]string, 0, len(all))
	for _, w := range all {
		if !functionWords[w] {
			out = append(out, stem(w))
		}
	}
	return out
}

// endings are cut off, the first that fits, where at least three letters stay: inflection is no difference.
var endings = [...]string{"ing", "edly", "ed", "ies", "es", "ly", "s"}

func stem(word string) string {
	for _, e := range endings {
		if base, cut := strings.CutSuffix(word, e); cut && len(base) >= 3 {
			return base
		}
	}
	return word
}

// sentenceWords is how many words make a sentence; less is a heading or the number of a list.
const sentenceWords = 3

// sentences cuts a text at the ends of lines and of sentences: at a full stop, question or exclamation mark before white space, unless
// the next letter is small, as after an abbreviation.
func sentences(text string) []string {
	var out []string
	add := func(piece string) {
		if len(words(piece)) >= sentenceWords {
			out = append(out, strings.TrimSpace(piece))
		}
	}
	start := 0
	for i, r := range text {
		switch {
		case r == '\n':
			add(text[start:i])
			start = i + 1
		case unicode.IsSpace(r) && ended(text[start:i]) && !startsSmall(text[i:]):
			add(text[start:i])
			start = i
		}
	}
	add(text[start:])
	return out
}

// ended reports whether a text ends with a sentence's last mark, maybe in quotation marks or brackets.
func ended(text string) bool {
	last, _ := utf8.DecodeLastRuneInString(strings.TrimRight(text, `"'”’)`))
	return strings.ContainsRune(".!?。？！", last)
}

func startsSmall(text string) bool {
	first, _ := utf8.DecodeRuneInString(strings.TrimSpace(text))
	return unicode.IsLower(first)
}
