package relevance

import (
	"unicode/utf8"

	"github.com/llm-sentinel/llm-sentinel/evals"
)

// baseline is a trivial system: more means rather irrelevant.
type baseline struct {
	name  string
	score func(search) float64
}

var baselines = [...]baseline{
	{"missing_words", func(s search) float64 { return missingWords(s.Question, s.Document) }},
	{"bm25", func(s search) float64 { return -s.BM25 }},
	{"document_length", func(s search) float64 { return -float64(utf8.RuneCountInString(s.Document)) }},
}

// contentLetters is how long a word must be to count for its content, in characters.
const contentLetters = 4

// missingWords is the proportion of the question's longer words that the document lacks; 0 when the question has none.
func missingWords(question, document string) float64 {
	has := make(map[string]bool)
	for _, w := range evals.Words(document) {
		has[w] = true
	}
	words, missing := 0, 0
	for _, w := range evals.Words(question) {
		if utf8.RuneCountInString(w) < contentLetters {
			continue
		}
		if words++; !has[w] {
			missing++
		}
	}
	return float64(missing) / float64(max(1, words))
}

func (all searches) scored(of baseline) []float64 {
	out := make([]float64, len(all))
	for i, s := range all {
		out[i] = of.score(s)
	}
	return out
}
