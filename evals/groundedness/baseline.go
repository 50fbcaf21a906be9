package groundedness

import (
	"unicode/utf8"

	"github.com/llm-sentinel/llm-sentinel/evals"
)

// baseline is a trivial system: more means rather hallucinated.
type baseline struct {
	name  string
	score func(sample) float64
}

var baselines = [...]baseline{
	{"novel_bigram_share", func(s sample) float64 { return novelBigramShare(s.Context, s.Response) }},
	{"response_length", func(s sample) float64 { return float64(utf8.RuneCountInString(s.Response)) }},
}

// novelBigramShare is the proportion of the response's pairs of neighbouring words that the context does not have; 0 when the response
// has no pair.
func novelBigramShare(context, response string) float64 {
	known := make(map[[2]string]bool)
	for _, pair := range bigrams(context) {
		known[pair] = true
	}
	pairs := bigrams(response)
	if len(pairs) == 0 {
		return 0
	}
	novel := 0
	for _, pair := range pairs {
		if !known[pair] {
			novel++
		}
	}
	return float64(novel) / float64(len(pairs))
}

func bigrams(text string) [][2]string {
	words := evals.Words(text)
	var out [][2]string
	for i := 1; i < len(words); i++ {
		out = append(out, [2]string{words[i-1], words[i]})
	}
	return out
}
