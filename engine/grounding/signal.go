package grounding

import (
	"cmp"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// signals are what speaks against an answer. Each is 0 for an answer that is copied from a whole passage, and more of it is worse.
type signals struct {
	// Unsupported adds up, over the answer's sentences, the share of content words that the best single sentence of the passages lacks:
	// an estimate of the number of claims that no passage makes.
	Unsupported float64
	// Invented counts names and numbers that the passages lack.
	Invented float64
	// Recombined counts neighbouring content words of a sentence of the answer that are both in the passages, but never near each other.
	Recombined float64
	// Sequenced counts words of time and order (later, previously, since) that the passages lack: an order of events is a claim.
	Sequenced float64
	// Negated counts sentences that deny where the nearest passage affirms, or the other way round.
	Negated float64
	// Commented counts remarks on the passages themselves (it is unclear, unrelated, implies) that they do not make.
	Commented float64
	// Dangling is the share of passages that begin in the middle, with a reference to something that is not there: whoever answers from
	// them has to guess.
	Dangling float64

	share float64 // of content words that the best sentence lacks, mean over the answer's sentences
	lacks []lack  // the answer's sentences, the one that lacks most first
}

// lack is a sentence of an answer and the share of its content words that the best sentence of the passages lacks.
type lack struct {
	sentence string
	missing  float64
}

// worst is the sentence that lacks most.
func (s *signals) worst() string {
	if len(s.lacks) == 0 {
		return ""
	}
	return s.lacks[0].sentence
}

// raw adds the signals up with equal weights, each in units of its standard deviation over the 420 summaries of FaithBench's development
// half (no label has a part in that). Weights fitted to a few hundred rows seldom predict better than equal ones (Dawes, "The robust beauty
// of improper linear models in decision making", American Psychologist 1979). Counts grow with the length of an answer and are flattened.
func (s signals) raw() float64 {
	return s.Unsupported/1.11 + math.Log1p(s.Invented)/0.52 + math.Sqrt(s.Recombined)/1.21 + math.Log1p(s.Sequenced)/0.40 +
		s.Negated/0.55 + math.Log1p(s.Commented)/0.24 + s.Dangling/0.41
}

// passages are what an answer may rest on, as it is searched.
type passages struct {
	negated  []bool             // a sentence each
	where    map[string][]int32 // a content stem's sentences
	stems    map[string]bool    // of all words
	numbers  map[string]bool
	ids      map[string]uint32 // of content stems
	near     map[uint64]bool   // pairs of them, at most nearby apart
	lower    string
	dangling float64
}

// nearby is how far apart two content words may be to belong together.
const nearby = 4

// read prepares what an answer may rest on. What was asked is known, too, but makes no claims: its words count, its sentences do not.
func read(texts []string, asked string) *passages {
	p := &passages{where: make(map[string][]int32), stems: make(map[string]bool), numbers: make(map[string]bool), ids: make(map[string]uint32), near: make(map[uint64]bool)}
	for _, text := range texts {
		if begins.MatchString(text) {
			p.dangling += 1 / float64(len(texts))
		}
		p.know(text)
		parts := sentences(text)
		if len(parts) == 0 {
			parts = []string{text}
		}
		for _, part := range parts {
			n := int32(len(p.negated))
			all := words(part)
			p.negated = append(p.negated, negates(all))
			for _, w := range content(all) {
				if at := p.where[w]; len(at) == 0 || at[len(at)-1] != n {
					p.where[w] = append(at, n)
				}
			}
		}
	}
	p.know(asked)
	return p
}

// know takes in the words of a text.
func (p *passages) know(text string) {
	all := words(text)
	for _, w := range all {
		p.stems[stem(w)] = true
		if n, ok := numerals[w]; ok {
			p.numbers[n] = true
		}
	}
	for _, n := range numbersIn(text) {
		p.numbers[n] = true
	}
	told := content(all)
	ids := make([]uint32, len(told))
	for i, w := range told {
		id, known := p.ids[w]
		if !known {
			id = uint32(len(p.ids))
			p.ids[w] = id
		}
		ids[i] = id
		for _, before := range ids[max(0, i-nearby):i] {
			p.near[pair(before, id)] = true
		}
	}
	p.lower += strings.ToLower(text) + "\n"
}

// pair is the key of two stems, in either order.
func pair(a, b uint32) uint64 { return uint64(min(a, b))<<32 | uint64(max(a, b)) }

// compare says what speaks against the answer.
func (p *passages) compare(answer string) signals {
	s := signals{Dangling: p.dangling}
	parts := sentences(answer)
	if len(parts) == 0 {
		parts = []string{answer}
	}
	for _, part := range parts {
		all := words(part)
		stems := content(all)
		if len(stems) == 0 {
			continue
		}
		best, missing := p.best(stems)
		s.Unsupported += missing
		s.lacks = append(s.lacks, lack{part, missing})
		if len(p.negated) > 0 && negates(all) != p.negated[best] {
			s.Negated++
		}
		for i := 1; i < len(stems); i++ {
			a, b := stems[i-1], stems[i]
			if a != b && len(p.where[a]) > 0 && len(p.where[b]) > 0 && !p.near[pair(p.ids[a], p.ids[b])] {
				s.Recombined++
			}
		}
	}
	slices.SortStableFunc(s.lacks, func(a, b lack) int { return cmp.Compare(b.missing, a.missing) })
	s.share = s.Unsupported / float64(max(1, len(s.lacks)))
	for _, w := range words(answer) {
		if orderWords[w] && !p.stems[stem(w)] {
			s.Sequenced++
		}
	}
	for _, w := range names(answer) {
		if !p.stems[stem(w)] {
			s.Invented++
		}
	}
	for _, n := range distinct(numbersIn(answer)) {
		if !p.numbers[n] {
			s.Invented++
		}
	}
	for _, remark := range remarks.FindAllString(answer, -1) {
		if !strings.Contains(p.lower, strings.ToLower(remark)) {
			s.Commented++
		}
	}
	return s
}

// best is the sentence of the passages that has most of the stems, and the share of them that it lacks.
func (p *passages) best(stems []string) (at int, missing float64) {
	have := make([]int, len(p.negated))
	for _, w := range stems {
		for _, n := range p.where[w] {
			have[n]++
		}
	}
	most := 0
	for n, count := range have {
		if count > most {
			most, at = count, n
		}
	}
	return at, 1 - float64(most)/float64(len(stems))
}

// begins matches texts that begin with a reference to what came before.
var begins = regexp.MustCompile(`(?i)^\W*(?:the|this|that|these|those|he|she|it|they|his|her|their|its|another|other|both|also|but|and|so|however)\b`)

// remarks are about the passages instead of their subject.
var remarks = regexp.MustCompile(`(?i)\b(?:unclear|unrelated|not (?:directly |explicitly |clearly |specifically )?(?:related|mentioned|specified|clear|stated|provided|linked|connected|given)|incorrect\w*|mislead\w*|confus\w+|no (?:additional |further |specific |direct )?(?:information|context|details|mention|connection)|does not|doesn't|note:|correct(?:ed)?|seems?|appears?|separate|implying|implies|suggest\w*|indicat\w+)`)

var negations = setOf("not no never without none nor neither cannot nobody nothing")

// negates reports whether the words deny something: by a word of its own, or by what is left of one as in "isn't".
func negates(words []string) bool {
	for i, w := range words {
		if negations[w] || w == "t" && i > 0 && strings.HasSuffix(words[i-1], "n") {
			return true
		}
	}
	return false
}

// orderWords put events in order.
var orderWords = setOf(`after before following subsequently later previously initially originally currently eventually prior then finally
	recently until during when once former formerly already now still since`)

var number = regexp.MustCompile(`\d+(?:[.,]\d+)*`)

// numbersIn are the numbers of a text without separators of thousands.
func numbersIn(text string) []string {
	all := number.FindAllString(text, -1)
	for i := range all {
		all[i] = strings.ReplaceAll(all[i], ",", "")
	}
	return all
}

// numerals are the numbers that prose spells out.
var numerals = map[string]string{
	"zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
	"ten": "10", "eleven": "11", "twelve": "12",
}

func distinct(all []string) []string {
	slices.Sort(all)
	return slices.Compact(all)
}

// names are the words with a capital letter, in lower case, that do not begin a sentence.
func names(text string) []string {
	var out []string
	before := rune('.')
	for i, r := range text {
		if unicode.IsUpper(r) && !strings.ContainsRune(".!?\n:-*", before) && !isWordRune(previous(text, i)) {
			word := text[i:]
			if end := strings.IndexFunc(word, func(r rune) bool { return !isWordRune(r) }); end >= 0 {
				word = word[:end]
			}
			if utf8.RuneCountInString(word) > 1 {
				out = append(out, strings.ToLower(word))
			}
		}
		if !unicode.IsSpace(r) || r == '\n' {
			before = r
		}
	}
	return out
}

func isWordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

func previous(text string, i int) rune {
	r, _ := utf8.DecodeLastRuneInString(text[:i])
	return r
}
