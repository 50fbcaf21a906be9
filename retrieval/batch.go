package retrieval

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Batch is what one call of Remember puts into one collection.
type Batch struct {
	Collection engine.Collection
	Memos      []engine.Memo // each id once, in order of their ids
}

// Batches sorts memos by collection, for memories behind a server. Of two with one id in one collection the later stands;
// vectors come out at unit length and texts as Text returns them. The first memo that cannot be stored is CodeInvalid: one
// without an id or with an id that Text would change, or with a vector that has the wrong dimension or no direction.
// Batches are in order of their collections, so that writers which lock one after the other never wait in a circle.
func Batches(memos []engine.Memo) ([]Batch, error) {
	place := map[engine.Collection]map[string]engine.Memo{}
	for _, m := range memos {
		if err := prepare(&m); err != nil {
			return nil, err
		}
		if place[m.Collection] == nil {
			place[m.Collection] = map[string]engine.Memo{}
		}
		place[m.Collection][m.ID] = m
	}
	batches := make([]Batch, 0, len(place))
	for collection, byID := range place {
		b := Batch{Collection: collection, Memos: make([]engine.Memo, 0, len(byID))}
		for _, m := range byID {
			b.Memos = append(b.Memos, m)
		}
		slices.SortFunc(b.Memos, func(x, y engine.Memo) int { return cmp.Compare(x.ID, y.ID) })
		batches = append(batches, b)
	}
	slices.SortFunc(batches, func(x, y Batch) int { return compareCollections(x.Collection, y.Collection) })
	return batches, nil
}

func prepare(m *engine.Memo) error {
	if err := checkID(m.ID); err != nil {
		return err
	}
	if err := checkCollection(m.Collection); err != nil {
		return fmt.Errorf("memo %.64q: %w", m.ID, err)
	}
	v, err := Unit(m.Vector, m.Collection.Model.Dimension)
	if err != nil {
		return fmt.Errorf("memo %.64q: %w", m.ID, err)
	}
	m.Vector = v
	for _, s := range []*string{&m.Text, &m.Service, &m.Operation, &m.Version, &m.Region, &m.Family, &m.Source} {
		*s = Text(*s)
	}
	return nil
}

func compareCollections(a, b engine.Collection) int {
	return cmp.Or(cmp.Compare(a.Purpose, b.Purpose), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Model.Name, b.Model.Name),
		cmp.Compare(a.Model.Version, b.Model.Version), cmp.Compare(a.Model.Dimension, b.Model.Dimension))
}

// checkCollection refuses names that a server cannot hold.
func checkCollection(c engine.Collection) error {
	if c.Model.Dimension < 1 {
		return engine.Errorf(engine.CodeInvalid, "dimension %d: want 1 or more", c.Model.Dimension)
	}
	for _, s := range []string{string(c.Purpose), string(c.Kind), c.Model.Name, c.Model.Version} {
		if s != Text(s) {
			return engine.Errorf(engine.CodeInvalid, "collection name %.64q: want UTF-8 without NUL", s)
		}
	}
	return nil
}

func checkID(id string) error {
	switch {
	case id == "":
		return engine.Errorf(engine.CodeInvalid, "memo without an id")
	case id != Text(id):
		return engine.Errorf(engine.CodeInvalid, "memo id %.64q: want UTF-8 without NUL", id)
	}
	return nil
}

// Text is a text as every server can hold it, and as filters compare it: invalid UTF-8 and NUL are replaced by U+FFFD.
func Text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
}
