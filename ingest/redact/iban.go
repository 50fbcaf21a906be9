package redact

import "github.com/llm-sentinel/llm-sentinel/engine"

// ibanLengths are the lengths of the IBAN registry, by country.
var ibanLengths = map[string]int{
	"AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29, "BY": 28,
	"CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
	"FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
	"IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20,
	"LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18,
	"NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31,
	"SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29,
	"VA": 22, "VG": 24, "XK": 20,
}

// iban matches at i: country, two check digits, then as many letters and digits as the country has, with single spaces or
// hyphens between them.
func (s *scanner) iban(i int) {
	t := s.text
	if len(t)-i < 15 || !isLetter(t[i+1]) || !isDigit(t[i+2]) || !isDigit(t[i+3]) {
		return
	}
	want := ibanLengths[string([]byte{t[i] &^ 0x20, t[i+1] &^ 0x20})]
	if want == 0 {
		return
	}
	var code [34]byte
	n, end := 0, i
	for end < len(t) && n < want {
		switch c := t[end]; {
		case isDigit(c):
			code[n] = c
			n++
		case isLetter(c):
			code[n] = c &^ 0x20
			n++
		case (c == ' ' || c == '-') && end+1 < len(t) && isAlnum(t[end+1]) && n >= 4:
		default:
			return
		}
		end++
	}
	if n < want || end < len(t) && isWord(t[end]) || !mod97(code[:n]) {
		return
	}
	s.add(engine.SensitiveIBAN, i, end)
}

// mod97 checks an IBAN as ISO 13616 says: the first four characters go to the end, letters count from 10.
func mod97(code []byte) bool {
	rest := 0
	for k := range code {
		c := code[(k+4)%len(code)]
		if isDigit(c) {
			rest = (rest*10 + int(c-'0')) % 97
		} else {
			rest = (rest*100 + int(c-'A') + 10) % 97
		}
	}
	return rest == 1
}
