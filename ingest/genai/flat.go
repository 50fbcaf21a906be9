package genai

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// flatAttribute is one attribute of a list that arrives as an attribute for each element's field.
type flatAttribute struct {
	position int
	field    string // behind the position: "message.role", "tool_calls.0.name"
	value    pcommon.Value
}

// flatAttribute keeps an attribute whose name has one of the known prefixes followed by a position.
func (d *draft) flatAttribute(key string, v pcommon.Value) {
	for _, p := range prefixes {
		rest, ok := strings.CutPrefix(key, p.prefix)
		if !ok {
			continue
		}
		if position, field, ok := cutPosition(rest); ok {
			d.flat[p.list] = append(d.flat[p.list], flatAttribute{position, field, v})
		}
		return
	}
}

// cutPosition splits "12.role" into 12 and "role".
func cutPosition(s string) (position int, rest string, ok bool) {
	digits, rest, ok := strings.Cut(s, ".")
	if !ok {
		return 0, "", false
	}
	n, err := strconv.ParseUint(digits, 10, 31)
	return int(n), rest, err == nil
}

// elements calls f with the attributes of each element, in order of position. Positions need not be dense, so a client cannot
// make the server reserve room by naming a large one.
func (d *draft) elements(list int, f func([]flatAttribute)) {
	all := d.flat[list]
	slices.SortStableFunc(all, func(a, b flatAttribute) int { return cmp.Compare(a.position, b.position) })
	for from := 0; from < len(all); {
		to := from + 1
		for to < len(all) && all[to].position == all[from].position {
			to++
		}
		f(all[from:to])
		from = to
	}
}

func (d *draft) flatMessages(list int, role string) []engine.Message {
	var out []engine.Message
	d.elements(list, func(attrs []flatAttribute) { out = append(out, d.flatMessage(attrs, role)) })
	return out
}

// flatMessage builds a message from fields such as role, content, tool_calls.0.name (Traceloop) and message.role,
// message.contents.0.message_content.text, message.tool_calls.0.tool_call.function.name (OpenInference).
func (d *draft) flatMessage(attrs []flatAttribute, role string) engine.Message {
	m := engine.Message{Role: role}
	var content, callID, name string
	var parts, calls nestedParts
	for _, a := range attrs {
		field := trimAnyPrefix(a.field, "message.", "prompt.", "completion.", "embedding.")
		switch field {
		case "role":
			m.Role = cmp.Or(d.cleanName(scalar(a.value)), role)
		case "content", "text":
			content = asText(a.value)
		case "finish_reason":
			m.FinishReason = d.cleanName(scalar(a.value))
		case "tool_call_id":
			callID = d.cleanName(scalar(a.value))
		case "name":
			name = d.cleanName(scalar(a.value))
		default:
			if rest, ok := strings.CutPrefix(field, "tool_calls."); ok {
				calls.set(d, rest, a.value, "tool_call")
			} else if rest, ok := strings.CutPrefix(field, "contents."); ok {
				parts.set(d, rest, a.value, "")
			}
		}
	}
	switch {
	case content == "":
	case strings.HasPrefix(content, "["):
		// Clients that cannot write lists write a list of parts as JSON.
		if in, ok := d.parseMessages(content, m.Role); ok && len(in) == 1 {
			m.Parts = in[0].Parts
			break
		}
		fallthrough
	default:
		m.Parts = append(m.Parts, engine.Part{Kind: engine.PartText, Text: d.cleanText(content)})
	}
	m.Parts = calls.appendTo(d, parts.appendTo(d, m.Parts))
	if m.Role == roleTool {
		for i := range m.Parts {
			m.Parts[i].ID, m.Parts[i].Name = cmp.Or(m.Parts[i].ID, callID), cmp.Or(m.Parts[i].Name, name)
		}
	}
	return m
}

// nestedParts collects the parts of one flat message, which are themselves a flat list, in any order.
type nestedParts []nestedPart

type nestedPart struct {
	position int
	object   object
}

// set stores a field such as "0.tool_call.function.name".
func (n *nestedParts) set(d *draft, path string, v pcommon.Value, kind string) {
	position, field, ok := cutPosition(path)
	if !ok {
		return
	}
	var o *object
	for i := range *n {
		if (*n)[i].position == position {
			o = &(*n)[i].object
		}
	}
	if o == nil {
		if len(*n) >= d.limits.MaxParts {
			d.stats.Cut++
			return
		}
		*n = append(*n, nestedPart{position, object{kind: kind}})
		o = &(*n)[len(*n)-1].object
	}
	switch trimAnyPrefix(field, "tool_call.", "message_content.") {
	case "type":
		if kind == "" {
			o.kind = scalar(v)
		}
	case "text", "content":
		o.text, o.hasText = d.cleanText(asText(v)), true
	case "id":
		o.id = d.cleanName(scalar(v))
	case "name", "function.name":
		o.name = d.cleanName(scalar(v))
	case "arguments", "function.arguments":
		o.arguments, o.hasArguments = d.cleanText(asText(v)), true
	}
}

func (n nestedParts) appendTo(d *draft, parts []engine.Part) []engine.Part {
	slices.SortFunc(n, func(a, b nestedPart) int { return cmp.Compare(a.position, b.position) })
	for i := range n {
		if part, ok := n[i].object.part(); ok {
			parts = d.appendPart(parts, part)
		}
	}
	return parts
}

// flatDocuments reads retrieval.documents.N.document.{id,score,content}.
func (d *draft) flatDocuments() []engine.Document {
	var out []engine.Document
	d.elements(flatDocuments, func(attrs []flatAttribute) {
		if len(out) >= d.limits.MaxDocuments {
			d.stats.Cut++
			return
		}
		var doc engine.Document
		for _, a := range attrs {
			switch strings.TrimPrefix(a.field, "document.") {
			case "id":
				doc.ID = d.cleanName(scalar(a.value))
			case "score":
				doc.Score, _ = d.number(a.value)
			case "content":
				doc.Text = d.cleanText(asText(a.value))
			}
		}
		out = append(out, doc)
	})
	return out
}

func trimAnyPrefix(s string, prefixes ...string) string {
	for _, p := range prefixes {
		if rest, ok := strings.CutPrefix(s, p); ok {
			return rest
		}
	}
	return s
}
