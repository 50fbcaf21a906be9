package retrievaltest

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func rememberReplaces(t *testing.T, m engine.Memory, o Options) {
	remember(t, m, memo("a", 0), memo("b", 20))
	replacement := memo("a", 60)
	replacement.Text, replacement.Service = "another text", "search"
	remember(t, m, replacement)
	got := nearest(t, m, all())
	require.Equal(t, []string{"b", "a"}, ids(got))
	require.Equal(t, "another text", got[1].Memo.Text)
	require.InDelta(t, 0.5, got[1].Similarity, o.Tolerance)
	require.Equal(t, []string{"b"}, ids(nearest(t, m, query(engine.Filter{Collection: normal, Service: "checkout"}))))

	remember(t, m, memo("c", 1), memo("c", 70)) // of two with one id, the later stands
	require.Equal(t, []string{"b", "a", "c"}, ids(nearest(t, m, all())))
}

func forget(t *testing.T, m engine.Memory, _ Options) {
	var items []engine.Memo
	for i := range 6 {
		item := memo(fmt.Sprint(i), float64(i))
		item.Service, item.At = pick(i, 1, "even", "odd"), noon.Add(time.Duration(i)*time.Hour)
		items = append(items, item)
	}
	remember(t, m, items...)
	forgotten := func(f engine.Filter) int {
		f.Collection = normal
		n, err := m.Forget(t.Context(), f)
		require.NoError(t, err)
		return n
	}
	require.Zero(t, forgotten(engine.Filter{Service: "none"}))
	require.Equal(t, 2, forgotten(engine.Filter{Before: noon.Add(2 * time.Hour)}))
	require.Equal(t, []string{"2", "3", "4", "5"}, ids(nearest(t, m, all())))
	require.Equal(t, 1, forgotten(engine.Filter{IDs: []string{"3", "0", "3"}}), "those that exist count, once")
	require.Equal(t, 2, forgotten(engine.Filter{Service: "even"}))
	require.Equal(t, []string{"5"}, ids(nearest(t, m, all())))
	remember(t, m, memo("0", 0))
	require.Equal(t, []string{"0", "5"}, ids(nearest(t, m, all())))
	require.Equal(t, 2, forgotten(engine.Filter{}), "a filter that does not restrict empties the collection")
	require.Empty(t, nearest(t, m, all()))
	require.Zero(t, forgotten(engine.Filter{}))
}

// neighbors of the collection normal in each part of its key, and one that a careless concatenation would confuse with it.
func otherCollections() []engine.Collection {
	vary := func(change func(*engine.Collection)) engine.Collection {
		c := normal
		change(&c)
		return c
	}
	return []engine.Collection{
		vary(func(c *engine.Collection) { c.Purpose = engine.PurposeAttack }),
		vary(func(c *engine.Collection) { c.Kind = engine.TextDocument }),
		vary(func(c *engine.Collection) { c.Model.Name = "other" }),
		vary(func(c *engine.Collection) { c.Model.Version = "2" }),
		vary(func(c *engine.Collection) { c.Model.Name, c.Model.Version = "test-model1", "" }),
		vary(func(c *engine.Collection) { c.Model.Name = "Test/Model:latest é" }),
	}
}

func collectionsAreIsolated(t *testing.T, m engine.Memory, _ Options) {
	collections := append(otherCollections(), normal)
	var items []engine.Memo
	for i, c := range collections {
		item := memo("same id", float64(i))
		item.Collection, item.Text = c, fmt.Sprint("of ", i)
		items = append(items, item)
	}
	remember(t, m, items...)
	for i, c := range collections {
		got := nearest(t, m, query(engine.Filter{Collection: c}))
		require.Len(t, got, 1)
		require.Equal(t, fmt.Sprint("of ", i), got[0].Memo.Text)
		require.Equal(t, c, got[0].Memo.Collection)
	}
	n, err := m.Forget(t.Context(), engine.Filter{Collection: normal})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	for _, c := range otherCollections() {
		require.Len(t, nearest(t, m, query(engine.Filter{Collection: c})), 1)
	}
}

