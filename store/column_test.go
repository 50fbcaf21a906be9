package store

import (
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func TestTextIsWhatEveryDatabaseHolds(t *testing.T) {
	require.Equal(t, "naïve 🙂\n", Text("naïve 🙂\n"))
	require.Equal(t, "a\ufffdb\ufffdc", Text("a\x00b\xffc"))
	require.True(t, utf8.ValidString(Text("\xed\xa0\x80")), "a surrogate half is no UTF-8")
}

func TestRequireIDKeepsIDsApart(t *testing.T) {
	require.NoError(t, RequireID("anomaly", "a-1"))
	for _, id := range []string{"", "a\x00", "a\xff"} {
		require.Equal(t, engine.CodeInvalid, engine.ErrorCode(RequireID("anomaly", id)), "%q", id)
	}
}
