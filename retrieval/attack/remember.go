package attack

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// chunkWords is about how many words a chunk has. An attack is often a few sentences inside of a longer text, and the
// vector of a long text is blind to them.
const chunkWords = 60

// batchSize is how many chunks are embedded at a time. What a slow embedder got done before ctx ended is kept.
const batchSize = 32

// written stands for the time of the seed texts, the same at each start so that a memory that evicts its oldest memos keeps
// a stable order.
var written = time.Date(2025, time.January, 1, 0, 0, 0, 0, time.UTC)

// Remember puts the seed texts, chunk by chunk, into the attack collections of the embedder's model and says how many chunks
// were new or had changed. Only those are embedded: a second call does nothing, and one after a failure goes on where that
// stopped. A chunk in which the embedder finds no usable token is left out.
func Remember(ctx context.Context, memory engine.Memory, embedder engine.Embedder) (int, error) {
	texts, err := Seed()
	if err != nil {
		return 0, err
	}
	total := 0
	for _, kind := range []engine.TextKind{engine.TextUserPrompt, engine.TextDocument} {
		collection := engine.Collection{Purpose: engine.PurposeAttack, Kind: kind, Model: embedder.Model()}
		n, err := remember(ctx, memory, embedder, memos(texts, collection))
		total += n
		if err != nil {
			return total, fmt.Errorf("attack: remember %s texts: %w", kind, err)
		}
	}
	return total, nil
}

// memos makes a memo, still without its vector, of each chunk of the collection's kind.
func memos(texts []Text, collection engine.Collection) []engine.Memo {
	var out []engine.Memo
	for _, t := range texts {
		if t.Kind != collection.Kind {
			continue
		}
		for i, chunk := range chunks(t.Text) {
			out = append(out, engine.Memo{
				ID: fmt.Sprintf("seed-%s-%d", t.ID, i), Collection: collection, Text: chunk, Family: t.Family, Source: t.Provenance, At: written,
			})
		}
	}
	return out
}

func remember(ctx context.Context, memory engine.Memory, embedder engine.Embedder, items []engine.Memo) (int, error) {
	items, err := missing(ctx, memory, items)
	if err != nil {
		return 0, err
	}
	total := 0
	for batch := range slices.Chunk(items, batchSize) {
		texts := make([]string, len(batch))
		for i, item := range batch {
			texts[i] = item.Text
		}
		vectors, err := embedder.Embed(ctx, texts)
		if err != nil {
			return total, err
		}
		usable := make([]engine.Memo, 0, len(batch))
		for i, item := range batch {
			item.Vector = vectors[i]
			if engine.Usable(item.Vector) {
				usable = append(usable, item)
			}
		}
		if err := memory.Remember(ctx, usable); err != nil {
			return total, err
		}
		total += len(usable)
	}
	return total, nil
}

// missing drops the items that the memory holds already with the same text. It asks for their ids with any vector, since
// the ids alone decide.
func missing(ctx context.Context, memory engine.Memory, items []engine.Memo) ([]engine.Memo, error) {
	if len(items) == 0 {
		return nil, nil
	}
	collection := items[0].Collection
	axis := make([]float32, max(1, collection.Model.Dimension))
	axis[0] = 1
	q := engine.Query{Filter: engine.Filter{Collection: collection}, Vector: axis, K: len(items)}
	for _, item := range items {
		q.IDs = append(q.IDs, item.ID)
	}
	held, err := memory.Nearest(ctx, q)
	if err != nil {
		return nil, err
	}
	texts := make(map[string]string, len(held))
	for _, n := range held {
		texts[n.Memo.ID] = n.Memo.Text
	}
	var out []engine.Memo
	for _, item := range items {
		if text, ok := texts[item.ID]; !ok || text != item.Text {
			out = append(out, item)
		}
	}
	return out, nil
}

// chunks cuts a text between words into parts of about equal length, as few as keep each within chunkWords.
func chunks(text string) []string {
	words := strings.Fields(text)
	if len(words) <= chunkWords {
		return []string{text}
	}
	count := (len(words) + chunkWords - 1) / chunkWords
	out := make([]string, count)
	for i := range out {
		out[i] = strings.Join(words[i*len(words)/count:(i+1)*len(words)/count], " ")
	}
	return out
}
