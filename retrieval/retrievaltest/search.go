package retrievaltest

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func nearestFirst(t *testing.T, m engine.Memory, o Options) {
	remember(t, m, memo("opposite", 180), memo("far", 80), memo("same", 0), memo("near", 10), memo("across", 90))
	got := nearest(t, m, all())
	require.Equal(t, []string{"same", "near", "far", "across", "opposite"}, ids(got))
	for i, degrees := range []float64{0, 10, 80, 90, 180} {
		require.InDelta(t, math.Cos(degrees*math.Pi/180), got[i].Similarity, o.Tolerance, got[i].Memo.ID)
		require.LessOrEqual(t, math.Abs(got[i].Similarity), 1.0, "a cosine stays in [-1, 1]")
		require.Nil(t, got[i].Memo.Vector, "a neighbor carries no vector")
	}
	q := all()
	q.K = 2
	require.Equal(t, []string{"same", "near"}, ids(nearest(t, m, q)))
	q.K = 0
	_, err := m.Nearest(t.Context(), q)
	requireInvalid(t, err)
}

func agreesWithFullComparison(t *testing.T, m engine.Memory, o Options) {
	const count, dimension, k = 1000, 67, 10 // a dimension that no unrolled loop divides
	collection := normal
	collection.Model.Dimension = dimension
	source := rand.New(rand.NewPCG(1, 2))
	var items []engine.Memo
	for i := range count {
		items = append(items, engine.Memo{ID: fmt.Sprint(i), Collection: collection, Vector: random(source, dimension), At: noon})
	}
	for batch := range slices.Chunk(items, 300) {
		remember(t, m, batch...)
	}
	found, rounds := 0, 20
	for range rounds {
		v := random(source, dimension)
		similarity := func(item engine.Memo) (sum float64) {
			for i, x := range item.Vector {
				sum += float64(x) * float64(v[i])
			}
			return sum
		}
		slices.SortFunc(items, func(a, b engine.Memo) int { return cmp.Compare(similarity(b), similarity(a)) })
		want := map[string]float64{}
		for _, item := range items[:k] {
			want[item.ID] = similarity(item)
		}
		got := nearest(t, m, engine.Query{Filter: engine.Filter{Collection: collection}, Vector: v, K: k})
		require.Len(t, got, k)
		require.True(t, slices.IsSortedFunc(got, func(a, b engine.Neighbor) int { return cmp.Compare(b.Similarity, a.Similarity) }))
		for _, n := range got {
			if s, ok := want[n.Memo.ID]; ok {
				found++
				require.InDelta(t, s, n.Similarity, o.Tolerance)
			}
		}
	}
	require.GreaterOrEqual(t, float64(found)/float64(rounds*k), o.Recall)
}

func memosKeepEveryField(t *testing.T, m engine.Memory, _ Options) {
	item := engine.Memo{
		ID: "m-1", Collection: normal, Vector: at(0), Text: "a text", Service: "checkout", Operation: "chat", Version: "1.2",
		Region: "eu", Family: "persona", Source: "0102", At: noon.Add(123456 * time.Microsecond),
	}
	remember(t, m, item)
	item.Vector = nil
	got := nearest(t, m, all())
	require.Len(t, got, 1)
	require.Equal(t, item, got[0].Memo)
}

func kBeyondSize(t *testing.T, m engine.Memory, _ Options) {
	remember(t, m, memo("a", 1), memo("b", 2))
	q := all()
	q.K = 1000
	require.Equal(t, []string{"a", "b"}, ids(nearest(t, m, q)))
}

func ties(t *testing.T, m engine.Memory, o Options) {
	remember(t, m, memo("a", 30), memo("b", 30), memo("c", 30), memo("best", 5), memo("worst", 90))
	got := nearest(t, m, all())
	require.Equal(t, "best", got[0].Memo.ID)
	require.Equal(t, "worst", got[4].Memo.ID)
	require.ElementsMatch(t, []string{"a", "b", "c"}, ids(got[1:4]))
	q := all()
	q.K = 3 // cuts through the tie
	got = nearest(t, m, q)
	require.Len(t, got, 3)
	for _, n := range got[1:] {
		require.InDelta(t, math.Cos(math.Pi/6), n.Similarity, o.Tolerance)
	}
}

