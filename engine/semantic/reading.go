package semantic

import (
	"encoding/base64"
	"encoding/hex"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Bounds of what is read of one text: longer ones are read from both ends.
const (
	maxReadBytes  = 32 << 10 // of a text
	maxDecoded    = 8 << 10  // of what is hidden in it, each reading
	maxBlobs      = 8        // encoded pieces that are looked at
	minBlob       = 16       // shortest encoded piece, in characters
	minLetterRuns = 6        // letters set apart that make a word
)

// reading is a text as a model would understand it.
type reading struct {
	text string
	how  string // the encoding that it was hidden by, "" for the text as it stands
}

// readings are the text in plain letters, and what is hidden in it: by base64, hexadecimal digits, rot13, digits for letters, letters set
// apart or the reverse order. What does not decode to words is not returned.
func readings(text string) []reading {
	if len(text) > maxReadBytes {
		half := maxReadBytes / 2
		text = strings.ToValidUTF8(text[:half], "") + "\n" + strings.ToValidUTF8(text[len(text)-half:], "")
	}
	text = plain(text)
	out := []reading{{text: text}}
	add := func(how, hidden string) {
		if len(hidden) > maxDecoded {
			hidden = strings.ToValidUTF8(hidden[:maxDecoded], "")
		}
		if hidden != "" && hidden != text {
			out = append(out, reading{hidden, how})
		}
	}
	add("base64", decodeBlobs(text, base64Blob, decodeBase64))
	add("hex", decodeBlobs(text, hexBlob, decodeHex))
	add("leetspeak", unleet(text))
	add("spaced letters", joinLetters(text))
	if common := commonShare(text); common < fewCommon {
		for _, c := range []struct {
			how    string
			decode func(string) string
		}{{"rot13", rot13}, {"reversed", reverse}} {
			if hidden := c.decode(text); commonShare(hidden) >= max(manyCommon, 2*common) {
				add(c.how, hidden)
			}
		}
	}
	return out
}

// plain removes what cannot be seen and folds letters that look like Latin ones: compatibility forms (NFKC), Unicode tags, and Cyrillic
// and Greek letters in a text that is mostly Latin.
func plain(text string) string {
	ascii := true
	for i := 0; i < len(text); i++ {
		if text[i] >= utf8.RuneSelf || text[i] < ' ' && text[i] != '\n' && text[i] != '\t' {
			ascii = false
			break
		}
	}
	if ascii {
		return text
	}
	latin, foreign := 0, 0
	visible := strings.Map(func(r rune) rune {
		switch {
		case r >= 0xE0020 && r <= 0xE007E: // tags mirror ASCII
			return r - 0xE0000
		case r == '\n' || r == '\t':
			return r
		case unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Variation_Selector, r):
			return -1
		}
		return r
	}, norm.NFKC.String(text))
	for _, r := range visible {
		if unicode.IsLetter(r) {
			if r < unicode.MaxLatin1 {
				latin++
			} else {
				foreign++
			}
		}
	}
	if foreign == 0 || foreign > latin {
		return visible
	}
	return strings.Map(func(r rune) rune {
		if twin, ok := lookalikes[r]; ok {
			return twin
		}
		return r
	}, visible)
}

// lookalikes are letters that are drawn as Latin ones (after the confusables of Unicode Technical Standard 39).
var lookalikes = func() map[rune]rune {
	out := make(map[rune]rune)
	from, to := []rune("аеорсухіѕјԁһӏԛԝАВЕКМНОРСТУХІЅЈαοιντρυκΑΒΕΖΗΙΚΜΝΟΡΤΥΧ"), []rune("aeopcyxisjdhlqwABEKMHOPCTYXISJaoivtpukABEZHIKMNOPTYX")
	for i, r := range from {
		out[r] = to[i]
	}
	return out
}()

var (
	base64Blob = regexp.MustCompile(`[A-Za-z0-9+/_-]{16,}={0,2}`)
	hexBlob    = regexp.MustCompile(`(?:(?:0x|\\x)?[0-9a-fA-F]{2}[ ,:]?){8,}`)
)

// decodeBlobs joins what the encoded pieces of a text hold.
func decodeBlobs(text string, blob *regexp.Regexp, decode func(string) []byte) string {
	if len(text) < minBlob {
		return ""
	}
	var out []string
	for _, piece := range blob.FindAllString(text, maxBlobs) {
		if b := decode(piece); readable(b) {
			out = append(out, string(b))
		}
	}
	return strings.Join(out, "\n")
}