func modelChangeStartsEmpty(t *testing.T, m engine.Memory, _ Options) {
	remember(t, m, memo("a", 0))
	larger := normal
	larger.Model.Dimension = 2 * dimension
	q := engine.Query{Filter: engine.Filter{Collection: larger}, Vector: append(at(0), make([]float32, dimension)...), K: 1}
	require.Empty(t, nearest(t, m, q))
	item := memo("a", 0)
	item.Collection, item.Vector = larger, q.Vector
	remember(t, m, item)
	require.Len(t, nearest(t, m, q), 1)
	require.Len(t, nearest(t, m, all()), 1, "what the earlier model has left stays")
}

func unknownCollection(t *testing.T, m engine.Memory, _ Options) {
	require.Empty(t, nearest(t, m, all()))
	n, err := m.Forget(t.Context(), engine.Filter{Collection: normal})
	require.NoError(t, err)
	require.Zero(t, n)
}

func emptyRemember(t *testing.T, m engine.Memory, _ Options) {
	require.NoError(t, m.Remember(t.Context(), nil))
	require.NoError(t, m.Remember(t.Context(), []engine.Memo{}))
	require.Empty(t, nearest(t, m, all()))
}

func badVectors(t *testing.T, m engine.Memory, _ Options) {
	remember(t, m, memo("good", 0))
	nan, inf := at(0), at(0)
	nan[3], inf[3] = float32(math.NaN()), float32(math.Inf(-1))
	for name, vector := range map[string][]float32{
		"none": nil, "short": at(0)[:dimension-1], "long": append(at(0), 0), "not a number": nan, "infinite": inf, "zero": make([]float32, dimension),
	} {
		bad := memo("bad one", 0)
		bad.Vector = vector
		err := m.Remember(t.Context(), []engine.Memo{memo("beside", 1), bad})
		require.Equal(t, engine.CodeInvalid, engine.ErrorCode(err), "%s: %v", name, err)
		require.ErrorContains(t, err, "bad one", "the error names the item")
		q := all()
		q.Vector = vector
		_, err = m.Nearest(t.Context(), q)
		require.Equal(t, engine.CodeInvalid, engine.ErrorCode(err), "%s: %v", name, err)
	}
	unnamed := memo("", 0)
	requireInvalid(t, m.Remember(t.Context(), []engine.Memo{unnamed}))
	require.Equal(t, []string{"good"}, ids(nearest(t, m, all())), "all or none")
}

