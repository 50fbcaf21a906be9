package relevance

import (
	"math"

	"github.com/llm-sentinel/llm-sentinel/evals"
)

// The usual constants of BM25.
const (
	k1 = 1.2
	b  = 0.75
)

// index scores documents by Okapi BM25 (Robertson and Zaragoza, The Probabilistic Relevance Framework, 2009), over words in lower case.
type index struct {
	documents []string
	counts    []map[string]int // of words, by document
	lengths   []float64        // in words
	mean      float64
	found     map[string]int // documents with the word
}

func newIndex(documents []string) *index {
	x := &index{documents: documents, found: make(map[string]int)}
	for _, d := range documents {
		words := evals.Words(d)
		counts := make(map[string]int)
		for _, w := range words {
			if counts[w]++; counts[w] == 1 {
				x.found[w]++
			}
		}
		x.counts = append(x.counts, counts)
		x.lengths = append(x.lengths, float64(len(words)))
		x.mean += float64(len(words)) / float64(len(documents))
	}
	return x
}

// scores is how well each document fits the query, 0 without a word in common.
func (x *index) scores(query string) []float64 {
	out := make([]float64, len(x.documents))
	for _, w := range evals.Words(query) {
		n := float64(x.found[w])
		idf := math.Log1p((float64(len(x.documents)) - n + 0.5) / (n + 0.5))
		for i, counts := range x.counts {
			if tf := float64(counts[w]); tf > 0 {
				out[i] += idf * tf * (k1 + 1) / (tf + k1*(1-b+b*x.lengths[i]/x.mean))
			}
		}
	}
	return out
}
