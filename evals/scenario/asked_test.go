package scenario

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAsked(t *testing.T) {
	a, err := Asked(1, 20)
	require.NoError(t, err)
	require.NotEmpty(t, a)
	seen := make(map[string]string)
	for _, assistant := range a {
		require.GreaterOrEqual(t, len(assistant.Topics), 2, assistant.Name)
		for _, topic := range assistant.Topics {
			require.Len(t, topic.Prompts, 20)
			for _, p := range topic.Prompts {
				require.NotEmpty(t, p)
				require.NotContains(t, p, "<", "all slots are filled")
				if other, known := seen[p]; known {
					require.Equal(t, other, topic.Name, "topics share no prompt: %s", p)
				}
				seen[p] = topic.Name
			}
		}
	}
	again, err := Asked(1, 20)
	require.NoError(t, err)
	require.Equal(t, a, again)
	other, err := Asked(2, 20)
	require.NoError(t, err)
	require.NotEqual(t, a, other)
}
