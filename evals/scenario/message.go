package scenario

import (
	"strconv"
	"unicode/utf8"
)

// message is one entry of gen_ai.input.messages or gen_ai.output.messages.
type message struct {
	role   string
	text   string
	calls  *call // the tool that the assistant calls
	answer *call // the tool whose result this is
	finish string
}

// call is one use of a tool; arguments and result are JSON objects.
type call struct{ id, name, arguments, result string }

// tokens estimates the length of a text with the usual four characters a token.
func tokens(text string) int { return (len(text) + 3) / 4 }

func (m message) tokens() int {
	n := 4 + tokens(m.text)
	if m.calls != nil {
		n += 8 + tokens(m.calls.name) + tokens(m.calls.arguments)
	}
	if m.answer != nil {
		n += tokens(m.answer.result)
	}
	return n
}

// messagesJSON encodes messages with parts as the GenAI semantic conventions do.
func messagesJSON(messages ...message) string {
	b := []byte{'['}
	for i, m := range messages {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"role":`...), m.role)
		b = append(b, `,"parts":[`...)
		switch {
		case m.calls != nil:
			b = appendString(append(b, `{"type":"tool_call","id":`...), m.calls.id)
			b = appendString(append(b, `,"name":`...), m.calls.name)
			b = append(append(b, `,"arguments":`...), m.calls.arguments...)
		case m.answer != nil:
			b = appendString(append(b, `{"type":"tool_call_response","id":`...), m.answer.id)
			b = append(append(b, `,"response":`...), m.answer.result...)
		default:
			b = appendString(append(b, `{"type":"text","content":`...), m.text)
		}
		b = append(b, "}]"...)
		if m.finish != "" {
			b = appendString(append(b, `,"finish_reason":`...), m.finish)
		}
		b = append(b, '}')
	}
	return string(append(b, ']'))
}

// instructionsJSON encodes the system prompt and the passages that were found for the question.
func instructionsJSON(system string, passages []document) string {
	b := appendString([]byte(`[{"type":"text","content":`), system)
	if len(passages) > 0 {
		text := "Relevant passages:"
		for i, d := range passages {
			text += "\n" + strconv.Itoa(i+1) + ". " + d.title + ": " + d.text
		}
		b = appendString(append(b, `},{"type":"text","content":`...), text)
	}
	return string(append(b, "}]"...))
}

// documentsJSON encodes what a search returned.
func documentsJSON(found []document, scores []float64) string {
	b := []byte{'['}
	for i, d := range found {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"id":`...), d.id)
		b = strconv.AppendFloat(append(b, `,"score":`...), scores[i], 'f', 3, 64)
		b = appendString(append(b, `,"content":`...), d.text)
		b = append(b, '}')
	}
	return string(append(b, ']'))
}

// appendString appends text as a JSON string. It stands for encoding/json, which would be the slowest part of a scenario.
func appendString(b []byte, text string) []byte {
	b = append(b, '"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', byte(c))
		case c == '\n':
			b = append(b, '\\', 'n')
		case c < ' ':
			b = append(b, ' ')
		default:
			b = utf8.AppendRune(b, c)
		}
	}
	return append(b, '"')
}
