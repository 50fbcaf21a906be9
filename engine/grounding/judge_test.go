package grounding

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// reader is a Judge with prepared quotes.
type reader struct {
	quotes func(sentences []string) ([]string, error)
	asked  [][]string
}

func (r *reader) Support(_ context.Context, _, sentences []string) ([]string, error) {
	r.asked = append(r.asked, sentences)
	return r.quotes(sentences)
}

// doubted is a detector that has learnt a service, and an answer of which it is not sure.
func doubted(t *testing.T, judge Judge) (*Detector, engine.Observation) {
	t.Helper()
	d, err := New(config(), judge)
	require.NoError(t, err)
	w := newWorld()
	for range 200 {
		o := w.grounded()
		f := score(t, d, o)
		o.Findings = []engine.Finding{f}
		require.NoError(t, d.Learn(t.Context(), o))
	}
	document := "The harbour of Lund was opened in 1742 by the mayor. Its 12 windows were made by a local firm from the canal quarter."
	o := w.trace("when was it opened?", "The harbour of Lund was opened in 1742. A guild of glaziers worked on the panes.", document)
	return d, o
}

func TestAJudgeTakesBackWhatItFindsInThePassages(t *testing.T) {
	d, o := doubted(t, nil)
	alone := score(t, d, o)
	require.True(t, alone.Material)
	require.Less(t, alone.P, doubtful)
	require.GreaterOrEqual(t, alone.P, settled, "the case is meant to be a doubtful one")

	const panes, opened = "windows were made by a local firm", "harbour of Lund was opened in 1742"
	for name, c := range map[string]struct {
		quotes  func([]string) ([]string, error)
		stands  bool
		excerpt string
	}{
		"words of its own": {func(s []string) ([]string, error) {
			return []string{"a local firm from the canal quarter worked", opened}[:len(s)], nil
		}, true, "A guild of glaziers worked on the panes."}, // not the passage's words
		"silent":      {func(s []string) ([]string, error) { return make([]string, len(s)), nil }, true, "A guild of glaziers worked on the panes."},
		"another's":   {func([]string) ([]string, error) { return []string{panes, opened}, nil }, true, "A guild of glaziers worked on the panes."},
		"unavailable": {func([]string) ([]string, error) { return nil, errors.New("away") }, true, alone.Excerpt},
		"too few":     {func([]string) ([]string, error) { return []string{opened}, nil }, true, alone.Excerpt},
	} {
		judge := &reader{quotes: c.quotes}
		d, o := doubted(t, judge)
		f := score(t, d, o)
		require.Equal(t, c.stands, f.Material, name)
		require.Equal(t, c.excerpt, f.Excerpt, name)
		require.Len(t, judge.asked, 1, name)
		require.Equal(t, "A guild of glaziers worked on the panes.", judge.asked[0][0], "what lacks most is asked first")
		require.InDelta(t, alone.Raw, f.Raw, 1e-12, "what is learnt does not depend on a judge")
	}

	judge := &reader{quotes: func([]string) ([]string, error) { return []string{panes, opened}, nil }}
	d, _ = doubted(t, judge)
	w := newWorld()
	o = w.trace("when was it opened?", "Lund opened it. Firm craftsmen fitted glass panes there.",
		"The harbour of Lund was opened in 1742 by the mayor. Its 12 windows were made by a local firm from the canal quarter.")
	f := score(t, d, o)
	require.Len(t, judge.asked, 1)
	require.False(t, f.Material, "each sentence shares a word with its quote, and the quotes are the passage's")
	require.InDelta(t, 1, f.P, 0)
	require.Contains(t, f.Reason, "found each sentence")
}

func TestAJudgeIsAskedAboutDoubtfulAnswersAlone(t *testing.T) {
	judge := &reader{quotes: func(s []string) ([]string, error) { return make([]string, len(s)), nil }}
	d, _ := doubted(t, judge)
	w := newWorld()
	for range 20 {
		f := score(t, d, w.grounded())
		require.False(t, f.Material && f.P < doubtful)
	}
	require.Empty(t, judge.asked)
}
