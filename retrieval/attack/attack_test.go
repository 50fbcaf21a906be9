package attack

import (
	"context"
	"hash/fnv"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func TestSeed(t *testing.T) {
	texts, err := Seed()
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(texts), 220)
	families, kinds, provenances := map[string]int{}, map[string]engine.TextKind{}, map[string]string{}
	seen := map[string]string{}
	words := map[engine.TextKind]int{}
	for _, text := range texts {
		require.True(t, strings.HasPrefix(text.ID, text.Family+"-"), text.ID)
		require.Equal(t, strings.TrimSpace(text.Text), text.Text, text.ID)
		require.GreaterOrEqual(t, len(strings.Fields(text.Text)), 5, "%s is too short to be compared", text.ID)
		require.LessOrEqual(t, len(strings.Fields(text.Text)), 400, text.ID)
		key := strings.ToLower(text.Text)
		require.Empty(t, seen[key], "%s repeats a text", text.ID)
		seen[key] = text.ID
		if families[text.Family] > 0 {
			require.Equal(t, kinds[text.Family], text.Kind, "a family has one kind")
			require.Equal(t, provenances[text.Family], text.Provenance, "a family has one provenance")
		}
		families[text.Family]++
		kinds[text.Family], provenances[text.Family] = text.Kind, text.Provenance
		words[text.Kind] += len(strings.Fields(text.Text))
	}
	require.GreaterOrEqual(t, len(families), 25)
	for family, count := range families {
		require.GreaterOrEqual(t, count, 8, "family %s", family)
	}
	require.Positive(t, words[engine.TextUserPrompt])
	require.Positive(t, words[engine.TextDocument])
}

