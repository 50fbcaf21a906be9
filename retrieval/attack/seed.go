package attack

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

//go:embed attacks.jsonl
var attacks []byte

// Text is one known attack.
type Text struct {
	ID         string          `json:"id"`     // the family and a number, which stay with the text
	Family     string          `json:"family"` // the technique
	Kind       engine.TextKind `json:"kind"`   // where it is met: user_prompt or document
	Text       string          `json:"text"`
	Provenance string          `json:"provenance"` // who wrote it, and after which publicly described technique
}

// Seed returns the texts that ship with the program, family by family.
func Seed() ([]Text, error) { return decode(attacks) }

// decode reads JSON lines. A line that is not a complete text is an error that names its place.
func decode(lines []byte) ([]Text, error) {
	decoder := json.NewDecoder(bytes.NewReader(lines))
	decoder.DisallowUnknownFields()
	var texts []Text
	known := map[string]bool{}
	for {
		var t Text
		err := decoder.Decode(&t)
		if errors.Is(err, io.EOF) {
			return texts, nil
		}
		if err == nil {
			err = t.validate()
		}
		if err == nil && known[t.ID] {
			err = engine.Errorf(engine.CodeInvalid, "id %s appears twice", t.ID)
		}
		if err != nil {
			return nil, engine.Errorf(engine.CodeInvalid, "attack: text %d: %w", len(texts)+1, err)
		}
		known[t.ID] = true
		texts = append(texts, t)
	}
}

func (t Text) validate() error {
	switch {
	case t.ID == "" || t.Family == "" || t.Text == "" || t.Provenance == "":
		return fmt.Errorf("id, family, text and provenance of %q must not be empty", t.ID)
	case t.Kind != engine.TextUserPrompt && t.Kind != engine.TextDocument:
		return fmt.Errorf("kind %q of %s: want user_prompt or document", t.Kind, t.ID)
	}
	return nil
}

// Of lists the texts of one kind.
func Of(texts []Text, kind engine.TextKind) []string {
	var out []string
	for _, t := range texts {
		if t.Kind == kind {
			out = append(out, t.Text)
		}
	}
	return out
}
