package builtin

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Names in the vocabulary that have a meaning of their own.
const (
	unknownToken = "[UNK]"
	continuation = "##" // what a token starts with when it continues a word
)

// The syllables of Hangul.
const (
	hangulFirst = 0xac00
	hangulLast  = 0xd7a3
)

// maxWord is the length in runes beyond which a word is unknown as a whole.
const maxWord = 100

// tokenizer splits text into the WordPiece tokens of BERT's uncased models: control characters are dropped, letters lose case
// and accents, white space, punctuation and CJK characters separate words, and each word is cut into the longest known pieces
// from the left, or is unknown. Names of special tokens in a text are plain text.
type tokenizer struct {
	pieces    *trie
	continued int32 // the node in pieces under which the tokens inside a word are
	unknown   uint32
	size      int
}

// wordBuffer holds a word beyond ASCII while it is read.
type wordBuffer struct {
	bytes []byte
	runes int
	parts []rune // of one rune, decomposed
}

func (w *wordBuffer) reset() { w.bytes, w.runes = w.bytes[:0], 0 }

func (w *wordBuffer) add(r rune) {
	w.bytes = utf8.AppendRune(w.bytes, r)
	w.runes++
}

// decompose returns the canonical decomposition (NFD) of r, which text starts with. Marks are not reordered, since
// those that could change places are dropped.
func (w *wordBuffer) decompose(r rune, text string) []rune {
	w.parts = w.parts[:0]
	if r >= hangulFirst && r <= hangulLast { // composed by rule, not by table (The Unicode Standard, section 3.12)
		r -= hangulFirst
		w.parts = append(w.parts, 0x1100+r/(21*28), 0x1161+r/28%21)
		if r%28 > 0 {
			w.parts = append(w.parts, 0x11a7+r%28)
		}
		return w.parts
	}
	decomposition := norm.NFD.PropertiesString(text).Decomposition()
	if decomposition == nil {
		return append(w.parts, r)
	}
	for len(decomposition) > 0 {
		part, size := utf8.DecodeRune(decomposition)
		w.parts = append(w.parts, part)
		decomposition = decomposition[size:]
	}
	return w.parts
}

// newTokenizer reads a vocabulary, one token a line; a token's id is its line.
func newTokenizer(vocabulary string) (*tokenizer, error) {
	tokens := strings.Split(strings.TrimSuffix(vocabulary, "\n"), "\n")
	order := make([]int32, len(tokens))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return strings.Compare(tokens[a], tokens[b]) })
	keys := make([]string, len(order))
	for i, id := range order {
		keys[i] = tokens[id]
		if keys[i] == "" || i > 0 && keys[i] == keys[i-1] {
			return nil, fmt.Errorf("builtin: vocabulary: token %q on line %d is empty or there twice", keys[i], id+1)
		}
	}
	unknown := slices.Index(tokens, unknownToken)
	if unknown < 0 {
		return nil, fmt.Errorf("builtin: vocabulary: no token %q", unknownToken)
	}
	t := &tokenizer{pieces: newTrie(keys, order), unknown: uint32(unknown), size: len(tokens)}
	for i := range len(continuation) {
		next, ok := t.pieces.child(t.continued, continuation[i])
		if !ok {
			return nil, fmt.Errorf("builtin: vocabulary: no token starts with %q", continuation)
		}
		t.continued = next
	}
	return t, nil
}

// class is what a byte of ASCII does in a text.
type class uint8

const (
	letter class = iota // part of a word; digits too
	space
	punctuation
	other // a control character, or not ASCII
)

// classes and lower are tables by byte.
var (
	classes = func() (c [256]class) {
		for b := range c {
			switch {
			case b == ' ' || b == '\t' || b == '\n' || b == '\r':
				c[b] = space
			case b < ' ' || b >= 0x7f:
				c[b] = other
			case !(b >= '0' && b <= '9' || b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z'):
				c[b] = punctuation
			}
		}
		return c
	}()
	lower = func() (l [256]byte) {
		for b := range l {
			l[b] = byte(b)
			if b >= 'A' && b <= 'Z' {
				l[b] = byte(b) + 'a' - 'A'
			}
		}
		return l
	}()
)

// tokenize appends the ids of text's tokens to ids. ASCII is read in place; a word with anything else in it goes through
// unicodeWords together with what follows it up to the next ASCII white space.
func (t *tokenizer) tokenize(ids []uint32, text string, buffer *wordBuffer) []uint32 {
	var word [maxWord]byte
	for i := 0; i < len(text); {
		switch classes[text[i]] {
		case space:
			i++
			continue
		case punctuation:
			word[0] = text[i]
			ids = t.word(ids, word[:1])
			i++
			continue
		}
		start := i
		for i < len(text) && classes[text[i]] == letter {
			if n := i - start; n < maxWord {
				word[n] = lower[text[i]]
			}
			i++
		}
		if i < len(text) && classes[text[i]] == other {
			for i < len(text) && classes[text[i]] != space {
				i++
			}
			ids = t.unicodeWords(ids, text[start:i], buffer)
			continue
		}
		if i-start > maxWord {
			ids = append(ids, t.unknown)
		} else {
			ids = t.word(ids, word[:i-start])
		}
	}
	return ids
}

// unicodeWords does the same for any text, rune by rune.
func (t *tokenizer) unicodeWords(ids []uint32, text string, word *wordBuffer) []uint32 {
	flush := func() {
		if word.runes > maxWord {
			ids = append(ids, t.unknown)
		} else {
			ids = t.word(ids, word.bytes)
		}
		word.reset()
	}
	word.reset()
	for i, r := range text {
		switch {
		case r < utf8.RuneSelf && classes[r] == letter:
			word.add(rune(lower[r]))
		case r == '\t' || r == '\n' || r == '\r':
			flush()
		case r == utf8.RuneError || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co):
		case unicode.IsSpace(r):
			flush()
		case r < utf8.RuneSelf: // punctuation
			flush()
			word.add(r)
			flush()
		default:
			alone := isIdeograph(r)
			if alone {
				flush()
			}
			for _, part := range word.decompose(r, text[i:]) {
				switch {
				case unicode.Is(unicode.Mn, part):
				case isPunctuation(part):
					flush()
					word.add(part)
					flush()
				default:
					word.add(unicode.ToLower(part))
				}
			}
			if alone {
				flush()
			}
		}
	}
	flush()
	return ids
}

// word appends the pieces of one lower-case word.
func (t *tokenizer) word(ids []uint32, word []byte) []uint32 {
	begin := len(ids)
	node := int32(root)
	for len(word) > 0 {
		id, n := t.pieces.longest(node, word)
		if n == 0 {
			return append(ids[:begin], t.unknown)
		}
		ids = append(ids, uint32(id))
		word = word[n:]
		node = t.continued
	}
	return ids
}

func isPunctuation(r rune) bool {
	if r < utf8.RuneSelf {
		return classes[r] == punctuation
	}
	return unicode.IsPunct(r)
}

// isIdeograph reports whether r stands alone as a word. The ranges are those that BERT's tokenizer has.
func isIdeograph(r rune) bool {
	return r >= 0x4e00 && r <= 0x9fff || r >= 0x3400 && r <= 0x4dbf || r >= 0x20000 && r <= 0x2a6df ||
		r >= 0x2a700 && r <= 0x2b73f || r >= 0x2b740 && r <= 0x2b81f || r >= 0x2b920 && r <= 0x2ceaf ||
		r >= 0xf900 && r <= 0xfaff || r >= 0x2f800 && r <= 0x2fa1f
}
