package response

import (
	"slices"
	"strings"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Last is the answer of a trace: the text of the model call with the latest end that has one, its first bytes at most, and its span; nil
// without one.
func Last(t *engine.Trace, bytes int) (*engine.Span, string) {
	var last *engine.Span
	text := ""
	for i := range t.Spans {
		s := &t.Spans[i]
		if !s.Operation.IsModelCall() || s.Failed || last != nil && !s.End.After(last.End) {
			continue
		}
		if said := textOf(s); said != "" {
			last, text = s, said
		}
	}
	if len(text) > bytes {
		text = strings.ToValidUTF8(text[:bytes], "")
	}
	return last, text
}

func textOf(s *engine.Span) string {
	if len(s.Output) == 1 {
		return strings.TrimSpace(s.Output[0].Text())
	}
	var parts []string
	for _, m := range s.Output {
		if text := strings.TrimSpace(m.Text()); text != "" {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, "\n")
}

// finished lists the reasons with which a model call ended, in lower case.
func finished(s *engine.Span) []string {
	var out []string
	for _, reason := range s.FinishReasons {
		out = append(out, strings.ToLower(reason))
	}
	for _, m := range s.Output {
		if m.FinishReason != "" {
			out = append(out, strings.ToLower(m.FinishReason))
		}
	}
	return out
}

// refusals are how models that decline begin, in lower case.
var refusals = []string{
	"i can't", "i cannot", "i can not", "i'm sorry", "i am sorry", "sorry, but", "sorry, i", "i'm unable", "i am unable", "unable to assist",
	"i won't", "i will not", "i'm not able", "i am not able", "can't help with", "cannot help with", "can't assist", "cannot assist",
	"not able to help", "against my guidelines", "as an ai", "i must decline", "i have to decline", "i decline",
	"je ne peux pas", "je suis désolé", "désolé, ", "ich kann nicht", "ich kann dir dabei nicht", "ich kann ihnen dabei nicht", "es tut mir leid", "tut mir leid",
	"lo siento", "no puedo", "mi dispiace", "non posso", "desculpe", "não posso",
}

// blocked are finish reasons that say that an answer was withheld.
var blocked = []string{"content_filter", "refusal", "safety", "blocked", "prohibited_content", "guardrail_intervened"}

// refusalWithin is how much of the beginning of an answer is looked at, in bytes.
const refusalWithin = 200

// Refuses reports whether a model call declined: it says so in how it ended, or in how the answer begins.
func Refuses(s *engine.Span) bool {
	for _, reason := range finished(s) {
		if slices.Contains(blocked, reason) {
			return true
		}
	}
	text := textOf(s)
	begin := strings.ToLower(strings.ReplaceAll(text[:min(len(text), refusalWithin)], "’", "'"))
	return slices.ContainsFunc(refusals, func(r string) bool { return strings.Contains(begin, r) })
}
