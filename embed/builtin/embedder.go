package builtin

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"sync"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// MaxRunes is how much of a text is read, in runes; the rest is cut off.
const MaxRunes = 8192

var (
	//go:embed table.bin
	tableFile []byte
	//go:embed vocab.txt
	vocabFile string
)

// Embedder embeds texts with the table in the binary. It is read-only after New and safe for concurrent use.
type Embedder struct {
	tokenizer *tokenizer
	table     *table
	model     engine.Model
	scratch   sync.Pool // of *scratch
}

// scratch is the working memory of one text.
type scratch struct {
	ids  []uint32
	word wordBuffer
}

// New reads the table in the binary, which takes some 20 ms and 3 MB. It fails only when the binary was built with
// files that do not belong together.
func New() (*Embedder, error) {
	tokenizer, err := newTokenizer(vocabFile)
	if err != nil {
		return nil, err
	}
	table, err := parseTable(tableFile, tokenizer.size)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(tableFile)
	return &Embedder{
		tokenizer: tokenizer,
		table:     table,
		model:     engine.Model{Name: "builtin-minilm", Version: hex.EncodeToString(sum[:4]), Dimension: Dimension},
		scratch:   sync.Pool{New: func() any { return new(scratch) }},
	}, nil
}

// Embed returns one vector of unit length and [Dimension] values a text. A text without tokens (empty, or nothing but white
// space and control characters) has the zero vector. Invalid UTF-8 is skipped, and what lies beyond [MaxRunes] is not read.
// The only error is that of ctx, which is looked at between texts.
func (e *Embedder) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	s := e.scratch.Get().(*scratch)
	defer e.scratch.Put(s)
	vectors := make([][]float32, len(texts))
	for i, text := range texts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s.ids = e.tokenizer.tokenize(s.ids[:0], firstRunes(text, MaxRunes), &s.word)
		vectors[i] = make([]float32, Dimension)
		e.table.embed(vectors[i], s.ids)
	}
	return vectors, nil
}

// Model names the table: its version is the start of the table's SHA-256, so that a new table never meets old vectors.
func (e *Embedder) Model() engine.Model { return e.model }

// firstRunes cuts text after n runes; a byte that is not UTF-8 counts as one.
func firstRunes(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for i := range text {
		if n == 0 {
			return text[:i]
		}
		n--
	}
	return text
}
