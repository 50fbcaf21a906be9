package response

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// switches reports whether an answer is in another language than the latest question. It is known where both are long enough to tell.
func switches(s *engine.Span, text string) (did, known bool) {
	question := ""
	for _, m := range s.Input {
		if m.Role == "user" {
			if said := m.Text(); said != "" {
				question = said
			}
		}
	}
	asked := language(question[:min(len(question), languageWithin)])
	answered := language(text[:min(len(text), languageWithin)])
	if asked == "" || answered == "" {
		return false, false
	}
	return asked != answered, true
}

const (
	languageWithin  = 4 << 10 // bytes that are looked at
	languageLetters = 20      // least letters that tell a script
	languageWords   = 4       // least function words that tell a language of the Latin script
)

// scripts that stand for one language each, or for those that are seldom confused with others.
var scripts = []struct {
	name  string
	table *unicode.RangeTable
}{
	{"ja", unicode.Hiragana}, {"ja", unicode.Katakana}, {"zh", unicode.Han}, {"ko", unicode.Hangul}, {"cyrillic", unicode.Cyrillic}, {"arabic", unicode.Arabic},
	{"he", unicode.Hebrew}, {"el", unicode.Greek}, {"th", unicode.Thai}, {"devanagari", unicode.Devanagari}, {"latin", unicode.Latin},
}

// functionWords of languages in the Latin script, the most frequent that they do not share.
var functionWords = languagesOf(map[string]string{
	"en": "the and of to is that it for with are this you be have not from your can which will",
	"de": "der die das und ist nicht ein eine mit für auf sie ich auch sich dem den wird sind oder",
	"fr": "le les des et est une dans pour que qui sur pas vous avec ce sont par nous votre plus",
	"es": "el los las y es una para que por con del se su como más pero este son usted puede",
	"it": "il gli di è una per che con del della sono non si come più nel anche questo puoi alla",
	"pt": "os as e é uma para que com do da não em se por mais você são ao pelo seu",
	"nl": "de het een en is van dat niet met voor zijn op te ook aan er wordt deze kunt naar",
})

// languagesOf turns the lists around: a word's languages.
func languagesOf(lists map[string]string) map[string][]string {
	out := make(map[string][]string)
	for language, list := range lists {
		for _, w := range strings.Fields(list) {
			out[w] = append(out[w], language)
		}
	}
	return out
}

// language names the language of a text by its script and, in the Latin one, by its function words; "" when it cannot be told. A text
// whose best two languages are within a factor of two is not told: it mixes them.
func language(text string) string {
	count := make(map[string]int)
	letters, latin := 0, 0
	for _, r := range text {
		if r < utf8.RuneSelf { // most of most texts, and dear to look up
			if isASCIILetter(byte(r)) {
				latin++
			}
			continue
		}
		if !unicode.IsLetter(r) {
			continue
		}
		letters++
		for _, s := range scripts {
			if unicode.Is(s.table, r) {
				count[s.name]++
				break
			}
		}
	}
	letters += latin
	latin += count["latin"]
	if letters < languageLetters {
		return ""
	}
	if count["ja"] > 0 && 10*count["ja"] >= letters { // Japanese writes Han characters too
		return "ja"
	}
	for script, n := range count {
		if script != "latin" && 2*n > letters {
			return script
		}
	}
	if 2*latin <= letters {
		return ""
	}
	best, most, second := "", 0, 0
	for l, n := range functionWordsIn(text) {
		switch {
		case n > most:
			best, most, second = l, n, most
		case n > second:
			second = n
		}
	}
	if most < languageWords || most < 2*second {
		return ""
	}
	return best
}

// functionWordsIn counts the function words of a text, by language.
func functionWordsIn(text string) map[string]int {
	hits := make(map[string]int)
	lower := strings.ToLower(text)
	for from := 0; from < len(lower); {
		size := letterAt(lower[from:])
		if size == 0 {
			_, skip := utf8.DecodeRuneInString(lower[from:])
			from += skip
			continue
		}
		to := from
		for ; size > 0; size = letterAt(lower[to:]) {
			to += size
		}
		for _, l := range functionWords[lower[from:to]] {
			hits[l]++
		}
		from = to
	}
	return hits
}

// letterAt is the size in bytes of the letter with which a text begins, 0 when it begins with none.
func letterAt(text string) int {
	if text == "" {
		return 0
	}
	if text[0] < utf8.RuneSelf {
		if isASCIILetter(text[0]) {
			return 1
		}
		return 0
	}
	if r, size := utf8.DecodeRuneInString(text); unicode.IsLetter(r) {
		return size
	}
	return 0
}

func isASCIILetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
