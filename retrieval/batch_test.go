package retrieval_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/retrieval"
)

func collection(kind engine.TextKind) engine.Collection {
	return engine.Collection{Purpose: engine.PurposeNormal, Kind: kind, Model: engine.Model{Name: "m", Dimension: 2}}
}

func memo(id string, kind engine.TextKind, text string) engine.Memo {
	return engine.Memo{ID: id, Collection: collection(kind), Vector: []float32{3, 4}, Text: text}
}

// Two writers that take the same collections and rows must take them in the same order.
func TestBatchesAreInOneOrder(t *testing.T) {
	batches, err := retrieval.Batches([]engine.Memo{
		memo("b", engine.TextUserPrompt, "b"), memo("a", engine.TextUserPrompt, "first"), memo("z", engine.TextDocument, "z"),
		memo("a", engine.TextUserPrompt, "second"),
	})
	require.NoError(t, err)
	require.Len(t, batches, 2)
	require.Equal(t, engine.TextDocument, batches[0].Collection.Kind)
	require.Equal(t, []string{"a", "b"}, []string{batches[1].Memos[0].ID, batches[1].Memos[1].ID})
	require.Equal(t, "second", batches[1].Memos[0].Text, "of two with one id the later stands")
	require.InDeltaSlice(t, []float32{0.6, 0.8}, batches[1].Memos[0].Vector, 1e-6)
}

func TestBatchesRefuseWhatNoServerHolds(t *testing.T) {
	for name, change := range map[string]func(*engine.Memo){
		"no id":           func(m *engine.Memo) { m.ID = "" },
		"NUL in id":       func(m *engine.Memo) { m.ID = "a\x00" },
		"broken id":       func(m *engine.Memo) { m.ID = "a\xff" },
		"broken model":    func(m *engine.Memo) { m.Collection.Model.Name = "\xff" },
		"no dimension":    func(m *engine.Memo) { m.Collection.Model.Dimension, m.Vector = 0, nil },
		"short vector":    func(m *engine.Memo) { m.Vector = m.Vector[:1] },
		"no direction":    func(m *engine.Memo) { m.Vector = []float32{0, 0} },
		"infinite vector": func(m *engine.Memo) { m.Vector[0] = float32(math.Inf(1)) },
	} {
		m := memo("a", engine.TextDocument, "")
		change(&m)
		_, err := retrieval.Batches([]engine.Memo{memo("b", engine.TextDocument, ""), m})
		require.Equal(t, engine.CodeInvalid, engine.ErrorCode(err), name)
	}
}

func TestFiltersAskForTextsAsTheyAreStored(t *testing.T) {
	m := memo("a", engine.TextDocument, "x\x00y\xffz")
	m.Service = "s\x00"
	batches, err := retrieval.Batches([]engine.Memo{m})
	require.NoError(t, err)
	stored := batches[0].Memos[0]
	require.Equal(t, "x\ufffdy\ufffdz", stored.Text)
	f, err := retrieval.Filtered(engine.Filter{Collection: m.Collection, Service: m.Service, IDs: []string{"\xff", "a"}})
	require.NoError(t, err)
	require.Equal(t, stored.Service, f.Service)
	require.Equal(t, []string{"a"}, f.IDs)
	_, err = retrieval.Filtered(engine.Filter{Collection: m.Collection, IDs: []string{"\xff"}})
	require.Equal(t, engine.CodeInvalid, engine.ErrorCode(err), "without its ids the filter would forget everything")
}

func TestTimesComeBack(t *testing.T) {
	now := time.Date(2025, 3, 3, 12, 0, 0, 123456789, time.UTC)
	require.Equal(t, now, retrieval.Time(retrieval.Nanos(now)))
	require.True(t, retrieval.Time(retrieval.Nanos(time.Time{})).IsZero())
	require.Equal(t, 1677, retrieval.Time(retrieval.Nanos(time.Date(1500, 1, 1, 0, 0, 0, 0, time.UTC))).Year())
	require.Equal(t, 2262, retrieval.Time(retrieval.Nanos(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))).Year())
	require.Less(t, retrieval.Nanos(time.Time{}), retrieval.Nanos(time.Date(1500, 1, 1, 0, 0, 0, 0, time.UTC)), "no time is older than any")
}

func TestRank(t *testing.T) {
	neighbors := []engine.Neighbor{
		{Memo: engine.Memo{ID: "c"}, Similarity: 0.5}, {Memo: engine.Memo{ID: "b"}, Similarity: 0.5}, {Memo: engine.Memo{ID: "a"}, Similarity: 1.0000001},
	}
	retrieval.Rank(neighbors)
	require.Equal(t, "a", neighbors[0].Memo.ID)
	require.Equal(t, 1.0, neighbors[0].Similarity)
	require.Equal(t, "b", neighbors[1].Memo.ID)
}
