package semantic

import (
	"math"
	"unicode"
)

// pairBits is the size of the space that pairs of words are hashed into, a service.
const pairBits = 16

// agedAt is how many texts are counted before all counts are halved, so that old wording fades.
const agedAt = 8192

// wording counts in how many texts each pair of neighbouring words occurred: how a service's texts are put, whatever they are about.
type wording struct {
	Texts int
	Pairs []uint16 // nil until something is learnt
}

// framePairs lists the pairs of neighbouring words of a sentence, with its beginning and its end. Words with a capital letter inside of a
// sentence stand for any name: what a text is about differs in each, how it is put does not.
func framePairs(sentence string) []uint32 {
	const (
		start = offset64 + 5
		name  = offset64 + 7
		end   = offset64 + 9
	)
	var out []uint32
	previous, word := uint64(start), uint64(0)
	first, capital := true, false
	add := func(x uint64) {
		if previous != name || x != name {
			out = append(out, uint32(mix(previous*31+x)&(1<<pairBits-1)))
		}
		previous = x
	}
	flush := func() {
		switch {
		case word == 0:
			return
		case capital && !first:
			add(name)
		default:
			add(word)
		}
		word, first = 0, false
	}
	for _, r := range sentence {
		switch {
		case unicode.IsLetter(r) || r == '\'' && word != 0:
			if word == 0 {
				word, capital = offset64, unicode.IsUpper(r)
			}
			word = (word ^ uint64(unicode.ToLower(r))) * prime64
		default:
			flush()
			if r == '?' {
				add('?')
			}
		}
	}
	flush()
	add(end)
	return out
}

// surprise is the mean negative logarithm of how often the pairs occur in the texts learnt. Pairs for which usual is true count as not
// surprising at all.
func (w *wording) surprise(pairs []uint32, usual func(pair uint32) bool) float64 {
	if len(pairs) == 0 {
		return 0
	}
	var sum float64
	for _, p := range pairs {
		if usual != nil && usual(p) {
			continue
		}
		n := 0.0
		if w.Pairs != nil {
			n = float64(w.Pairs[p])
		}
		sum -= math.Log((n + 0.5) / float64(w.Texts+1))
	}
	return sum / float64(len(pairs))
}

// known is the share of pairs that were seen before.
func (w *wording) known(pairs []uint32) float64 {
	n := 0
	for _, p := range pairs {
		if w.Pairs != nil && w.Pairs[p] > 0 {
			n++
		}
	}
	return float64(n) / float64(max(1, len(pairs)))
}

// learn counts the pairs of one text, each once.
func (w *wording) learn(text [][]uint32) {
	if w.Pairs == nil {
		w.Pairs = make([]uint16, 1<<pairBits)
	}
	seen := make(map[uint32]bool)
	for _, pairs := range text {
		for _, p := range pairs {
			if !seen[p] {
				seen[p] = true
				w.Pairs[p]++ // at most agedAt
			}
		}
	}
	if w.Texts++; w.Texts >= agedAt {
		w.Texts /= 2
		for i := range w.Pairs {
			w.Pairs[i] /= 2
		}
	}
}

// fewPairs is the least number of pairs that a sentence is judged by.
const fewPairs = 3

// misfit is the sentence of a text that fits least.
func (w *wording) misfit(text [][]uint32) (at int, surprise float64) {
	for i, s := range w.misfits(text) {
		if s > surprise {
			at, surprise = i, s
		}
	}
	return at, surprise
}

// misfits says how little each sentence of a text fits: by pairs of words that are rare in the texts learnt and occur in no other sentence
// of its own (what a document repeats belongs to it). It is 0 for a sentence of fewer than fewPairs.
func (w *wording) misfits(text [][]uint32) []float64 {
	sentences := make(map[uint32]int)
	for _, pairs := range text {
		own := make(map[uint32]bool, len(pairs))
		for _, p := range pairs {
			if !own[p] {
				own[p] = true
				sentences[p]++
			}
		}
	}
	repeated := func(p uint32) bool { return sentences[p] > 1 }
	out := make([]float64, len(text))
	for i, pairs := range text {
		if len(pairs) >= fewPairs {
			out[i] = w.surprise(pairs, repeated)
		}
	}
	return out
}
