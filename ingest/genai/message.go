package genai

import (
	"cmp"
	"errors"
	"io"
	"strings"

	jsoniter "github.com/json-iterator/go"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// The roles that are given to messages which name none.
const (
	roleSystem    = "system"
	roleUser      = "user"
	roleAssistant = "assistant"
	roleTool      = "tool"
)

// messages reads an attribute that holds a conversation: a structured value, JSON in a string, or plain text. Whatever is not
// a list of messages in a known shape is one text of the given role.
func (d *draft) messages(v pcommon.Value, role string) []engine.Message {
	if v == (pcommon.Value{}) || isEmpty(v) {
		return nil
	}
	raw := asText(v)
	if out, ok := d.parseMessages(raw, role); ok {
		return out
	}
	return []engine.Message{d.textMessage(raw, role)}
}

func (d *draft) textMessage(s, role string) engine.Message {
	return engine.Message{Role: role, Parts: []engine.Part{{Kind: engine.PartText, Text: d.cleanText(s)}}}
}

// parseMessages reads JSON. It reports false for everything that is not, from start to end, a conversation in a known shape.
func (d *draft) parseMessages(raw, role string) ([]engine.Message, bool) {
	if s := strings.TrimLeft(raw, " \t\r\n"); s == "" || (s[0] != '[' && s[0] != '{') {
		return nil, false
	}
	buf := d.json[:0]
	d.json = nil // in use
	buf = append(buf, raw...)
	it := jsoniter.ConfigDefault.BorrowIterator(buf)
	defer func() {
		jsoniter.ConfigDefault.ReturnIterator(it)
		d.json = buf
	}()
	p := parser{draft: d, it: it, role: role}
	p.conversation(0)
	if !p.atEnd() || p.failed || len(p.out) == 0 {
		return nil, false
	}
	return p.out, true
}

// parser reads one JSON text of messages.
type parser struct {
	*draft
	it     *jsoniter.Iterator
	role   string
	out    []engine.Message
	open   bool // the last message collects parts that stand outside of a message
	failed bool
}

func (p *parser) atEnd() bool {
	if p.it.Error != nil {
		return false
	}
	p.it.WhatIsNext()
	return errors.Is(p.it.Error, io.EOF) // set by looking past the end, not by garbage behind the value
}

// conversation reads a list of messages, or a single one.
func (p *parser) conversation(depth int) {
	switch p.it.WhatIsNext() {
	case jsoniter.ArrayValue:
		for p.it.ReadArray() {
			p.element(depth + 1)
		}
	default:
		p.element(depth)
	}
}

func (p *parser) element(depth int) {
	switch p.it.WhatIsNext() {
	case jsoniter.StringValue:
		p.out = append(p.out, p.textMessage(p.it.ReadString(), p.role))
		p.open = false
	case jsoniter.ObjectValue:
		o := p.object(depth + 1)
		if len(o.messages) > 0 {
			p.out = append(p.out, o.messages...)
			p.open = false
			return
		}
		if o.isMessage() {
			p.out = append(p.out, o.message(p.role))
			p.open = false
			return
		}
		part, ok := o.part()
		if !ok {
			p.failed = true
			return
		}
		if !p.open {
			p.out = append(p.out, engine.Message{Role: p.role})
			p.open = true
		}
		last := &p.out[len(p.out)-1]
		last.Parts = p.appendPart(last.Parts, part)
	default:
		p.it.Skip()
		p.failed = true
	}
}

func (d *draft) appendPart(parts []engine.Part, part engine.Part) []engine.Part {
	if len(parts) >= d.limits.MaxParts {
		d.stats.Cut++
		return parts
	}
	return append(parts, part)
}

// object is a JSON object of a conversation: a message, a part of one, or a wrapper around messages. Clients use the same keys
// for all three, so what it is shows only at its end.
type object struct {
	kind, role, id, callID, name, mime, finish string

	text, arguments, response          string
	hasText, hasArguments, hasResponse bool
	hasParts                           bool
	parts                              []engine.Part
	messages                           []engine.Message
}

// object reads the object that is next. Keys it does not know are skipped.
func (p *parser) object(depth int) object {
	var o object
	if depth > maxDepth {
		p.it.Skip()
		p.failed = true
		return o
	}
	it := p.it
	for key := it.ReadObject(); key != ""; key = it.ReadObject() {
		switch key {
		case "type":
			o.kind = p.string()
		case "role":
			o.role = p.cleanName(p.string())
		case "id":
			o.id = p.cleanName(p.string())
		case "tool_call_id", "call_id", "tool_use_id":
			o.callID = p.cleanName(p.string())
		case "name":
			o.name = p.cleanName(p.string())
		case "mime_type", "media_type", "modality":
			o.mime = cmp.Or(o.mime, p.cleanName(p.string()))
		case "finish_reason", "stop_reason":
			o.finish = p.cleanName(p.string())
		case "content", "contents", "text", "refusal", "reasoning", "thinking":
			p.content(&o, depth)
		case "parts":
			o.hasParts = true
			p.partList(&o, depth, "")
		case "tool_calls":
			o.hasParts = true
			p.partList(&o, depth, "tool_call")
		case "arguments", "input":
			o.arguments, o.hasArguments = p.raw(), true
		case "response", "result", "output":
			o.response, o.hasResponse = p.raw(), true
		case "function", "tool_call", "message_content":
			p.nested(&o, depth)
		case "message":
			p.inner(&o, depth)
		case "messages", "choices":
			o.messages = append(o.messages, p.wrapped(depth)...)
		default:
			it.Skip()
		}
	}
	return o
}

// string reads a string. Null is "", and numbers, as some ids are, keep their digits.
func (p *parser) string() string {
	switch p.it.WhatIsNext() {
	case jsoniter.StringValue:
		return p.it.ReadString()
	case jsoniter.NumberValue:
		return strings.TrimSpace(string(p.it.SkipAndReturnBytes()))
	}
	p.it.Skip()
	return ""
}

// raw reads a string's text, or any other value as JSON.
func (p *parser) raw() string {
	switch p.it.WhatIsNext() {
	case jsoniter.StringValue:
		return p.cleanText(p.it.ReadString())
	case jsoniter.NilValue:
		p.it.Skip()
		return ""
	}
	return p.cleanText(strings.TrimSpace(string(p.it.SkipAndReturnBytes())))
}

// content reads the content of a message or part: a text, a list of parts, or one part.
func (p *parser) content(o *object, depth int) {
	switch p.it.WhatIsNext() {
	case jsoniter.ArrayValue:
		o.hasParts = true
		p.partList(o, depth, "")
	case jsoniter.ObjectValue:
		inner := p.object(depth + 1)
		if part, ok := inner.part(); ok {
			o.hasParts = true
			o.parts = p.appendPart(o.parts, part)
		} else {
			p.failed = true
		}
	case jsoniter.NilValue:
		p.it.Skip()
	default:
		if s := p.raw(); !o.hasText || o.text == "" {
			o.text, o.hasText = s, true
		}
	}
}

// partList reads a list of parts. kind is what they are when they do not say so themselves.
func (p *parser) partList(o *object, depth int, kind string) {
	if p.it.WhatIsNext() != jsoniter.ArrayValue {
		p.failed = p.failed || p.it.WhatIsNext() != jsoniter.NilValue
		p.it.Skip()
		return
	}
	for p.it.ReadArray() {
		switch p.it.WhatIsNext() {
		case jsoniter.StringValue:
			o.parts = p.appendPart(o.parts, engine.Part{Kind: engine.PartText, Text: p.cleanText(p.it.ReadString())})
		case jsoniter.ObjectValue:
			e := p.object(depth + 1)
			e.kind = cmp.Or(e.kind, kind)
			if part, ok := e.part(); ok {
				o.parts = p.appendPart(o.parts, part)
			} else {
				p.failed = true
			}
		default:
			p.it.Skip()
			p.failed = true
		}
	}
}

// nested reads an object whose fields belong to the one around it, such as "function" in a tool call.
func (p *parser) nested(o *object, depth int) {
	if p.it.WhatIsNext() != jsoniter.ObjectValue {
		p.it.Skip()
		return
	}
	in := p.object(depth + 1)
	o.kind, o.id, o.name, o.mime = cmp.Or(o.kind, in.kind), cmp.Or(o.id, in.id), cmp.Or(o.name, in.name), cmp.Or(o.mime, in.mime)
	if in.hasText {
		o.text, o.hasText = in.text, true
	}
	if in.hasArguments {
		o.arguments, o.hasArguments = in.arguments, true
	}
}

// inner reads the message inside of a choice, which carries the finish reason outside.
func (p *parser) inner(o *object, depth int) {
	if p.it.WhatIsNext() != jsoniter.ObjectValue {
		p.content(o, depth)
		return
	}
	in := p.object(depth + 1)
	in.finish = cmp.Or(o.finish, in.finish)
	in.role = cmp.Or(in.role, o.role)
	in.hasParts = true
	in.parts = append(o.parts, in.parts...)
	*o = in
}

// wrapped reads the messages inside of a request or response that was recorded whole.
func (p *parser) wrapped(depth int) []engine.Message {
	if depth > maxDepth {
		p.it.Skip()
		p.failed = true
		return nil
	}
	q := parser{draft: p.draft, it: p.it, role: p.role}
	q.conversation(depth + 1)
	p.failed = p.failed || q.failed
	return q.out
}

func (o *object) isMessage() bool { return o.role != "" || o.hasParts || o.finish != "" }

func (o *object) message(role string) engine.Message {
	m := engine.Message{Role: cmp.Or(o.role, role), FinishReason: o.finish, Parts: o.parts}
	if o.hasText && o.text != "" {
		m.Parts = append([]engine.Part{{Kind: engine.PartText, Text: o.text}}, m.Parts...)
	}
	if m.Role == roleTool {
		for i := range m.Parts {
			m.Parts[i].ID = cmp.Or(m.Parts[i].ID, o.callID, o.id)
			m.Parts[i].Name = cmp.Or(m.Parts[i].Name, o.name)
		}
	}
	return m
}

// part reports false when nothing in the object says what it is.
func (o *object) part() (engine.Part, bool) {
	kind, known := partKinds[o.kind]
	if !known {
		switch {
		case o.hasText:
			kind = engine.PartText
		case o.hasArguments && o.name != "":
			kind = engine.PartToolCall
		case o.hasResponse:
			kind = engine.PartToolResponse
		case o.kind != "":
			kind = engine.PartMedia
		default:
			return engine.Part{}, false
		}
	}
	part := engine.Part{Kind: kind, ID: cmp.Or(o.callID, o.id), Name: o.name}
	switch kind {
	case engine.PartToolCall:
		part.Text = o.arguments
	case engine.PartToolResponse:
		part.Text = cmp.Or(o.response, o.text, engine.Message{Parts: o.parts}.Text())
	case engine.PartMedia:
		part.ID, part.Name = "", cmp.Or(o.mime, o.kind)
	default:
		part.Text = cmp.Or(o.text, engine.Message{Parts: o.parts}.Text())
		if o.callID == "" && o.kind != "" {
			part.ID, part.Name = "", ""
		}
	}
	return part, true
}

// settle brings a conversation into the form that the domain promises: system messages apart, tool texts as tool responses,
// no empty messages, and not more than the limit, of which the newest are kept.
func (d *draft) settle(system, in []engine.Message) (sys, rest []engine.Message) {
	for i := range system {
		system[i].Role = roleSystem
	}
	sys, rest = system, in[:0]
	for _, m := range in {
		switch m.Role {
		case roleSystem, "developer":
			m.Role = roleSystem
			sys = append(sys, m)
		default:
			rest = append(rest, m)
		}
	}
	return d.trim(sys), d.trim(rest)
}

func (d *draft) trim(in []engine.Message) []engine.Message {
	out := in[:0]
	for _, m := range in {
		if len(m.Parts) == 0 && m.FinishReason == "" {
			continue
		}
		m.Role = strings.ToLower(m.Role)
		for i := range m.Parts {
			if m.Role == roleTool && m.Parts[i].Kind == engine.PartText {
				m.Parts[i].Kind = engine.PartToolResponse
			}
		}
		out = append(out, m)
	}
	if over := len(out) - d.limits.MaxMessages; over > 0 {
		d.stats.Cut++
		out = append([]engine.Message(nil), out[over:]...)
	}
	if len(out) == 0 {
		return nil
	}
	return out
}
