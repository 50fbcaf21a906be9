package engine

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// redaction applies a Redactor to whole traces. Conversations repeat their history in every call, so a text that occurs twice
// in a trace is redacted once.
type redaction struct {
	redactor Redactor
	done     map[string]redacted
}

type redacted struct {
	text  string
	found []Sensitive
}

func (r *redaction) text(s string) (string, []Sensitive) {
	if s == "" {
		return "", nil
	}
	if have, ok := r.done[s]; ok {
		return have.text, have.found
	}
	text, found := r.redactor.Redact(s)
	r.done[s] = redacted{text, found}
	return text, found
}

// redactTrace returns a copy of the trace without sensitive data, and what was found in each original text by its redacted form.
func redactTrace(t Trace, redactor Redactor) (Trace, map[string][]Sensitive) {
	r := redaction{redactor, make(map[string]redacted)}
	found := make(map[string][]Sensitive)
	clean := func(s string) string {
		text, sensitive := r.text(s)
		if len(sensitive) > 0 {
			found[text] = sensitive
		}
		return text
	}
	messages := func(in []Message) []Message {
		if len(in) == 0 {
			return nil
		}
		out := make([]Message, len(in))
		for i, m := range in {
			out[i] = m
			out[i].Parts = make([]Part, len(m.Parts))
			for j, p := range m.Parts {
				p.Text = clean(p.Text)
				out[i].Parts[j] = p
			}
		}
		return out
	}
	out := t
	out.Spans = make([]Span, len(t.Spans))
	for i, s := range t.Spans {
		s.ErrorMessage = clean(s.ErrorMessage)
		s.Tool.Arguments = clean(s.Tool.Arguments)
		s.Tool.Result = clean(s.Tool.Result)
		s.Retrieval.Query = clean(s.Retrieval.Query)
		if len(s.Retrieval.Documents) > 0 {
			documents := make([]Document, len(s.Retrieval.Documents))
			for j, d := range s.Retrieval.Documents {
				d.Text = clean(d.Text)
				documents[j] = d
			}
			s.Retrieval.Documents = documents
		}
		if len(s.Evaluations) > 0 {
			evaluations := slices.Clone(s.Evaluations)
			for j := range evaluations {
				evaluations[j].Explanation = clean(evaluations[j].Explanation)
			}
			s.Evaluations = evaluations
		}
		s.System, s.Input, s.Output = messages(s.System), messages(s.Input), messages(s.Output)
		out.Spans[i] = s
	}
	return out, found
}

// texts lists the distinct texts of the wanted kinds in chunks, at most limit of them, each where it first occurs: what a
// user typed first, since that is where attacks and new topics enter.
func texts(t *Trace, found map[string][]Sensitive, kinds []TextKind, words, limit int) []Text {
	var out []Text
	for _, kind := range kinds {
		seen := make(map[string]bool)
		for i := range t.Spans {
			eachText(&t.Spans[i], kind, func(text string) {
				if text == "" || seen[text] {
					return
				}
				seen[text] = true
				for n, chunk := range chunks(text, words) {
					if len(out) >= limit {
						return
					}
					c := Text{Span: i, Kind: kind, Text: chunk, Chunk: n}
					if n == 0 {
						c.Sensitive = found[text]
					}
					out = append(out, c)
				}
			})
		}
	}
	return out
}

func eachText(s *Span, kind TextKind, yield func(string)) {
	byRole := func(role string) {
		for _, m := range s.Input {
			if m.Role != role {
				continue
			}
			for _, p := range m.Parts {
				if p.Kind == PartText || p.Kind == PartToolResponse {
					yield(p.Text)
				}
			}
		}
	}
	switch kind {
	case TextUserPrompt:
		byRole("user")
	case TextSystemPrompt:
		for _, m := range s.System {
			yield(m.Text())
		}
		byRole("system")
	case TextResponse:
		for _, m := range s.Output {
			yield(m.Text())
		}
	case TextToolArguments:
		yield(s.Tool.Arguments)
	case TextToolResult:
		yield(s.Tool.Result)
		byRole("tool")
	case TextDocument:
		for _, d := range s.Retrieval.Documents {
			yield(d.Text)
		}
	}
}

// wordBytes is the length from which on a word counts as several, in bytes: some languages write no spaces.
const wordBytes = 16

// chunks cuts a text into pieces of about the given number of words, at the end of a sentence or line where one is near.
func chunks(text string, words int) []string {
	var out []string
	start, count, inWord := 0, 0, false
	for i, r := range text {
		if i-start >= words*wordBytes {
			out = appendChunk(out, text[start:i])
			start, count, inWord = i, 0, false
		}
		if !unicode.IsSpace(r) {
			if !inWord {
				count++
				inWord = true
			}
			continue
		}
		inWord = false
		ended := r == '\n' || strings.ContainsAny(lastRune(text[:i]), ".!?。？！:;")
		if count >= words || (ended && count >= (words+1)/2) {
			out = appendChunk(out, text[start:i])
			start, count = i, 0
		}
	}
	// A short rest reads better with what came before it than alone.
	rest := strings.TrimSpace(text[start:])
	if n := len(out); n > 0 && count > 0 && count < words/4 {
		out[n-1] += " " + rest
		return out
	}
	return appendChunk(out, rest)
}

func appendChunk(out []string, piece string) []string {
	if piece = strings.TrimSpace(piece); piece != "" {
		out = append(out, piece)
	}
	return out
}

func lastRune(s string) string {
	_, size := utf8.DecodeLastRuneInString(s)
	return s[len(s)-size:]
}

// Cut shortens a text to at most n bytes at a rune boundary.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// excerpt cuts a text to at most n bytes and says so.
func excerpt(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return Cut(s, n) + "…"
}