func TestDecodeRefusesIncompleteTexts(t *testing.T) {
	const good = `{"id":"a-1","family":"a","kind":"document","text":"t","provenance":"p"}` + "\n"
	texts, err := decode([]byte(good))
	require.NoError(t, err)
	require.Len(t, texts, 1)
	for name, lines := range map[string]string{
		"twice":         good + good,
		"no id":         `{"family":"a","kind":"document","text":"t","provenance":"p"}`,
		"no text":       `{"id":"a-1","family":"a","kind":"document","provenance":"p"}`,
		"kind":          `{"id":"a-1","family":"a","kind":"response","text":"t","provenance":"p"}`,
		"unknown field": `{"id":"a-1","famly":"a"}`,
		"no JSON":       good + `{"id":`,
	} {
		_, err := decode([]byte(lines))
		require.Equal(t, engine.CodeInvalid, engine.ErrorCode(err), "%s: %v", name, err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"id":"a-1","family":"a","kind":"document","text":"t","provenance":"p"}`))
	f.Add([]byte("{}\n[]"))
	f.Fuzz(func(t *testing.T, lines []byte) {
		texts, err := decode(lines)
		if err != nil {
			require.Empty(t, texts)
		}
		for _, text := range texts {
			require.NoError(t, text.validate())
		}
	})
}

func TestChunks(t *testing.T) {
	require.Equal(t, []string{"a short  text\nas it is"}, chunks("a short  text\nas it is"))
	word := "w "
	require.Len(t, chunks(strings.Repeat(word, 60)), 1)
	for count, want := range map[int][]int{61: {30, 31}, 120: {60, 60}, 121: {40, 40, 41}, 250: {50, 50, 50, 50, 50}} {
		var lengths []int
		for _, chunk := range chunks(strings.Repeat(word, count)) {
			lengths = append(lengths, len(strings.Fields(chunk)))
		}
		require.Equal(t, want, lengths)
	}
}

// hashing is an embedder that turns each text into a direction of its own, and counts what it was asked.
type hashing struct {
	version   string
	embedded  int
	fail      error
	failAfter int // texts that it embeds before it fails
}

func (h *hashing) Model() engine.Model {
	return engine.Model{Name: "hashing", Version: h.version, Dimension: 2}
}

func (h *hashing) Embed(_ context.Context, texts []string) ([][]float32, error) {
	if h.fail != nil && h.embedded >= h.failAfter {
		return nil, h.fail
	}
	h.embedded += len(texts)
	vectors := make([][]float32, len(texts))
	for i, text := range texts {
		sum := fnv.New32a()
		sum.Write([]byte(text))
		angle := float64(sum.Sum32())
		vectors[i] = []float32{float32(math.Cos(angle)), float32(math.Sin(angle))}
		if strings.Contains(text, "64 69 73") { // as if there was nothing that it knows
			vectors[i] = make([]float32, 2)
		}
	}
	return vectors, nil
}

// shelf is a memory that answers by id alone.
type shelf map[engine.Collection]map[string]engine.Memo

func (s shelf) Remember(_ context.Context, items []engine.Memo) error {
	for _, item := range items {
		if s[item.Collection] == nil {
			s[item.Collection] = map[string]engine.Memo{}
		}
		s[item.Collection][item.ID] = item
	}
	return nil
}

func (s shelf) Nearest(_ context.Context, q engine.Query) (found []engine.Neighbor, err error) {
	for _, id := range q.IDs {
		if item, ok := s[q.Collection][id]; ok && len(found) < q.K {
			found = append(found, engine.Neighbor{Memo: item})
		}
	}
	return found, nil
}

func (s shelf) Forget(context.Context, engine.Filter) (int, error) { return 0, nil }

func TestRememberOnce(t *testing.T) {
	memory, embedder := shelf{}, &hashing{version: "1"}
	first, err := Remember(t.Context(), memory, embedder)
	require.NoError(t, err)
	require.Equal(t, embedder.embedded-1, first, "the chunk without a usable token is left out")

	jailbreaks := engine.Collection{Purpose: engine.PurposeAttack, Kind: engine.TextUserPrompt, Model: embedder.Model()}
	documents := jailbreaks
	documents.Kind = engine.TextDocument
	require.Len(t, memory, 2)
	require.Equal(t, first, len(memory[jailbreaks])+len(memory[documents]))
	for id, item := range memory[jailbreaks] {
		require.NotEmpty(t, item.Family, id)
		require.NotEmpty(t, item.Source, id)
		require.False(t, item.At.IsZero(), id)
		require.LessOrEqual(t, len(strings.Fields(item.Text)), chunkWords, id)
	}

	embedder.embedded = 0
	again, err := Remember(t.Context(), memory, embedder)
	require.NoError(t, err)
	require.Zero(t, again)
	require.LessOrEqual(t, embedder.embedded, 1, "what is there is not embedded again")

	// A text that was mended in a later version replaces what stands under its id, and one that was forgotten comes back.
	changed := memory[documents]["seed-task_override-01-0"]
	changed.Text = "as an earlier version had it"
	memory[documents][changed.ID] = changed
	delete(memory[documents], "seed-task_override-02-0")
	again, err = Remember(t.Context(), memory, embedder)
	require.NoError(t, err)
	require.Equal(t, 2, again)
	require.NotEqual(t, changed.Text, memory[documents][changed.ID].Text)
}

func TestRememberForEachModel(t *testing.T) {
	memory := shelf{}
	first, err := Remember(t.Context(), memory, &hashing{version: "1"})
	require.NoError(t, err)
	second, err := Remember(t.Context(), memory, &hashing{version: "2"})
	require.NoError(t, err)
	require.Equal(t, first, second)
	require.Len(t, memory, 4)
}

func TestRememberTellsWhyItFailed(t *testing.T) {
	down := engine.Errorf(engine.CodeUnavailable, "no embedder")
	_, err := Remember(t.Context(), shelf{}, &hashing{fail: down})
	require.ErrorIs(t, err, down)
	require.Equal(t, engine.CodeUnavailable, engine.ErrorCode(err))
}

// A slow embedder that is cut off again and again gets through all the same.
func TestRememberGoesOnWhereItStopped(t *testing.T) {
	whole, err := Remember(t.Context(), shelf{}, &hashing{version: "1"})
	require.NoError(t, err)
	memory := shelf{}
	slow := &hashing{version: "1", fail: context.DeadlineExceeded, failAfter: 3 * batchSize}
	first, err := Remember(t.Context(), memory, slow)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.GreaterOrEqual(t, first, 3*batchSize-1)
	rest, err := Remember(t.Context(), memory, &hashing{version: "1"})
	require.NoError(t, err)
	require.Equal(t, whole, first+rest)
}
