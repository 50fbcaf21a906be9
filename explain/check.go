package explain

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// problem is one reason why a reply is refused.
type problem struct {
	reason string // one of the Fallback reasons
	detail string // told to the model, and bounded
}

func (p problem) Error() string { return p.reason + ": " + p.detail }

const maxDetailRunes = 60

// check compares a reply with the draft that it shall put into words. It returns every problem, gravest first.
func (d *draft) check(r reply) []problem {
	var out []problem
	fail := func(reason, where, format string, args ...any) {
		out = append(out, problem{reason, where + ": " + fmt.Sprintf(format, args...)})
	}
	switch h := r.Hypothesis; {
	case h.Cause != causeID:
		fail(FallbackUnknownCause, "hypothesis", "the cause must be %s, not %q", causeID, clean(h.Cause, maxDetailRunes))
	case !containsToken(h.Text, d.causes[0].Value):
		fail(FallbackUnknownCause, "hypothesis", "the text does not name the cause %q", clean(d.causes[0].Value, maxDetailRunes))
	}
	if !d.causes[0].vague && !containsToken(r.Summary.Text, d.causes[0].Value) {
		fail(FallbackUnknownCause, "summary", "the text does not name the likely cause %q", clean(d.causes[0].Value, maxDetailRunes))
	}
	for where, c := range r.claims() {
		cited, unknown := d.cited(c)
		for _, id := range unknown {
			fail(FallbackCitation, where, "there is no fact %q", clean(id, maxDetailRunes))
		}
		if len(cited) == 0 {
			fail(FallbackCitation, where, "it cites no fact")
		}
		for _, id := range foreignIDs(c.Text, d.facts.list) {
			fail(FallbackCitation, where, "the facts have no trace, span or address %q", clean(id, maxDetailRunes))
		}
		for _, figure := range unfounded(hexPattern.ReplaceAllString(c.Text, " "), cited) {
			fail(FallbackNumber, where, "the figure or name %q is in none of the cited facts %s", clean(figure, maxDetailRunes), list(ids(cited)))
		}
	}
	slices.SortStableFunc(out, func(a, b problem) int { return gravity(a.reason) - gravity(b.reason) })
	return out
}

func gravity(reason string) int {
	return slices.Index([]string{FallbackSchema, FallbackCitation, FallbackUnknownCause, FallbackNumber}, reason)
}

// cited returns the facts that a claim names in its citations or its text, and the ids that are no facts.
func (d *draft) cited(c replyClaim) (facts []engine.Citation, unknown []string) {
	named := slices.Clone(c.Citations)
	for _, group := range citedPattern.FindAllString(c.Text, -1) {
		named = append(named, factIDPattern.FindAllString(group, -1)...)
	}
	done := map[string]bool{}
	for _, id := range named {
		if done[id] {
			continue
		}
		done[id] = true
		if f, ok := d.facts.get(id); ok {
			facts = append(facts, f)
		} else {
			unknown = append(unknown, id)
		}
	}
	return facts, unknown
}

// unfounded returns the figures of a text, and its names with a digit, that none of the facts show.
func unfounded(text string, facts []engine.Citation) []string {
	var b strings.Builder
	for _, f := range facts {
		b.WriteString(f.Text + " " + f.TraceID + " " + f.SpanID + "\n")
	}
	ground := b.String()
	originals, _ := scan(ground)
	figures, names := scan(text)
	var out []string
	for _, f := range figures {
		if !slices.ContainsFunc(originals, f.shows) {
			out = append(out, f.text)
		}
	}
	for _, name := range names {
		if !containsToken(ground, name) {
			out = append(out, name)
		}
	}
	return out
}

// foreignIDs returns the trace ids, span ids and addresses of a text that no fact has.
func foreignIDs(text string, facts []engine.Citation) []string {
	var out []string
	for _, found := range append(hexPattern.FindAllString(text, -1), urlPattern.FindAllString(text, -1)...) {
		known := slices.ContainsFunc(facts, func(f engine.Citation) bool {
			return strings.EqualFold(f.TraceID, found) || strings.EqualFold(f.SpanID, found) || containsToken(f.Text, found)
		})
		if !known {
			out = append(out, found)
		}
	}
	return out
}

// containsToken reports whether text has the token, in any case, and not merely inside a longer word or number.
func containsToken(text, token string) bool {
	text, token = strings.ToLower(text), strings.ToLower(token)
	for from := 0; token != ""; {
		at := strings.Index(text[from:], token)
		if at < 0 {
			return false
		}
		at += from
		before, _ := utf8.DecodeLastRuneInString(text[:at])
		after, _ := utf8.DecodeRuneInString(text[at+len(token):])
		if !isWord(before) && !isWord(after) {
			return true
		}
		from = at + len(token)
	}
	return false
}

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }

func ids(facts []engine.Citation) []string {
	var out []string
	for _, f := range facts {
		out = append(out, f.ID)
	}
	return out
}
