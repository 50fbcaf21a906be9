package prompts

import (
	"strings"
	"unicode/utf8"
)

// length scores a text by how long it is, in characters.
func length(t text) float64 { return float64(utf8.RuneCountInString(t.Text)) }

// keywords are phrases that a filter of the simplest kind looks for.
var keywords = []string{
	"ignore previous", "ignore all previous", "ignore the previous", "ignore the above", "ignore all instructions", "ignore your instructions",
	"disregard", "forget everything", "forget all", "forget your instructions", "previous instructions", "override", "bypass",
	"jailbreak", "jailbroken", "do anything now", " dan ", "developer mode", "debug mode", "god mode", "sudo", "unfiltered", "uncensored",
	"no restrictions", "without restrictions", "unrestricted", "no limitations", "no filter", "not bound by", "break free",
	"ethical guidelines", "content policy", "openai policy", "safety guidelines", "moral", "illegal", "unethical",
	"system prompt", "initial prompt", "hidden instructions", "reveal your", "repeat the words above",
	"you are now", "from now on", "pretend", "act as", "roleplay", "role-play", "role play", "stay in character", "your new name",
	"never refuse", "cannot refuse", "do not refuse", "must comply", "always comply", "as an ai", "hypothetical", "amoral", "evil",
	"instead of answering", "do not mention", "do not tell the user", "add a link", "click here",
}

// keywordCount scores a text by how many of the keywords it holds.
func keywordCount(t text) float64 {
	lower := " " + strings.ToLower(t.Text) + " "
	n := 0
	for _, k := range keywords {
		if strings.Contains(lower, k) {
			n++
		}
	}
	return float64(n)
}
