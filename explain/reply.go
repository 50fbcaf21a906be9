package explain

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of a reply. Lengths are in characters.
const (
	maxReplyBytes     = 64 << 10
	minReplyText      = 20
	maxReplyText      = 500
	maxReplyActions   = 3
	maxReplyCitations = 8
)

// reply is what a language model answers.
type reply struct {
	Hypothesis      replyClaim   `json:"hypothesis"` // of the likeliest cause
	Recommendations []replyClaim `json:"recommendations"`
	Summary         replyClaim   `json:"summary"`
}

// replyClaim is a text and the facts that it rests on. Cause is the id of a computed cause, in the hypothesis only.
type replyClaim struct {
	Cause     string   `json:"cause,omitempty"`
	Citations []string `json:"citations"`
	Text      string   `json:"text"`
}

// schema describes a reply about the cause with the id that may cite the given facts and no others. Names from telemetry
// are not in it. Citations come before the text, so that a model settles what it rests on before it writes.
func schema(cause string, facts []string) json.RawMessage {
	type object = map[string]any
	text := object{"type": "string", "minLength": minReplyText, "maxLength": maxReplyText}
	citations := object{"type": "array", "items": object{"type": "string", "enum": facts}, "minItems": 1, "maxItems": maxReplyCitations}
	closed := func(properties object) object {
		return object{"type": "object", "properties": properties, "required": slices.Sorted(maps.Keys(properties)), "additionalProperties": false}
	}
	claim := closed(object{"citations": citations, "text": text})
	out, err := json.Marshal(closed(object{
		"hypothesis":      closed(object{"cause": object{"type": "string", "enum": []string{cause}}, "citations": citations, "text": text}),
		"recommendations": object{"type": "array", "items": claim, "minItems": 1, "maxItems": maxReplyActions},
		"summary":         claim,
	}))
	if err != nil {
		panic(fmt.Sprintf("explain: encode reply schema: %v", err)) // strings and numbers only: cannot fail
	}
	return out
}

// parseReply decodes a reply and checks its shape. The problem, if any, has reason FallbackInvalidJSON or FallbackSchema.
func parseReply(text string) (reply, *problem) {
	if len(text) > maxReplyBytes {
		return reply{}, &problem{FallbackSchema, fmt.Sprintf("the reply has more than %d bytes", maxReplyBytes)}
	}
	body := []byte(strings.TrimSpace(text))
	if !json.Valid(body) {
		return reply{}, &problem{FallbackInvalidJSON, "the reply is not one complete JSON object"}
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	var r reply
	if err := dec.Decode(&r); err != nil {
		return reply{}, &problem{FallbackSchema, "the reply does not follow the schema: " + err.Error()}
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return reply{}, &problem{FallbackInvalidJSON, "the reply is more than one JSON object"}
	}
	if p := r.shape(); p != "" {
		return reply{}, &problem{FallbackSchema, p}
	}
	return r, nil
}

// shape says what is missing or too much, "" when nothing is.
func (r reply) shape() string {
	if len(r.Recommendations) == 0 || len(r.Recommendations) > maxReplyActions {
		return "recommendations: want 1 to " + strconv.Itoa(maxReplyActions)
	}
	for where, c := range r.claims() {
		switch {
		case utf8.RuneCountInString(strings.TrimSpace(c.Text)) < minReplyText:
			return where + ": the text is shorter than " + strconv.Itoa(minReplyText) + " characters"
		case utf8.RuneCountInString(c.Text) > maxReplyText:
			return where + ": the text is longer than " + strconv.Itoa(maxReplyText) + " characters"
		case len(c.Citations) > maxReplyCitations:
			return where + ": more than " + strconv.Itoa(maxReplyCitations) + " citations"
		case where == "hypothesis" && c.Cause == "":
			return where + ": the cause is missing"
		case where != "hypothesis" && c.Cause != "":
			return where + ": a cause does not belong here"
		}
	}
	return ""
}

// claims yields every claim with its place in the reply.
func (r reply) claims() iter.Seq2[string, replyClaim] {
	return func(yield func(string, replyClaim) bool) {
		if !yield("summary", r.Summary) || !yield("hypothesis", r.Hypothesis) {
			return
		}
		for i, c := range r.Recommendations {
			if !yield(fmt.Sprintf("recommendations[%d]", i), c) {
				return
			}
		}
	}
}
