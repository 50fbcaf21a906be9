package response

import (
	"strings"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

const (
	repeatGram  = 4   // words
	repeatFrom  = 40  // words of an answer that can be told to repeat itself
	repeatShare = 0.5 // of its groups of words that occurred before
)

// repeats reports whether most groups of four words of an answer occurred in it before: seq-rep-4 of Welleck et al., "Neural Text
// Generation with Unlikelihood Training", 2020. A model that degenerates is near 1, prose below 0.1.
func repeats(_ *engine.Span, text string) (did, known bool) {
	words := strings.Fields(strings.ToLower(text))
	if len(words) < repeatFrom {
		return false, text != ""
	}
	total := len(words) - repeatGram + 1
	seen := make(map[string]bool, total)
	for i := range total {
		seen[strings.Join(words[i:i+repeatGram], " ")] = true
	}
	return 1-float64(len(seen))/float64(total) >= repeatShare, true
}
