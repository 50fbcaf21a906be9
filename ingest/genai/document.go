package genai

import (
	"strconv"
	"strings"

	jsoniter "github.com/json-iterator/go"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// parseDocuments reads a list of documents, [{"id": …, "score": …, "content": …}], structured or as JSON in a string. What is
// not such a list is one document with that text.
func (d *draft) parseDocuments() []engine.Document {
	if d.documents == (attribute{}) {
		return nil
	}
	raw := asText(d.documents)
	it := jsoniter.ConfigDefault.BorrowIterator([]byte(raw))
	defer jsoniter.ConfigDefault.ReturnIterator(it)
	p := parser{draft: d, it: it}
	var out []engine.Document
	if it.WhatIsNext() == jsoniter.ArrayValue {
		for it.ReadArray() {
			doc := p.document()
			if len(out) < d.limits.MaxDocuments {
				out = append(out, doc)
			} else {
				d.stats.Cut++
			}
		}
	} else {
		p.failed = true
	}
	if p.failed || !p.atEnd() {
		return []engine.Document{{Text: d.cleanText(raw)}}
	}
	return out
}

func (p *parser) document() engine.Document {
	var doc engine.Document
	switch p.it.WhatIsNext() {
	case jsoniter.StringValue:
		doc.Text = p.cleanText(p.it.ReadString())
	case jsoniter.ObjectValue:
		for key := p.it.ReadObject(); key != ""; key = p.it.ReadObject() {
			switch key {
			case "id":
				doc.ID = p.cleanName(p.string())
			case "score":
				doc.Score = p.score()
			case "content", "text", "page_content":
				doc.Text = p.raw()
			default:
				p.it.Skip()
			}
		}
	default:
		p.it.Skip()
		p.failed = true
	}
	return doc
}

// score reads a number, also from a string. What is none counts as ignored and is 0.
func (p *parser) score() float64 {
	f, err := strconv.ParseFloat(strings.TrimSpace(p.string()), 64)
	if err != nil || !finite(f) {
		p.stats.Ignored++
		return 0
	}
	return f
}