func hostileStrings(t *testing.T, m engine.Memory, _ Options) {
	for _, text := range []string{
		`'; DROP TABLE memos; --`, `"quoted" \back\`, "%_*?[]", "日本語 🙂 \u202e", "line\nbreak", " ", "$1 ?1 :a {}", "../../etc",
	} {
		item := memo(text, 0)
		item.Text, item.Service, item.Operation, item.Version, item.Region, item.Family, item.Source = text, text, text, text, text, text, text
		remember(t, m, item)
		got := nearest(t, m, query(engine.Filter{Collection: normal, IDs: []string{text}, Service: text, Operation: text, Version: text, Region: text}))
		require.Len(t, got, 1, "%q", text)
		item.Vector = nil
		require.Equal(t, item, got[0].Memo)
		n, err := m.Forget(t.Context(), engine.Filter{Collection: normal, Service: text})
		require.NoError(t, err)
		require.Equal(t, 1, n, "%q", text)
	}
}

// What a text holds must not keep it, or what comes with it, from being remembered: that would be a way not to be learnt. A
// server may replace what it cannot hold, in a filter as in a memo.
func notText(t *testing.T, m engine.Memory, _ Options) {
	for _, text := range []string{"zero\x00byte", "broken \xff\xed\xa0\x80 bytes"} {
		item := memo("odd", 1)
		item.Text, item.Service, item.Operation, item.Version, item.Region, item.Family, item.Source = text, text, text, text, text, text, text
		remember(t, m, memo("plain", 2), item)
		got := nearest(t, m, query(engine.Filter{Collection: normal, Service: text, Operation: text, Version: text, Region: text}))
		require.Equal(t, []string{"odd"}, ids(got), "%q", text)
		require.Contains(t, []string{text, strings.ReplaceAll(strings.ToValidUTF8(text, "\ufffd"), "\x00", "\ufffd")}, got[0].Memo.Text)
		n, err := m.Forget(t.Context(), engine.Filter{Collection: normal, Service: text})
		require.NoError(t, err)
		require.Equal(t, 1, n, "%q", text)
	}
}

func manyAtOnce(t *testing.T, m engine.Memory, _ Options) {
	const count = 2500
	var items []engine.Memo
	for i := range count {
		item := memo(fmt.Sprint(i), float64(i)/100)
		item.Service, item.At = fmt.Sprint("s", i%500), noon.Add(time.Duration(i)*time.Second)
		items = append(items, item)
	}
	remember(t, m, items...)
	remember(t, m, items...)
	q := query(engine.Filter{Collection: normal, Service: "s499"})
	require.Equal(t, []string{"499", "999", "1499", "1999", "2499"}, ids(nearest(t, m, q)), "five of 2,500")
	q.Filter = engine.Filter{Collection: normal, From: noon.Add(2498 * time.Second)}
	require.Equal(t, []string{"2498", "2499"}, ids(nearest(t, m, q)))
	q.K = count + 1
	q.Filter = engine.Filter{Collection: normal}
	require.Len(t, nearest(t, m, q), count)
	n, err := m.Forget(t.Context(), engine.Filter{Collection: normal, Before: noon.Add(2000 * time.Second)})
	require.NoError(t, err)
	require.Equal(t, 2000, n)
	require.Len(t, nearest(t, m, q), 500)
}

func concurrentUse(t *testing.T, m engine.Memory, _ Options) {
	const writers, each = 4, 20
	var wg sync.WaitGroup
	errs := make(chan error, 4*writers*each)
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				own, shared := memo(fmt.Sprintf("%d-%d", w, i), float64(i)), memo("shared", float64(w))
				errs <- m.Remember(t.Context(), []engine.Memo{own, shared})
				if i%5 == 4 {
					_, err := m.Forget(t.Context(), engine.Filter{Collection: normal, IDs: []string{fmt.Sprintf("%d-%d", w, i)}})
					errs <- err
				}
			}
		})
		wg.Go(func() {
			for range each {
				neighbors, err := m.Nearest(t.Context(), all())
				for i := 1; i < len(neighbors) && err == nil; i++ {
					if neighbors[i].Similarity > neighbors[i-1].Similarity {
						err = fmt.Errorf("out of order beside writers: %v", neighbors)
					}
				}
				errs <- err
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	q := all()
	q.K = 1000
	require.Len(t, nearest(t, m, q), writers*each*4/5+1)
}

func cancelledCalls(t *testing.T, m engine.Memory, _ Options) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, m.Remember(ctx, []engine.Memo{memo("a", 0)}), context.Canceled)
	_, err := m.Nearest(ctx, all())
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, nearest(t, m, all()))
}

func survivesReopen(t *testing.T, m engine.Memory, o Options) {
	other := memo("other", 3)
	other.Collection = otherCollections()[0]
	remember(t, m, memo("a", 10), memo("b", 20), memo("c", 30), other)
	remember(t, m, memo("b", 5))
	n, err := m.Forget(t.Context(), engine.Filter{Collection: normal, IDs: []string{"c"}})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	before, beforeOther := nearest(t, m, all()), nearest(t, m, query(engine.Filter{Collection: other.Collection}))

	m = o.Reopen(t, m)
	require.Equal(t, before, nearest(t, m, all()))
	require.Equal(t, beforeOther, nearest(t, m, query(engine.Filter{Collection: other.Collection})))

	m = o.Reopen(t, m)
	remember(t, m, memo("d", 1)) // writing before anything was read
	require.Equal(t, []string{"d", "b", "a"}, ids(nearest(t, m, all())))
	m = o.Reopen(t, m)
	n, err = m.Forget(t.Context(), engine.Filter{Collection: normal, Service: "checkout"})
	require.NoError(t, err)
	require.Equal(t, 3, n)
}
