package redact

import (
	"strings"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// keyPrefix is how the keys of a provider begin, and how many characters follow at least.
type keyPrefix struct {
	prefix string
	follow int
	strict bool // upper-case letters and digits only, as long as said and no longer
}

// keyPrefixes are sorted by their first letter in lower case; the entry for z makes room for every letter. Matching respects
// case.
var keyPrefixes = [...][]keyPrefix{
	'a': {{"AKIA", 16, true}, {"ASIA", 16, true}, {"AIza", 30, false}},
	'd': {{"dop_v1_", 32, false}, {"dckr_pat_", 20, false}},
	'e': {{"eyJ", 20, false}},
	'g': {{"ghp_", 20, false}, {"gho_", 20, false}, {"ghu_", 20, false}, {"ghs_", 20, false}, {"ghr_", 20, false}, {"github_pat_", 20, false}, {"glpat-", 16, false}, {"gsk_", 20, false}},
	'h': {{"hf_", 20, false}},
	'n': {{"npm_", 30, false}},
	'p': {{"pk_live_", 16, false}, {"pypi-", 40, false}, {"pplx-", 30, false}},
	'r': {{"rk_live_", 16, false}, {"rk_test_", 16, false}, {"r8_", 30, false}},
	's': {{"sk-", 16, false}, {"sk_live_", 16, false}, {"sk_test_", 16, false}, {"SG.", 40, false}, {"shpat_", 20, false}},
	'w': {{"whsec_", 16, false}},
	'x': {{"xoxb-", 10, false}, {"xoxp-", 10, false}, {"xoxa-", 10, false}, {"xoxr-", 10, false}, {"xoxs-", 10, false}, {"xapp-", 10, false}, {"xai-", 30, false}},
	'y': {{"ya29.", 20, false}},
	'z': nil,
}

// token matches a key by its prefix in the word at i. It also knows "Bearer".
func (s *scanner) token(i, wordEnd int) {
	lower := s.text[i] | 0x20
	if lower == 'b' && wordEnd-i == len("bearer") && strings.EqualFold(s.text[i:wordEnd], "bearer") {
		s.bearer(wordEnd)
		return
	}
	for _, p := range keyPrefixes[lower] {
		if !strings.HasPrefix(s.text[i:], p.prefix) {
			continue
		}
		end := i + len(p.prefix)
		dots := strings.HasSuffix(p.prefix, ".") || p.prefix == "eyJ"
		for end < len(s.text) && (isWord(s.text[end]) || s.text[end] == '-' && !p.strict || dots && s.text[end] == '.') {
			end++
		}
		for s.text[end-1] == '-' || s.text[end-1] == '.' {
			end--
		}
		body := s.text[i+len(p.prefix) : max(end, i+len(p.prefix))]
		switch {
		case len(body) < p.follow:
		case p.strict && (len(body) != p.follow || body != strings.ToUpper(body)):
		case p.prefix == "eyJ" && strings.Count(body, ".") < 1:
		case !strings.ContainsAny(body, "0123456789") && p.prefix != "eyJ":
		default:
			s.add(engine.SensitiveKey, i, end)
		}
		return
	}
}

// bearer matches the token behind the word "Bearer", which ends at i.
func (s *scanner) bearer(i int) {
	start := i
	for start < len(s.text) && s.text[start] == ' ' && start-i < 4 {
		start++
	}
	end := start
	for end < len(s.text) && (isWord(s.text[end]) || strings.IndexByte("-.~+/=", s.text[end]) >= 0) {
		end++
	}
	for end > start && s.text[end-1] == '.' {
		end--
	}
	if start > i && end-start >= 16 && strings.ContainsAny(s.text[start:end], "0123456789") {
		s.add(engine.SensitiveKey, start, end)
	}
}

const (
	pemBegin = "-----BEGIN "
	pemEnd   = "-----END "
)

// pem matches a private key in PEM at i, up to its end or that of the text, and returns where to go on.
func (s *scanner) pem(i int) int {
	const longestLabel = 64
	head := i + len(pemBegin)
	label, _, ok := strings.Cut(s.text[head:min(len(s.text), head+longestLabel)], "-----")
	if !ok || !strings.HasSuffix(label, "PRIVATE KEY") || strings.Trim(label, "ABCDEFGHIJKLMNOPQRSTUVWXYZ ") != "" {
		return head
	}
	end := len(s.text)
	if at := strings.Index(s.text[head:], pemEnd+label+"-----"); at >= 0 {
		end = head + at + len(pemEnd) + len(label) + 5
	}
	s.add(engine.SensitiveKey, i, end)
	return end
}

// assignment looks at a colon or equals sign at i: a value given to a name of secrets, or user and password in a URL.
func (s *scanner) assignment(i int) {
	t := s.text
	if strings.HasPrefix(t[i:], "://") {
		s.userinfo(i + 3)
		return
	}
	strength := secretName(t[max(0, i-40):i])
	if strength == notSecret {
		return
	}
	start := i + 1
	for start < len(t) && start-i <= 4 && strings.IndexByte(" =>\"'`\\", t[start]) >= 0 {
		start++
	}
	end := start
	for end < len(t) && end-start <= 512 && isValue(t[end]) {
		end++
	}
	for end > start && strings.IndexByte(".:?!", t[end-1]) >= 0 {
		end--
	}
	if isSecret(t[start:end], strength) {
		s.add(engine.SensitiveKey, start, end)
	}
}

// userinfo matches user:password before the @ of a URL's authority, which starts at i.
func (s *scanner) userinfo(i int) {
	t := s.text
	colon := -1
	for end := i; end < len(t) && end-i <= 256; end++ {
		switch c := t[end]; {
		case c == ':' && colon < 0:
			colon = end
		case c == '@':
			if colon >= 0 && end > colon+1 {
				s.add(engine.SensitiveKey, i, end)
			}
			return
		case c == '/' || c <= ' ' || c == '[' || c == ']' || c == '"' || c == '<' || c == '>':
			return
		}
	}
}

// isValue reports whether c can stand in an assigned secret. Brackets cannot, or a placeholder would be found again.
func isValue(c byte) bool {
	return c > ' ' && c < 0x7f && strings.IndexByte("\"'`,;()[]{}<>|&\\", c) < 0
}

type nameStrength int

const (
	notSecret nameStrength = iota
	maybeSecret
	surelySecret
)

// secretName judges the name that ends a text, as in "api_key" or "aws_secret_access_key\"".
func secretName(before string) nameStrength {
	end := len(before)
	for end > 0 && strings.IndexByte(" \"'`\\", before[end-1]) >= 0 && len(before)-end < 4 {
		end--
	}
	start := end
	for start > 0 && (isWord(before[start-1]) || before[start-1] == '-') {
		start--
	}
	if end-start < 3 {
		return notSecret
	}
	var buf [40]byte
	n := 0
	for _, c := range []byte(before[start:end]) {
		if c != '_' && c != '-' {
			buf[n] = c
			if isLetter(c) {
				buf[n] |= 0x20
			}
			n++
		}
	}
	name := buf[:n]
	for _, suffix := range [...]string{"password", "passwd", "pwd", "passphrase", "passwort"} {
		if hasSuffix(name, suffix) {
			return surelySecret
		}
	}
	for _, suffix := range [...]string{"apikey", "secret", "secretkey", "accesskey", "privatekey", "token", "authkey", "credential", "credentials", "signature", "accountkey"} {
		if hasSuffix(name, suffix) {
			return maybeSecret
		}
	}
	return notSecret
}

func hasSuffix(name []byte, suffix string) bool {
	return len(name) >= len(suffix) && string(name[len(name)-len(suffix):]) == suffix
}

// isSecret judges an assigned value: a password is short but no plain word or number, a key is long and mixes letters and digits.
func isSecret(v string, strength nameStrength) bool {
	letters, nums, marks := 0, 0, 0
	for _, c := range []byte(v) {
		switch {
		case isLetter(c):
			letters++
		case isDigit(c):
			nums++
		default:
			marks++
		}
	}
	if strength == surelySecret {
		return len(v) >= 6 && (letters > 0 && nums+marks > 0 || nums >= 6) && v[0] != '$' && v[0] != '%' // those name a variable
	}
	return len(v) >= 16 && nums >= 2 && letters >= 2 && distinct(v) >= 8
}

// distinct counts the different bytes of v.
func distinct(v string) (n int) {
	var seen [256]bool
	for i := range len(v) {
		if !seen[v[i]] {
			seen[v[i]] = true
			n++
		}
	}
	return n
}
