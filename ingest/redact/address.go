package redact

import (
	"net/netip"
	"strings"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// ipv4 matches four numbers up to 255 at i, other than network masks. Versions of four parts look the same; only the word before
// tells them apart.
func (s *scanner) ipv4(i int) {
	t := s.text
	if i > 0 && (t[i-1] == '.' || t[i-1] == '-' && i > 1 && isLetter(t[i-2])) {
		return
	}
	end := i
	for part := range 4 {
		if part > 0 {
			if end >= len(t) || t[end] != '.' {
				return
			}
			end++
		}
		n, from := 0, end
		for end < len(t) && isDigit(t[end]) && end-from < 4 {
			n = n*10 + int(t[end]-'0')
			end++
		}
		if size := end - from; size == 0 || n > 255 || size > 1 && t[from] == '0' {
			return
		}
	}
	if end < len(t) {
		next := end+1 < len(t) && isAlnum(t[end+1])
		if isWord(t[end]) || t[end] == '.' && next || t[end] == '-' && next && isLetter(t[end+1]) {
			return
		}
	}
	if strings.HasPrefix(t[i:], "255.") {
		return
	}
	switch lastWord(s.context(i)) {
	case "version", "versions", "ver", "v", "release", "build", "section", "chapter":
		return
	}
	s.add(engine.SensitiveIP, i, end)
}

// ipv6 matches at i. At least one decimal digit is asked for, so that names such as Bad::Cafe stay.
func (s *scanner) ipv6(i int) {
	const longest = len("0000:0000:0000:0000:0000:ffff:255.255.255.255")
	t := s.text
	end, colons, digits := i, 0, 0
	for end < len(t) && end-i <= longest {
		c := t[end]
		switch {
		case c == ':':
			colons++
		case isDigit(c):
			digits++
		case c == '.' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F':
		default:
			goto done
		}
		end++
	}
done:
	// A sentence may end right behind the address.
	for end > i && (t[end-1] == '.' || t[end-1] == ':' && (end < i+2 || t[end-2] != ':')) {
		end--
	}
	if colons < 2 || digits == 0 || end-i > longest || end < len(t) && isWord(t[end]) {
		return
	}
	if i > 0 && t[i-1] == ':' {
		return
	}
	// Weights, ranges and labels are written as ::2; of the addresses of that form only the loopback is common.
	if colons == 2 && t[i] == ':' && digits == end-i-2 && t[i:end] != "::1" {
		return
	}
	if a, err := netip.ParseAddr(t[i:end]); err == nil && a.Is6() {
		s.add(engine.SensitiveIP, i, end)
	}
}
