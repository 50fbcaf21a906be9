package retrievaltest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// oldestMakeRoom checks a memory that holds three memos a collection.
func oldestMakeRoom(t *testing.T, m engine.Memory) {
	aged := func(id string, hour int) engine.Memo {
		item := memo(id, float64(hour))
		item.At = noon.Add(time.Duration(hour) * time.Hour)
		return item
	}
	held := func() []string { return ids(nearest(t, m, all())) }
	remember(t, m, aged("e", 5), aged("b", 2), aged("d", 4))
	remember(t, m, aged("c", 3))
	require.Equal(t, []string{"c", "d", "e"}, held())
	remember(t, m, aged("a", 1))
	require.Equal(t, []string{"c", "d", "e"}, held(), "one older than all is gone at once")
	remember(t, m, aged("c", 9))
	require.Equal(t, []string{"d", "e", "c"}, held(), "replacing takes no room")
	remember(t, m, aged("f", 6), aged("g", 7))
	require.Equal(t, []string{"f", "g", "c"}, held())
	other := aged("other", 0)
	other.Collection = otherCollections()[0]
	remember(t, m, other)
	require.Equal(t, []string{"f", "g", "c"}, held(), "each collection has a bound of its own")
	n, err := m.Forget(t.Context(), engine.Filter{Collection: normal, IDs: []string{"f"}})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	remember(t, m, aged("h", 8))
	require.Equal(t, []string{"g", "h", "c"}, held(), "what was forgotten has made room")
	remember(t, m, aged("i", 10), aged("j", 11), aged("k", 12), aged("l", 13))
	require.Equal(t, []string{"j", "k", "l"}, held())
}
