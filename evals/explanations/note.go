package explanations

import (
	"slices"
	"strings"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// checked is what one note came to.
type checked struct {
	right     bool // the first hypothesis is the true cause, and the summary names it
	claims    int
	supported int
	citations int
	resolved  int
	fallback  string
	tokens    int64
	took      time.Duration
	faults    []string // what is not in the evidence, for the reader
}

// check compares a note with the incident that it is about and the cause that is true.
func check(e engine.Explanation, g ground, cause engine.Subject) checked {
	c := checked{fallback: e.Fallback, tokens: e.Tokens, took: e.Took}
	c.right = len(e.Hypotheses) > 0 && e.Hypotheses[0].Cause == cause && contains(normal(e.Summary), strings.ToLower(cause.Value))
	for _, claim := range claims(e) {
		c.claims++
		wrong := g.unsupported(claim)
		if len(wrong) == 0 {
			c.supported++
		}
		c.faults = append(c.faults, wrong...)
	}
	known := make(map[string]bool, len(e.Citations))
	for _, x := range e.Citations {
		known[x.ID] = true
	}
	for _, id := range named(e) {
		c.citations++
		if known[id] {
			c.resolved++
		}
	}
	for _, x := range e.Citations {
		for _, id := range []string{x.TraceID, x.SpanID} {
			if id == "" {
				continue
			}
			c.citations++
			if contains(g.text, strings.ToLower(id)) {
				c.resolved++
			}
		}
	}
	return c
}

// claims are the paragraphs and list items of a note, headings left out.
func claims(e engine.Explanation) []string {
	var out []string
	for line := range strings.Lines(e.Note) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		out = append(out, strings.TrimPrefix(line, "- "))
	}
	return out
}

// named are the citations that the summary, the hypotheses and the recommendations name, each once a place.
func named(e engine.Explanation) []string {
	out := citedPattern.FindAllString(e.Summary, -1)
	add := func(text string, listed []string) {
		ids := citedPattern.FindAllString(text, -1)
		for _, id := range listed {
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
		out = append(out, ids...)
	}
	for _, h := range e.Hypotheses {
		add(h.Statement, h.Citations)
	}
	for _, r := range e.Recommendations {
		add(r.Text, r.Citations)
	}
	return out
}
