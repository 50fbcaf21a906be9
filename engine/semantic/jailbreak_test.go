package semantic

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func jailbreak(t testing.TB) *Jailbreak {
	j, err := NewJailbreak(config())
	require.NoError(t, err)
	return j
}

// ready is a service whose prompts are known, beside known attacks.
func ready(t testing.TB, seed uint64) (*world, *Jailbreak) {
	w, j, n := newWorld(seed), jailbreak(t), novelty(t)
	w.knowAttacks(t, tiny)
	for range 500 {
		o := w.prompt(shop)
		require.NoError(t, j.Learn(t.Context(), o))
		require.NoError(t, n.Learn(t.Context(), o)) // it is who remembers normal prompts
	}
	return w, j
}

func TestJailbreakTellsAttacksFromPrompts(t *testing.T) {
	t.Parallel()
	w, j := ready(t, 1)
	for range 20 {
		f := only(t, score(t, j, w.prompt(attack)))
		require.True(t, f.Material, "%+v", f)
		require.Less(t, f.P, 0.02)
		require.Equal(t, "override", f.Known.Memo.Family)
		require.Equal(t, engine.PurposeNormal, f.Nearest.Memo.Collection.Purpose, "the nearest normal example stands beside it")
		require.Contains(t, f.Reason, "override")
		require.Equal(t, engine.Subject{Kind: engine.SubjectAPIKey, Value: "key-1"}, f.Subject, "who sent it")
	}
	for range 200 {
		f := only(t, score(t, j, w.prompt(shop)))
		require.False(t, f.Material && f.P < 1e-3, "%+v", f)
	}
}

func TestWhatIsMerelyNewIsNoJailbreak(t *testing.T) {
	t.Parallel()
	w, j := ready(t, 2)
	for range 50 {
		f := only(t, score(t, j, w.prompt(space)))
		require.False(t, f.Material && f.P < 1e-4, "a new topic resembles no attack: %+v", f)
	}
}

func TestJailbreakReadsPromptsOnly(t *testing.T) {
	t.Parallel()
	w, j := ready(t, 3)
	for _, kind := range []engine.TextKind{engine.TextDocument, engine.TextToolResult, engine.TextResponse} {
		require.Empty(t, score(t, j, w.observe("support", tiny, kind, w.sentence(attack))))
	}
}

func TestJailbreakIsSilentWhileItLearnsOrKnowsNoAttack(t *testing.T) {
	t.Parallel()
	w, j := newWorld(4), jailbreak(t)
	require.Empty(t, score(t, j, w.prompt(attack)), "nothing to compare with")
	w.knowAttacks(t, tiny)
	f := only(t, score(t, j, w.prompt(attack)))
	require.True(t, f.Learning)
	require.Equal(t, "key-1", f.Subject.Value)

	w, j = ready(t, 5)
	require.Empty(t, score(t, j, w.observe("support", other, engine.TextUserPrompt, w.sentence(attack))),
		"attacks are known under another model only")
}

func TestAttackerIsTheClosestKnownIdentity(t *testing.T) {
	t.Parallel()
	require.Equal(t, engine.SubjectAPIKey, attacker(&engine.Span{APIKey: "k", User: "u", Service: "s"}).Kind)
	require.Equal(t, engine.SubjectUser, attacker(&engine.Span{User: "u", Service: "s"}).Kind)
	require.Equal(t, engine.SubjectService, attacker(&engine.Span{Service: "s"}).Kind)
}

func TestFailingAttackMemoryIsAnError(t *testing.T) {
	t.Parallel()
	w, j := ready(t, 6)
	w.memory.err = errors.New("connection refused")
	_, err := j.Score(t.Context(), w.prompt(attack))
	require.ErrorContains(t, err, "nearest attack")
	require.ErrorIs(t, j.Learn(t.Context(), w.prompt(shop)), w.memory.err)
}
