package redact

import (
	"strings"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// class sorts bytes by what can begin or reveal a match.
type class uint8

const (
	other  class = iota
	letter       // these three, in this order, make words
	digit
	underscore
	at
	plus
	paren
	colon
	equals
	hyphen
)

var classes = func() (t [256]class) {
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = letter, letter
	}
	for c := '0'; c <= '9'; c++ {
		t[c] = digit
	}
	t['_'], t['@'], t['+'], t['('], t[':'], t['='], t['-'] = underscore, at, plus, paren, colon, equals, hyphen
	return t
}()

func isLetter(c byte) bool { return classes[c] == letter }
func isDigit(c byte) bool  { return classes[c] == digit }
func isAlnum(c byte) bool  { return classes[c]-letter <= digit-letter }
func isWord(c byte) bool   { return classes[c]-letter <= underscore-letter }

// scanner walks a text once. At each byte that can begin or reveal something, the matching scanners look around.
type scanner struct {
	on    enabled
	text  string
	found []engine.Sensitive
}

// scan returns what it finds in order and without overlaps.
func (s *scanner) scan(text string) []engine.Sensitive {
	s.text, s.found = text, nil
	for i := 0; i < len(text); {
		switch classes[text[i]] {
		case letter:
			i = s.word(i)
		case digit:
			i = s.number(i)
		case at:
			if s.on.email {
				s.email(i)
			}
			i++
		case plus, paren:
			if s.on.phone && i+1 < len(text) && (isDigit(text[i+1]) || text[i+1] == '(') {
				s.phone(i)
			}
			i++
		case colon:
			if s.on.ip && i+1 < len(text) && text[i+1] == ':' && !s.wordBefore(i) {
				s.ipv6(i)
			}
			if s.on.key {
				s.assignment(i)
			}
			i++
		case equals:
			if s.on.key {
				s.assignment(i)
			}
			i++
		case hyphen:
			if s.on.key && strings.HasPrefix(text[i:], pemBegin) {
				i = s.pem(i)
			} else {
				i++
			}
		default:
			i++
		}
	}
	return resolve(s.found)
}

func (s *scanner) add(kind engine.SensitiveKind, start, end int) {
	s.found = append(s.found, engine.Sensitive{Kind: kind, Start: start, End: end})
}

func (s *scanner) wordBefore(i int) bool { return i > 0 && isWord(s.text[i-1]) }

// word handles a run of letters, digits and underscores that starts with a letter, and returns its end.
func (s *scanner) word(i int) int {
	end := i + 1
	for end < len(s.text) && isWord(s.text[end]) {
		end++
	}
	if i > 0 && s.text[i-1] == '_' {
		return end
	}
	if s.on.key {
		s.token(i, end)
	}
	if s.on.iban {
		s.iban(i)
	}
	if s.on.ip && end < len(s.text) && s.text[end] == ':' && end-i <= 4 {
		s.ipv6(i)
	}
	return end
}

// number handles a digit that starts a number, and returns where the run of digits ends.
func (s *scanner) number(i int) int {
	end := i + 1
	for end < len(s.text) && isDigit(s.text[end]) {
		end++
	}
	if s.wordBefore(i) {
		return end
	}
	if s.on.ip {
		switch {
		case end < len(s.text) && s.text[end] == '.' && end-i <= 3:
			s.ipv4(i)
		case end < len(s.text) && (s.text[end] == ':' || isLetter(s.text[end])) && end-i <= 4:
			s.ipv6(i)
		}
	}
	if end-i > 19 {
		return end
	}
	if s.on.card && (end-i == 4 || end-i >= 13) {
		s.card(i)
	}
	if s.on.phone {
		s.phone(i)
	}
	// Letters may follow, as in 0x1f; they are no word of their own.
	for end < len(s.text) && isWord(s.text[end]) {
		end++
	}
	return end
}

// context returns up to 24 bytes before i in lower case, which is where people say what a number is.
func (s *scanner) context(i int) string { return strings.ToLower(s.text[max(0, i-24):i]) }

// lastWord returns the last word of a context, without the punctuation behind it.
func lastWord(context string) string {
	context = strings.TrimRight(context, " \t:#=.-\"'(")
	start := len(context)
	for start > 0 && isLetter(context[start-1]) {
		start--
	}
	return context[start:]
}

func (s *scanner) email(i int) {
	t := s.text
	start := i
	for start > 0 && isLocal(t[start-1]) {
		start--
	}
	for start < i && (t[start] == '.' || t[start] == '-' || t[start] == '\'') {
		start++
	}
	if start == i || t[i-1] == '.' {
		return
	}
	if n := len(s.found); n > 0 && s.found[n-1].Kind == engine.SensitiveKey && s.found[n-1].End == i {
		return // user:password@host
	}
	end, label, dots := i+1, i+1, 0
	for end < len(t) {
		if c := t[end]; c == '.' {
			if end == label || end+1 >= len(t) || !isAlnum(t[end+1]) {
				break
			}
			dots++
			label = end + 1
		} else if !isAlnum(c) && c != '-' {
			break
		}
		end++
	}
	for end > label && t[end-1] == '-' {
		end--
	}
	if dots == 0 || end-label < 2 {
		return
	}
	for _, c := range []byte(t[label:end]) {
		if !isLetter(c) && !strings.HasPrefix(t[label:end], "xn--") {
			return
		}
	}
	s.add(engine.SensitiveEmail, start, end)
}

func isLocal(c byte) bool {
	return isAlnum(c) || c == '.' || c == '_' || c == '%' || c == '+' || c == '-' || c == '\''
}
