package explain

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func TestQuotesAreReadByTheNumberOfTheirSentence(t *testing.T) {
	passages, sentences := []string{"The bridge opened in 1931."}, []string{"It opened in 1931.", "It is red."}
	for reply, want := range map[string][]string{
		`{"quotes":[{"sentence":2,"quote":""},{"sentence":1,"quote":" opened in 1931 "}]}`: {"opened in 1931", ""},
		`{"quotes":[{"sentence":1,"quote":"opened in 1931"}]}`:                             {"opened in 1931", ""},
		`{"quotes":[{"sentence":3,"quote":"opened"}]}`:                                     nil,
		`yes`: nil,
	} {
		chat := &script{answers: []func(context.Context, Request) (Reply, error){says(reply)}}
		e, _ := explainer(t, withModel(), chat)
		got, err := e.Support(t.Context(), passages, sentences)
		require.Equal(t, want, got, reply)
		require.Contains(t, chat.asked[0].User, "1: It opened in 1931.\n2: It is red.\n")
		if want == nil {
			require.Equal(t, engine.CodeInvalid, engine.ErrorCode(err), reply)
			continue
		}
		again, err := e.Support(t.Context(), passages, sentences)
		require.NoError(t, err)
		require.Equal(t, want, again)
		require.Len(t, chat.asked, 1, "the same question is asked once")
	}
}

func TestNotesComeBeforeJudgements(t *testing.T) {
	chat := &script{answers: []func(context.Context, Request) (Reply, error){says(`{"quotes":[]}`)}}
	e, _ := explainer(t, withModel(), chat)
	e.turn <- struct{}{} // a note is being written
	_, err := e.Support(t.Context(), []string{"a"}, []string{"b"})
	require.Equal(t, engine.CodeUnavailable, engine.ErrorCode(err))
	<-e.turn

	const told = 1000 // tokens that each reply says it took
	request := Request{User: "short", MaxTokens: 100}
	cfg := withModel()
	cfg.Budget.TokensPerHour = 2 * told
	e, _ = explainer(t, cfg, chat)
	_, fallback := e.complete(t.Context(), "", request, &usage{})
	require.Empty(t, fallback, "half of the budget")
	_, fallback = e.complete(t.Context(), "", request, &usage{})
	require.Equal(t, FallbackBudget, fallback, "the other half is for notes")
	_, fallback = e.complete(t.Context(), "inc-1", request, &usage{})
	require.Empty(t, fallback)

	e, _ = explainer(t, DefaultConfig(), nil)
	_, err = e.Support(t.Context(), []string{"a"}, []string{"b"})
	require.Equal(t, engine.CodeUnavailable, engine.ErrorCode(err))
}
