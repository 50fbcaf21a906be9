package engine

import (
	"cmp"
	"slices"
	"time"
)

// Model names an embedding model. Vectors of two models are never compared.
type Model struct {
	Name      string `json:"name"`
	Version   string `json:"version"`
	Dimension int    `json:"dimension"`
}

// Usable reports whether a vector can be compared: an embedder gives the zero vector to a text in which it knows no token.
func Usable(vector []float32) bool {
	return slices.ContainsFunc(vector, func(x float32) bool { return x != 0 })
}

// Purpose is what a collection of vectors is for.
type Purpose string

// The purposes.
const (
	PurposeNormal   Purpose = "normal"
	PurposeAttack   Purpose = "attack"
	PurposeIncident Purpose = "incident"
)

// TextKind is where in a workflow a text comes from; kinds are never compared with each other.
type TextKind string

// The kinds of text.
const (
	TextSystemPrompt  TextKind = "system_prompt"
	TextUserPrompt    TextKind = "user_prompt"
	TextResponse      TextKind = "response"
	TextToolArguments TextKind = "tool_arguments"
	TextToolResult    TextKind = "tool_result"
	TextDocument      TextKind = "document"
	TextIncident      TextKind = "incident"
)

// Collection is one room of the vector memory.
type Collection struct {
	Purpose Purpose  `json:"purpose"`
	Kind    TextKind `json:"kind"`
	Model   Model    `json:"model"`
}

// Memo is one remembered vector with what it stands for. Vector has unit length and the collection's dimension.
// A memo with the id of an earlier one in the same collection replaces it.
type Memo struct {
	ID         string     `json:"id"`
	Collection Collection `json:"collection"`
	Vector     []float32  `json:"-"`
	Text       string     `json:"text"` // redacted excerpt
	Service    string     `json:"service,omitempty"`
	Operation  string     `json:"operation,omitempty"`
	Version    string     `json:"version,omitempty"`
	Region     string     `json:"region,omitempty"`
	Family     string     `json:"family,omitempty"` // of an attack
	Source     string     `json:"source,omitempty"` // trace id, or where a seed text comes from
	At         time.Time  `json:"at"`               // event time
}

// Filter chooses memos of one collection. Empty fields do not restrict.
type Filter struct {
	Collection Collection
	IDs        []string
	Service    string
	Operation  string
	Version    string
	Region     string
	From       time.Time // At >= From
	Before     time.Time // At < Before
}

// Query asks for the K nearest memos to Vector among those that pass the filter.
type Query struct {
	Filter
	Vector []float32
	K      int
}

// Neighbor is a remembered item and its cosine similarity to the query, in [-1, 1]. Its Memo carries no vector.
type Neighbor struct {
	Memo       Memo    `json:"memo"`
	Similarity float64 `json:"similarity"`
}

// example is the neighbor as evidence shows it, nil for none.
func (n *Neighbor) example() *Example {
	if n == nil {
		return nil
	}
	return &Example{Text: n.Memo.Text, Similarity: n.Similarity, Source: cmp.Or(n.Memo.Family, n.Memo.Source)}
}
