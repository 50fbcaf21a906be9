package cache_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/embed/cache"
	"github.com/llm-sentinel/llm-sentinel/engine"
)

// lengths embeds a text as its length and notes each call.
type lengths struct {
	mu    sync.Mutex
	calls [][]string
	err   error
	short bool // answers one vector too few
}

func (l *lengths) Embed(_ context.Context, texts []string) ([][]float32, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, texts)
	if l.err != nil {
		return nil, l.err
	}
	vectors := make([][]float32, len(texts))
	for i, text := range texts {
		vectors[i] = []float32{float32(len(text))}
	}
	if l.short {
		return vectors[1:], nil
	}
	return vectors, nil
}

func (l *lengths) Model() engine.Model {
	return engine.Model{Name: "lengths", Version: "1", Dimension: 1}
}

func newCache(t *testing.T, inner engine.Embedder, entries int) *cache.Embedder {
	t.Helper()
	c, err := cache.New(inner, cache.Config{Entries: entries})
	require.NoError(t, err)
	return c
}

func TestOnlyUnknownTextsArePassedOnOnce(t *testing.T) {
	inner := &lengths{}
	c := newCache(t, inner, 10)
	first, err := c.Embed(t.Context(), []string{"a", "bb", "a"})
	require.NoError(t, err)
	require.Equal(t, [][]float32{{1}, {2}, {1}}, first)
	second, err := c.Embed(t.Context(), []string{"ccc", "bb", "ccc", "a"})
	require.NoError(t, err)
	require.Equal(t, [][]float32{{3}, {2}, {3}, {1}}, second)
	require.Equal(t, [][]string{{"a", "bb"}, {"ccc"}}, inner.calls)
	_, err = c.Embed(t.Context(), []string{"a"})
	require.NoError(t, err)
	require.Len(t, inner.calls, 2, "all known: no call")
	require.Equal(t, cache.Stats{Hits: 5, Misses: 3, Entries: 3}, c.Stats())
	require.Equal(t, inner.Model(), c.Model())
}

func TestCallersOwnTheirVectors(t *testing.T) {
	c := newCache(t, &lengths{}, 10)
	for range 3 {
		vectors, err := c.Embed(t.Context(), []string{"a", "a"})
		require.NoError(t, err)
		require.Equal(t, [][]float32{{1}, {1}}, vectors)
		vectors[0][0] = 99
	}
}

func TestEntriesAreBounded(t *testing.T) {
	inner := &lengths{}
	c := newCache(t, inner, 2)
	for _, text := range []string{"a", "b", "a", "c", "a", "b"} { // b is the least recently used when c comes
		_, err := c.Embed(t.Context(), []string{text})
		require.NoError(t, err)
	}
	require.Equal(t, [][]string{{"a"}, {"b"}, {"c"}, {"b"}}, inner.calls)
	require.Equal(t, 2, c.Stats().Entries)
}

func TestMoreTextsThanEntries(t *testing.T) {
	c := newCache(t, &lengths{}, 1)
	vectors, err := c.Embed(t.Context(), []string{"a", "bb", "ccc", "bb"})
	require.NoError(t, err)
	require.Equal(t, [][]float32{{1}, {2}, {3}, {2}}, vectors)
}

func TestFailuresAreNotRemembered(t *testing.T) {
	inner := &lengths{err: errors.New("down")}
	c := newCache(t, inner, 10)
	vectors, err := c.Embed(t.Context(), []string{"a"})
	require.ErrorIs(t, err, inner.err)
	require.Nil(t, vectors)
	inner.err, inner.short = nil, true
	_, err = c.Embed(t.Context(), []string{"a"})
	require.ErrorContains(t, err, "0 vectors for 1 texts")
	inner.short = false
	vectors, err = c.Embed(t.Context(), []string{"a"})
	require.NoError(t, err)
	require.Equal(t, [][]float32{{1}}, vectors)
}

func TestNoTexts(t *testing.T) {
	vectors, err := newCache(t, &lengths{}, 1).Embed(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, vectors)
}

func TestConcurrentCalls(t *testing.T) {
	c := newCache(t, &lengths{}, 16)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				text := fmt.Sprintf("%0*d", 1+(i*7+g)%40, 0)
				vectors, err := c.Embed(context.Background(), []string{text})
				if err != nil || vectors[0][0] != float32(len(text)) {
					t.Errorf("%q: %v, %v", text, vectors, err)
				}
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 8*200, c.Stats().Hits+c.Stats().Misses)
}

func TestValidate(t *testing.T) {
	require.NoError(t, cache.DefaultConfig().Validate())
	for _, entries := range []int{0, -1, 1<<20 + 1} {
		_, err := cache.New(&lengths{}, cache.Config{Entries: entries})
		require.ErrorContains(t, err, "entries")
	}
}
