package prompts

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// overDefenceList holds benign texts, written for this project, that use the words of attackers. Its families say what would make a
// careless detector cry out.
//
//go:embed overdefence.jsonl
var overDefenceList []byte

// listPrefix sets the families of the list apart from those of the data.
const listPrefix = "list: "

// overDefence returns the list as benign user prompts.
func overDefence() ([]text, error) {
	decoder := json.NewDecoder(bytes.NewReader(overDefenceList))
	decoder.DisallowUnknownFields()
	var out []text
	for {
		var line struct{ ID, Text, Family string }
		err := decoder.Decode(&line)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		t := text{ID: line.ID, Text: line.Text, Family: listPrefix + line.Family, Kind: kindUser, Label: labelBenign, Listed: true}
		if err == nil {
			err = t.validate()
		}
		if err != nil {
			return nil, fmt.Errorf("prompts: over-defence text %d: %w", len(out)+1, err)
		}
		out = append(out, t)
	}
}
