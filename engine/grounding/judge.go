package grounding

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Judge reads what words alone do not settle. Support returns, for each sentence, the words of the passages that say the same, "" where
// none do. It is asked seldom, bounds its own cost, and gives the same answer to the same question; an error leaves the signals to stand.
type Judge interface {
	Support(ctx context.Context, passages, sentences []string) ([]string, error)
}

const (
	doubtful    = 0.05 // p-value below which an answer speaks at all
	settled     = 1e-4 // and below which nobody needs to be asked
	judged      = 8    // sentences that a judge is asked about, those that lack most
	judgement   = 20 * time.Second
	quotedWords = 3 // that a quote needs at least
)

// ask has the judge look for the sentences that lack most in the passages. Where it shows each of them, the finding is withdrawn;
// otherwise it names the first that the judge could not show. What a judge says counts only as far as it quotes: words that are not in the
// passages, or that have no content word of the sentence, show nothing.
func (d *Detector) ask(ctx context.Context, f *engine.Finding, texts []string, lacks []lack) {
	ctx, cancel := context.WithTimeout(ctx, judgement)
	defer cancel()
	var sentences []string
	for _, l := range lacks[:min(judged, len(lacks))] {
		sentences = append(sentences, l.sentence)
	}
	quotes, err := d.judge.Support(ctx, texts, sentences)
	if err != nil || len(quotes) != len(sentences) {
		return // without a judgement the signals stand
	}
	for i, sentence := range sentences {
		if !shows(texts, quotes[i], sentence) {
			f.Excerpt = sentence
			f.Reason += "; the language model found no passage that says it"
			return
		}
	}
	f.P, f.Material = 1, false
	f.Reason += "; the language model found each sentence in the passages"
}

// shows reports whether the quote is in one of the texts, word by word, and has a content word in common with the sentence.
func shows(texts []string, quote, sentence string) bool {
	said := words(quote)
	if len(said) < quotedWords {
		return false
	}
	told := content(words(sentence))
	if !slices.ContainsFunc(content(said), func(w string) bool { return slices.Contains(told, w) }) {
		return false
	}
	line := " " + strings.Join(said, " ") + " "
	return slices.ContainsFunc(texts, func(text string) bool {
		return strings.Contains(" "+strings.Join(words(text), " ")+" ", line)
	})
}