func decodeBase64(s string) []byte {
	s = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(s, "="))
	b, err := base64.RawStdEncoding.DecodeString(s[:len(s)-btoi(len(s)%4 == 1)])
	if err != nil {
		return nil
	}
	return b
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func decodeHex(s string) []byte {
	b, err := hex.DecodeString(strings.NewReplacer("0x", "", `\x`, "", " ", "", ",", "", ":", "").Replace(s))
	if err != nil {
		return nil
	}
	return b
}

// readable reports whether bytes are words rather than chance.
func readable(b []byte) bool {
	if len(b) < 8 || !utf8.Valid(b) {
		return false
	}
	letters, spaces, all := 0, 0, 0
	for _, r := range string(b) {
		all++
		switch {
		case unicode.IsLetter(r):
			letters++
		case r == ' ':
			spaces++
		case unicode.IsControl(r) && !unicode.IsSpace(r):
			return false
		}
	}
	return spaces > 0 && 10*(letters+spaces) >= 8*all
}

// commonWords are the words that an English text is full of; with fewer than fewCommon of them a text may be one in cipher, and with
// manyCommon it is no cipher any more.
var commonWords = func() map[string]bool {
	out := make(map[string]bool)
	for _, w := range strings.Fields("the a an and or but of to in on at for from with by as is are was were be been it its this that these " +
		"those you your i me my we our he she they them his her not no do does did have has had will would can could should may all any if " +
		"then so than what which who how when where there here about into out up now only just more most other some such") {
		out[w] = true
	}
	return out
}()

const (
	fewCommon  = 0.1
	manyCommon = 0.25
)

func commonShare(text string) float64 {
	words, common := 0, 0
	for w := range strings.FieldsSeq(text) {
		words++
		if commonWords[strings.ToLower(strings.Trim(w, ".,;:!?\"'()"))] {
			common++
		}
	}
	if words < 4 {
		return 0
	}
	return float64(common) / float64(words)
}

func rot13(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return 'a' + (r-'a'+13)%26
		case r >= 'A' && r <= 'Z':
			return 'A' + (r-'A'+13)%26
		}
		return r
	}, text)
}

func reverse(text string) string {
	runes := []rune(text)
	for i, j := 0, len(runes)-1; i < j; i, j = i+1, j-1 {
		runes[i], runes[j] = runes[j], runes[i]
	}
	return string(runes)
}

var leet = strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!", "i")

// unleet reads digits and signs inside of words as letters; "" when too few words have any.
func unleet(text string) string {
	words := strings.Fields(text)
	changed := 0
	for i, w := range words {
		letters, signs := 0, 0
		for _, r := range strings.TrimRight(w, "!") {
			switch {
			case unicode.IsLetter(r):
				letters++
			case strings.ContainsRune("013457@$!", r):
				signs++
			default:
				letters = -len(w)
			}
		}
		if letters >= 1 && signs >= 1 && signs <= 2*letters {
			words[i] = leet.Replace(w)
			changed++
		}
	}
	if changed < 3 || 5*changed < len(words) {
		return ""
	}
	return strings.Join(words, " ")
}

// joinLetters reads letters that are set apart ("i g n o r e", "i-g-n-o-r-e") as words; "" when there are none. Two spaces or a change of
// the sign between letters end a word.
func joinLetters(text string) string {
	runes := []rune(text)
	var out strings.Builder
	found := false
	for i := 0; i < len(runes); {
		end := i
		alone := i == 0 || !unicode.IsLetter(runes[i-1])
		if alone && unicode.IsLetter(runes[i]) {
			for end+2 < len(runes) && strings.ContainsRune(" .-_*", runes[end+1]) && unicode.IsLetter(runes[end+2]) && runes[end+1] == runes[i+1] &&
				(end+3 >= len(runes) || !unicode.IsLetter(runes[end+3])) {
				end += 2
			}
		}
		if letters := (end-i)/2 + 1; letters >= minLetterRuns || found && letters >= 2 {
			for k := i; k <= end; k += 2 {
				out.WriteRune(runes[k])
			}
			out.WriteByte(' ')
			found = true
			i = end + 1
			continue
		}
		out.WriteRune(runes[i])
		i++
	}
	if !found {
		return ""
	}
	return strings.Join(strings.Fields(out.String()), " ")
}
