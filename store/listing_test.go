package store

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func FuzzParseCursor(f *testing.F) {
	f.Add(cursor{at: -1, id: "a-1"}.String())
	f.Add("")
	f.Add("AAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseCursor(text)
		if err != nil {
			require.Equal(t, engine.CodeInvalid, engine.ErrorCode(err))
			return
		}
		again, err := parseCursor(c.String())
		require.NoError(t, err)
		require.Equal(t, c, again)
	})
}
