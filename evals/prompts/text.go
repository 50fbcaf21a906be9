package prompts

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
)

// The kinds and labels of texts in the data.
const (
	kindUser     = "user"     // what a user typed
	kindDocument = "document" // what a tool or retrieval returned

	labelBenign    = "benign"
	labelJailbreak = "jailbreak" // of kind user
	labelInjection = "injection" // of kind document
)

// text is one labelled text of the data or of the over-defence list.
type text struct {
	ID       string      `json:"id"`
	Text     string      `json:"text"`
	Kind     string      `json:"kind"`
	Label    string      `json:"label"`
	Family   string      `json:"family"`
	Cluster  json.Number `json:"cluster,omitempty"`  // of near copies; "" for a text that has none
	Position string      `json:"position,omitempty"` // of an injection in its document: start, middle or end
	Source   string      `json:"source,omitempty"`
	Listed   bool        `json:"-"` // from the over-defence list: never learnt
}

// validate names the first field that makes no sense.
func (t text) validate() error {
	switch {
	case t.ID == "":
		return errors.New("id is empty")
	case strings.TrimSpace(t.Text) == "":
		return errors.New("text is empty")
	case t.Family == "":
		return errors.New("family is empty")
	case t.Kind != kindUser && t.Kind != kindDocument:
		return fmt.Errorf("kind is %q, want %s or %s", t.Kind, kindUser, kindDocument)
	case t.Label == labelBenign, t.Label == labelJailbreak && t.Kind == kindUser, t.Label == labelInjection && t.Kind == kindDocument:
		return nil
	}
	return fmt.Errorf("label of kind %s is %q, want %s, %s of kind %s or %s of kind %s",
		t.Kind, t.Label, labelBenign, labelJailbreak, kindUser, labelInjection, kindDocument)
}

// load reads the texts of the data, and after them those of the over-defence list.
func load(env evals.Env) ([]text, error) {
	texts, err := evals.ReadJSONL(env, env.Path("prompts.jsonl.gz"), evals.Distinct(func(t text) string { return t.ID }, text.validate))
	if err != nil {
		return nil, err
	}
	listed, err := overDefence()
	return append(texts, listed...), err
}

// ofData leaves out the over-defence list.
func ofData(texts []text) []text {
	return slices.DeleteFunc(slices.Clone(texts), func(t text) bool { return t.Listed })
}

// attack reports whether a text is one.
func (t text) attack() bool { return t.Label != labelBenign }

// group names the texts that are near copies of this one, or alike: they are learnt together, judged together and drawn together by the
// bootstrap. It is "" for a text that stands alone.
func (t text) group() string {
	switch {
	case t.Label == labelInjection:
		return "family " + t.Family
	case t.Cluster != "":
		return t.Label + " cluster " + t.Cluster.String()
	}
	return ""
}

// service is what all texts are sent to.
const service = "prompts"

// trace is the text as an application would have sent it, in one span. Each text comes from a user of its own.
func (t text) trace(end time.Time) engine.Trace {
	sum := sha256.Sum256([]byte(t.ID + "\x00" + t.Text))
	s := engine.Span{
		TraceID: engine.TraceID(sum[:16]), SpanID: engine.SpanID(sum[16:24]), Service: service, Start: end.Add(-time.Second), End: end,
		User: hex.EncodeToString(sum[24:]),
	}
	if t.Kind == kindDocument {
		s.Name, s.Operation = "retrieval", engine.OpRetrieval
		s.Retrieval = engine.Retrieval{Documents: []engine.Document{{ID: t.ID, Text: t.Text}}}
	} else {
		s.Name, s.Operation = "chat", engine.OpChat
		s.Input = evals.Said("user", t.Text)
	}
	return engine.NewTrace(s.TraceID, []engine.Span{s})
}

// memo is the text as a known attack; ok is false for one whose place is not known. Of a document only the line that was put into it is
// the attack: the rest of it is as benign as any other, and would teach that benign documents are attacks.
func (t text) memo() (m engine.Memo, ok bool) {
	m = engine.Memo{
		ID: t.ID, Collection: engine.Collection{Purpose: engine.PurposeAttack, Kind: engine.TextUserPrompt},
		Text: t.Text, Family: t.Family, Source: t.Source, At: evals.JudgedAt,
	}
	if t.Kind == kindUser {
		return m, true
	}
	m.Collection.Kind = engine.TextDocument
	whole := strings.TrimSpace(t.Text)
	switch t.Position {
	case "start":
		m.Text, _, _ = strings.Cut(whole, "\n")
	case "end":
		m.Text = whole[strings.LastIndexByte(whole, '\n')+1:]
	default:
		return m, false
	}
	m.Text = strings.TrimSpace(m.Text)
	return m, true
}