func eachFilter(t *testing.T, m engine.Memory, _ Options) {
	vary := func(id string, degrees float64, change func(*engine.Memo)) engine.Memo {
		item := memo(id, degrees)
		item.Service, item.Operation, item.Version, item.Region = "s", "o", "v", "r"
		change(&item)
		return item
	}
	remember(t, m,
		vary("plain", 1, func(*engine.Memo) {}),
		vary("service", 2, func(m *engine.Memo) { m.Service = "other" }),
		vary("operation", 3, func(m *engine.Memo) { m.Operation = "other" }),
		vary("version", 4, func(m *engine.Memo) { m.Version = "other" }),
		vary("region", 5, func(m *engine.Memo) { m.Region = "other" }),
		vary("later", 6, func(m *engine.Memo) { m.At = noon.Add(time.Hour) }),
		vary("empty", 7, func(m *engine.Memo) { m.Service, m.Operation, m.Version, m.Region = "", "", "", "" }),
	)
	for name, test := range map[string]struct {
		filter engine.Filter
		want   []string
	}{
		"none":             {engine.Filter{}, []string{"plain", "service", "operation", "version", "region", "later", "empty"}},
		"service":          {engine.Filter{Service: "other"}, []string{"service"}},
		"operation":        {engine.Filter{Operation: "other"}, []string{"operation"}},
		"version":          {engine.Filter{Version: "other"}, []string{"version"}},
		"region":           {engine.Filter{Region: "other"}, []string{"region"}},
		"from is included": {engine.Filter{From: noon.Add(time.Hour)}, []string{"later"}},
		"from after all":   {engine.Filter{From: noon.Add(2 * time.Hour)}, []string{}},
		"before excludes":  {engine.Filter{Before: noon}, []string{}},
		"before":           {engine.Filter{Before: noon.Add(time.Hour)}, []string{"plain", "service", "operation", "version", "region", "empty"}},
		"ids":              {engine.Filter{IDs: []string{"later", "plain", "later", "no such"}}, []string{"plain", "later"}},
		"unknown service":  {engine.Filter{Service: "never seen"}, []string{}},
		"case matters":     {engine.Filter{Service: "S"}, []string{}},
	} {
		test.filter.Collection = normal
		require.Equal(t, test.want, ids(nearest(t, m, query(test.filter))), name)
	}
}

func filtersCombine(t *testing.T, m engine.Memory, _ Options) {
	var items []engine.Memo
	for i := range 64 {
		item := memo(fmt.Sprintf("%02d", i), float64(i))
		item.Service, item.Operation = pick(i, 1, "s0", "s1"), pick(i, 2, "o0", "o1")
		item.Version, item.Region = pick(i, 4, "v0", "v1"), pick(i, 8, "r0", "r1")
		if i&16 != 0 {
			item.At = noon.Add(time.Hour)
		}
		items = append(items, item)
	}
	remember(t, m, items...)
	f := engine.Filter{
		Collection: normal, Service: "s1", Operation: "o1", Version: "v1", Region: "r1", From: noon.Add(time.Minute), Before: noon.Add(2 * time.Hour),
	}
	require.Equal(t, []string{"31", "63"}, ids(nearest(t, m, query(f))))
	f.IDs = []string{"63", "15", "30"}
	require.Equal(t, []string{"63"}, ids(nearest(t, m, query(f))))
	f = engine.Filter{Collection: normal, Service: "s0", Region: "r1", Before: noon.Add(time.Minute)}
	require.Equal(t, []string{"08", "10", "12", "14", "40", "42", "44", "46"}, ids(nearest(t, m, query(f))))
}

func pick(i, bit int, off, on string) string {
	if i&bit != 0 {
		return on
	}
	return off
}
