package semantic

import (
	"math"
	"slices"
	"strconv"
	"unicode"
)

// hashBits is the size of the space that features are hashed into (Weinberger and others, "Feature Hashing for Large Scale Multitask
// Learning", 2009). Of a feature the low bits are its place there and the others how often it occurs; 0 times is a mark of the whole text.
const (
	hashBits = 18
	places   = 1 << hashBits
	maxCount = 1<<(32-hashBits) - 1
	markSize = 0.15 // of a mark, beside words that have length 1 together
)

// surface is what a text looks like: its words, pairs of words and beginnings of sentences, with marks of the whole. It keeps no text.
type surface []uint32

// stemRunes is where a long word is cut to be found in another form.
const stemRunes = 6

// look hashes the features of a reading.
func look(r reading) surface {
	h := hasher{out: make(surface, 0, 64+len(r.text)/2)}
	h.begin()
	words, capitals, digits, signs := 0, 0, 0, 0
	runes := make([]rune, 0, 32)
	word := func() {
		if len(runes) == 0 {
			return
		}
		words++
		upper, numeric := 0, true
		for i, c := range runes {
			if unicode.IsUpper(c) {
				upper++
			}
			numeric = numeric && unicode.IsNumber(c)
			runes[i] = unicode.ToLower(c)
		}
		if numeric {
			digits++
			runes = append(runes[:0], '#')
		}
		if upper > 1 && upper == len(runes) {
			capitals++
		}
		h.word(runes)
		runes = runes[:0]
	}
	var last rune
	for _, c := range r.text {
		switch {
		case unicode.Is(unicode.Han, c), unicode.In(c, unicode.Hiragana, unicode.Katakana, unicode.Thai): // no spaces between words
			word()
			runes = append(runes, c)
			word()
		case unicode.IsLetter(c), unicode.IsNumber(c), unicode.IsMark(c):
			runes = append(runes, c)
		case c == '\'' || c == '’':
			if len(runes) > 0 { // don't is one word
				runes = append(runes, '\'')
			}
		default:
			word()
			if !unicode.IsSpace(c) {
				signs++
				h.sign(c)
			}
			if c == '\n' || c == '.' || c == '!' || c == '?' || c == ':' || c == ';' || c == '。' {
				if last != c {
					h.end(c)
				}
				h.begin()
			}
		}
		last = c
	}
	word()
	h.end('\n')
	if r.how != "" {
		h.mark("hidden " + r.how)
	}
	h.mark("words " + strconv.Itoa(int(math.Log2(float64(words+1)))))
	h.share("capitals", capitals, words)
	h.share("numbers", digits, words)
	h.share("signs", signs, words+signs)
	return h.surface()
}

// hasher collects features.
type hasher struct {
	out      surface
	marks    surface
	previous uint64
	earlier  uint64 // the word before the previous
}

const (
	offset64 = 14695981039346656037
	prime64  = 1099511628211
)

func hashRunes(seed uint64, runes []rune) uint64 {
	for _, c := range runes {
		seed = (seed ^ uint64(c)) * prime64
	}
	return seed
}

func hashString(s string) uint64 {
	h := uint64(offset64)
	for i := 0; i < len(s); i++ {
		h = (h ^ uint64(s[i])) * prime64
	}
	return h
}

// place folds a hash into the space.
func place(h uint64) uint32 { return uint32(mix(h) & (places - 1)) }

// mix spreads a hash over its low bits (the finalizer of MurmurHash3, in part).
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	return h ^ h>>33
}

var sentenceStart = hashString("\x01 start")

func (h *hasher) begin() { h.previous, h.earlier = sentenceStart, 0 }

func (h *hasher) word(runes []rune) {
	x := hashRunes(offset64, runes)
	h.out = append(h.out, place(x), place(h.previous*31+x))
	if h.earlier != 0 { // one word between
		h.out = append(h.out, place(h.earlier*31+x*7+1))
	}
	if len(runes) > stemRunes {
		h.out = append(h.out, place(hashRunes(offset64+2, runes[:stemRunes])))
	}
	h.earlier, h.previous = h.previous, x
}

func (h *hasher) sign(c rune) { h.out = append(h.out, place(hashRunes(offset64+3, []rune{c}))) }

// end notes what a sentence ends with, and its last word.
func (h *hasher) end(c rune) {
	if h.previous != sentenceStart {
		h.out = append(h.out, place(h.previous*31+uint64(c)+11))
	}
}

func (h *hasher) mark(name string) { h.marks = append(h.marks, place(hashString("\x02"+name))) }

// share marks which fifth a share is in, none for 0.
func (h *hasher) share(name string, n, of int) {
	if n > 0 {
		h.mark(name + " " + strconv.Itoa(5*n/of))
	}
}

// surface counts what was collected.
func (h *hasher) surface() surface {
	slices.Sort(h.out)
	out := h.out[:0]
	for i := 0; i < len(h.out); {
		j := i
		for j < len(h.out) && h.out[j] == h.out[i] {
			j++
		}
		out = append(out, h.out[i]|uint32(min(j-i, maxCount))<<hashBits)
		i = j
	}
	return append(out, h.marks...)
}

// each yields the place and the value of every feature. Words count by the logarithm of how often they occur, and have length 1 together.
func (s surface) each(yield func(place uint32, value float32)) {
	var sum float64
	for _, f := range s {
		if n := f >> hashBits; n > 0 {
			v := 1 + math.Log(float64(n))
			sum += v * v
		}
	}
	scale := 1 / math.Sqrt(max(sum, 1))
	for _, f := range s {
		v := markSize
		if n := f >> hashBits; n == 1 {
			v = scale
		} else if n > 1 {
			v = scale * (1 + math.Log(float64(n)))
		}
		yield(f&(places-1), float32(v))
	}
}
