package explain

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func TestATopicIsNamedByTheModelInItsWords(t *testing.T) {
	for reply, name := range map[string]string{
		`{"name": " Late parcel  refunds "}`: "Late parcel refunds",
		`{"name": "Weather"}`:                "", // none of the words
		`{"name": "refund 100"}`:             "",
		`{"name": "<b>refund</b>"}`:          "",
		`{"name": "refund a b c d e f g"}`:   "",
		`{"name": ""}`:                       "",
		`refund`:                             "",
		`{"name": "refund of what was ordered and never came to anybody here"}`: "",
	} {
		chat := &script{answers: []func(context.Context, Request) (Reply, error){says(reply)}}
		e, _ := explainer(t, withModel(), chat)
		got, err := e.NameTopic(t.Context(), []string{"refund", "parcel"}, "Where is my refund?")
		require.Equal(t, name, got)
		if name == "" {
			require.Equal(t, engine.CodeInvalid, engine.ErrorCode(err), reply)
		} else {
			require.NoError(t, err)
		}
		require.Contains(t, chat.asked[0].User, "refund\nparcel\n")
	}
}

func TestATopicKeepsItsWordsWithoutAModelOrABudget(t *testing.T) {
	e, _ := explainer(t, DefaultConfig(), nil)
	_, err := e.NameTopic(t.Context(), []string{"refund"}, "")
	require.Equal(t, engine.CodeUnavailable, engine.ErrorCode(err))
	cfg := withModel()
	cfg.Budget.TokensPerHour = 10
	chat := &script{answers: []func(context.Context, Request) (Reply, error){says(`{"name":"refund"}`)}}
	e, _ = explainer(t, cfg, chat)
	_, err = e.NameTopic(t.Context(), []string{"refund"}, "")
	require.Equal(t, engine.CodeUnavailable, engine.ErrorCode(err))
	require.Empty(t, chat.asked)
}
