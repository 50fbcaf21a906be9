package redact

import (
	"strings"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// digits is a sequence of groups of digits with separators between them, as cards and phone numbers are written.
type digits struct {
	groups [maxGroups]group
	n      int
	plus   bool // a + stands before it
}

type group struct {
	start, end int
	sep        byte // before the group: 0 for none, or a space, hyphen, dot, slash or parenthesis
}

const (
	maxGroups = 8
	maxGroup  = 20 // digits
)

func (g group) size() int { return g.end - g.start }

// readDigits reads the groups that start at i, which is a digit, a plus or an opening parenthesis. Between groups it allows one
// separator, or a closing parenthesis with a space or hyphen.
func (s *scanner) readDigits(i int) (d digits) {
	t := s.text
	if t[i] == '+' {
		d.plus = true
		i++
	}
	sep := byte(0)
	for d.n < maxGroups {
		if i < len(t) && t[i] == '(' {
			sep = '('
			i++
		}
		start := i
		for i < len(t) && isDigit(t[i]) && i-start <= maxGroup {
			i++
		}
		if i == start || i-start > maxGroup {
			break
		}
		d.groups[d.n] = group{start, i, sep}
		d.n++
		if i >= len(t) {
			break
		}
		switch sep = t[i]; sep {
		case ' ', '-', '.', '/':
			i++
		case ')':
			i++
			if i < len(t) && (t[i] == ' ' || t[i] == '-') {
				i++
			}
		default:
			return d
		}
	}
	return d
}

// endsAt reports whether a number may end behind the first k groups: nothing that belongs to it follows.
func (s *scanner) endsAt(d *digits, k int) bool {
	end := d.groups[k-1].end
	if end >= len(s.text) {
		return true
	}
	c := s.text[end]
	if isWord(c) {
		return false
	}
	if c == '-' || c == '.' || c == '/' || c == ',' || c == ':' {
		return end+1 >= len(s.text) || !isAlnum(s.text[end+1])
	}
	return true
}

// attached reports whether what stands before i makes the number a part of something longer, such as 12-345 or v1.2.
func (s *scanner) attached(i int) bool {
	if i == 0 {
		return false
	}
	switch c := s.text[i-1]; c {
	case '-', '.', '/', ',', ':':
		return i > 1 && isDigit(s.text[i-2]) || c != ':' && i > 1 && isAlnum(s.text[i-2])
	case '+', '#', '$', '@', '%', '&':
		return true
	default:
		return isWord(c)
	}
}

// card matches a payment card number at i.
func (s *scanner) card(i int) {
	if i > 0 && s.text[i-1] == '.' {
		return
	}
	d := s.readDigits(i)
	total := 0
	match := 0
	for k := 1; k <= d.n; k++ {
		g := d.groups[k-1]
		if g.sep != 0 && g.sep != ' ' && g.sep != '-' || k > 2 && g.sep != d.groups[1].sep {
			break
		}
		if total += g.size(); total > 19 {
			break
		}
		if k > 1 && (d.groups[0].size() != 4 || g.size() < 3 || g.size() > 7) {
			break
		}
		if total >= 13 && s.cardEnds(g.end) && isCard(s.text[i:g.end], total) {
			match = g.end
		}
	}
	if match > 0 {
		s.add(engine.SensitiveCard, i, match)
	}
}

func (s *scanner) cardEnds(end int) bool {
	if end >= len(s.text) {
		return true
	}
	c := s.text[end]
	return !isWord(c) && (c != '.' && c != '-' || end+1 >= len(s.text) || !isDigit(s.text[end+1]))
}

// isCard checks the issuer's first digits, the length and the check digit (Luhn, ISO/IEC 7812-1).
func isCard(s string, total int) bool {
	var num [19]byte
	n := 0
	for i := range len(s) {
		if isDigit(s[i]) {
			num[n] = s[i] - '0'
			n++
		}
	}
	two := int(num[0])*10 + int(num[1])
	switch {
	case num[0] == 4: // Visa
		if total != 13 && total != 16 && total != 19 {
			return false
		}
	case two >= 51 && two <= 55, two >= 22 && two <= 27: // Mastercard
		if total != 16 {
			return false
		}
	case two == 34 || two == 37: // American Express
		if total != 15 {
			return false
		}
	case two == 30 || two == 36 || two == 38 || two == 39: // Diners Club
		if total != 14 && total != 16 {
			return false
		}
	case two == 35: // JCB
		if total != 16 {
			return false
		}
	case two == 50 || two >= 56 && two <= 69: // Maestro, Discover, UnionPay
		if total < 16 && two != 50 {
			return false
		}
	default:
		return false
	}
	sum := 0
	for i := range n {
		v := int(num[n-1-i])
		if i%2 == 1 {
			if v *= 2; v > 9 {
				v -= 9
			}
		}
		sum += v
	}
	return sum%10 == 0
}

// phone matches a telephone number at i: the longest run of groups that one of the forms allows.
func (s *scanner) phone(i int) {
	if s.attached(i) {
		return
	}
	d := s.readDigits(i)
	if totalDigits(d.groups[:d.n]) < 7 {
		return
	}
	match, sure := 0, d.plus
	for k := d.n; k > 0; k-- {
		if s.endsAt(&d, k) && isPhone(d.groups[:k], d.plus, s.text) {
			match = d.groups[k-1].end
			break
		}
	}
	if match == 0 && !d.plus && s.namedPhone(i) {
		for k := min(d.n, 5); k > 0; k-- {
			if total := totalDigits(d.groups[:k]); s.endsAt(&d, k) && total >= 7 && total <= 12 {
				match, sure = d.groups[k-1].end, true
				break
			}
		}
	}
	if match == 0 || !sure && s.namedOtherwise(i) {
		return
	}
	s.add(engine.SensitivePhone, i, match)
}

func totalDigits(groups []group) (total int) {
	for _, g := range groups {
		total += g.size()
	}
	return total
}

// isPhone checks the forms that are a phone number without a word saying so.
func isPhone(g []group, plus bool, t string) bool {
	total := totalDigits(g)
	first := g[0].size()
	lead := t[g[0].start]
	switch {
	case plus: // E.164, with or without groups
		for k, x := range g[1:] {
			// A single digit is a trunk prefix, (0), or an area as in +33 6.
			if x.size() == 1 && x.sep != '(' && (k > 0 || x.sep == '.' || x.sep == '/') {
				return false
			}
		}
		return lead != '0' && total >= 9 && total <= 15 && (len(g) == 1 || first <= 4)
	case lead == '0' && first >= 4 && t[g[0].start+1] == '0': // 0049 151 1234567
		return len(g) > 1 && first <= 5 && total >= 11 && total <= 17
	case lead == '1' && first == 1: // 1-800-555-0199
		return len(g) == 4 && g[1].sep != '.' && g[1].sep != '/' && isNANP(g[1:], t)
	case len(g) == 3 && isNANP(g, t):
		return true
	case lead == '0':
		return isNational(g, t)
	}
	return false
}

// isNANP checks area code, exchange and number of the North American plan. Three groups with spaces alone could be any numbers.
func isNANP(g []group, t string) bool {
	if g[0].size() != 3 || g[1].size() != 3 || g[2].size() != 4 || t[g[0].start] < '2' || t[g[1].start] < '2' {
		return false
	}
	if g[0].sep == '(' {
		return g[1].sep == ')' && g[2].sep != '/'
	}
	return g[2].sep == '-' && g[1].sep != '/' || g[1].sep == '.' && g[2].sep == '.'
}

// isNational checks numbers with the trunk prefix 0: 020 7946 0958, 0151-12345678, 030/1234567, 02 9999 9999, 06 12 34 56 78.
func isNational(g []group, t string) bool {
	total := totalDigits(g)
	if len(g) == 2 && g[0].size() == 5 && g[1].size() == 4 {
		return false // a ZIP code
	}
	if len(g) < 2 || len(g) > 5 || total < 9 || total > 12 || t[g[0].start+1] == '0' {
		return false
	}
	pairs := true
	for i, x := range g {
		if x.size() < 2 || i > 0 && x.sep == '.' && g[1].sep != '.' {
			return false
		}
		pairs = pairs && x.size() == 2
	}
	switch g[0].size() {
	case 2:
		if pairs {
			return len(g) == 5
		}
		for _, x := range g[1:] {
			if x.size() < 4 {
				return false
			}
		}
		return true
	case 3, 4, 5:
		for _, x := range g[1:] {
			if x.size() < 3 {
				return false
			}
		}
		return g[1].sep != '.'
	}
	return false
}

// namedPhone reports whether the words before i say that a phone number follows.
func (s *scanner) namedPhone(i int) bool {
	context := s.context(i)
	for _, w := range [...]string{"phone", "tel:", "tel.", "telephone", "mobile", "call me", "call us", "whatsapp", "fax", "cell:", "cell ", "sms", "handy"} {
		if at := strings.LastIndex(context, w); at >= 0 && !strings.ContainsAny(context[at+len(w):], ",;0123456789\n") {
			return true
		}
	}
	return false
}

// namedOtherwise reports whether the word before i says that the number is something else.
func (s *scanner) namedOtherwise(i int) bool {
	switch lastWord(s.context(i)) {
	case "order", "invoice", "ref", "reference", "id", "ticket", "isbn", "version", "no", "nr", "number", "serial", "sku", "part", "article", "tracking", "case":
		return !s.namedPhone(i)
	}
	return false
}
