package semantic

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func novelty(t testing.TB) *Novelty {
	n, err := NewNovelty(config())
	require.NoError(t, err)
	return n
}

func TestNoveltyIsSilentWhileItLearns(t *testing.T) {
	t.Parallel()
	w, n := newWorld(1), novelty(t)
	require.True(t, only(t, score(t, n, w.prompt(space))).Learning)
	w.teach(t, n, config().MinTexts)
	f := only(t, score(t, n, w.prompt(space)))
	require.True(t, f.Learning, "enough texts to compare with, but nothing says yet how alike texts usually are")
	require.Equal(t, engine.Subject{Kind: engine.SubjectService, Value: "support"}, f.Subject)
	w.teach(t, n, config().MinScores+int(config().Siblings/time.Minute))
	require.False(t, only(t, score(t, n, w.prompt(space))).Learning)
}

func TestNoveltyRisesForUnlikeTexts(t *testing.T) {
	t.Parallel()
	w, n := newWorld(2), novelty(t)
	w.teach(t, n, 500)
	for range 20 {
		f := only(t, score(t, n, w.prompt(space)))
		require.True(t, f.Material)
		require.Less(t, f.P, 0.02)
		require.Less(t, f.Effect.Current, f.Effect.Baseline)
		require.NotEmpty(t, f.Excerpt)
		require.NotNil(t, f.Nearest)
		require.Equal(t, engine.SemanticNovelty, f.Type)
	}
	half := w.observe("support", tiny, engine.TextUserPrompt, w.sentence(shop)+" "+w.sentence(space))
	whole := w.observe("support", tiny, engine.TextUserPrompt, w.sentence(space)+" "+w.sentence(space))
	require.LessOrEqual(t, only(t, score(t, n, whole)).P, only(t, score(t, n, half)).P)
}

// The texts of one conversation are alike, and a first question has no siblings yet: it must not look strange for that.
func TestConversationsDoNotMakeFirstQuestionsStrange(t *testing.T) {
	t.Parallel()
	cfg := config()
	of := func(siblings time.Duration) float64 {
		w := newWorld(4)
		cfg.Siblings = siblings
		n, err := NewNovelty(cfg)
		require.NoError(t, err)
		subject := func() (words []string) {
			for range 4 {
				words = append(words, fmt.Sprint("word", w.rng.IntN(40)))
			}
			return words
		}
		for range 60 {
			about := subject()
			for range 5 {
				require.NoError(t, n.Learn(t.Context(), w.prompt(about)))
			}
		}
		w.traces += 60 // an hour later
		strange := 0
		const looks = 200
		for range looks {
			if only(t, score(t, n, w.prompt(subject()))).P < 0.05 {
				strange++
			}
		}
		return float64(strange) / looks
	}
	require.Less(t, of(cfg.Siblings), 0.06)
	require.Greater(t, of(0), 0.1, "compared with their siblings, calm texts seem less strange than they are")
}

func TestNoveltyIsCalibratedOnCalmTexts(t *testing.T) {
	t.Parallel()
	w, n := newWorld(3), novelty(t)
	w.teach(t, n, 700)
	below5, told := 0, 0
	const looks = 1_000
	for range looks {
		f := only(t, score(t, n, w.prompt(shop)))
		require.False(t, f.Learning)
		if f.P < 0.05 {
			below5++
		}
		if f.Material && f.P < 1e-4 {
			told++
		}
	}
	require.Less(t, below5, looks/10)
	require.LessOrEqual(t, told, 1)
}

func TestStrangestChunkCounts(t *testing.T) {
	t.Parallel()
	w, n := newWorld(4), novelty(t)
	w.teach(t, n, 500)
	strange := w.sentence(space)
	o := w.observe("support", tiny, engine.TextUserPrompt, w.sentence(shop), strange, w.sentence(shop))
	f := only(t, score(t, n, o))
	require.Equal(t, strange, f.Excerpt)
	require.True(t, f.Material)
	alone := only(t, score(t, n, w.observe("support", tiny, engine.TextUserPrompt, strange)))
	require.Greater(t, f.P, alone.P, "three looks are more likely to find something than one")
}

func TestModelsAndServicesAreLearntApart(t *testing.T) {
	t.Parallel()
	w, n := newWorld(5), novelty(t)
	w.teach(t, n, 400)
	require.False(t, only(t, score(t, n, w.prompt(shop))).Learning)
	require.True(t, only(t, score(t, n, w.observe("support", other, engine.TextUserPrompt, w.sentence(shop)))).Learning)
	require.True(t, only(t, score(t, n, w.observe("billing", tiny, engine.TextUserPrompt, w.sentence(shop)))).Learning)

	// What a service is asked is compared with what that service was asked.
	for range 300 {
		require.NoError(t, n.Learn(t.Context(), w.observe("planetarium", tiny, engine.TextUserPrompt, w.sentence(space))))
	}
	usual := only(t, score(t, n, w.observe("planetarium", tiny, engine.TextUserPrompt, w.sentence(space))))
	strange := only(t, score(t, n, w.observe("planetarium", tiny, engine.TextUserPrompt, w.sentence(shop))))
	require.Greater(t, usual.P, 0.01)
	require.Less(t, strange.P, usual.P)
	require.True(t, strange.Material)
}

func TestOnlyPromptsAreRemembered(t *testing.T) {
	t.Parallel()
	w, n := newWorld(6), novelty(t)
	w.teach(t, n, 300)
	known := len(w.memory.memos)
	for _, kind := range []engine.TextKind{engine.TextDocument, engine.TextToolResult, engine.TextResponse, engine.TextSystemPrompt} {
		o := w.observe("support", tiny, kind, w.sentence(space))
		if kind == engine.TextResponse || kind == engine.TextSystemPrompt {
			require.Empty(t, score(t, n, o))
		}
		require.NoError(t, n.Learn(t.Context(), o))
	}
	require.Len(t, w.memory.memos, known)
}

func TestTextWithoutAnyKnownTokenIsPassedOver(t *testing.T) {
	t.Parallel()
	w, n := newWorld(7), novelty(t)
	o := w.observe("support", tiny, engine.TextUserPrompt, "")
	require.Empty(t, score(t, n, o))
	require.NoError(t, n.Learn(t.Context(), o))
	require.Empty(t, w.memory.memos)
}

func TestRepeatedTextIsRememberedOnceAndStillCounts(t *testing.T) {
	t.Parallel()
	w, n := newWorld(8), novelty(t)
	for range 400 {
		require.NoError(t, n.Learn(t.Context(), w.observe("support", tiny, engine.TextUserPrompt, "where is my parcel")))
	}
	require.Len(t, w.memory.memos, 1)
	require.False(t, only(t, score(t, n, w.observe("support", tiny, engine.TextUserPrompt, "where is my parcel"))).Learning)
}

func TestExcerptIsBounded(t *testing.T) {
	t.Parallel()
	cfg := config()
	cfg.ExcerptBytes = 10
	n, err := NewNovelty(cfg)
	require.NoError(t, err)
	w := newWorld(9)
	require.NoError(t, n.Learn(t.Context(), w.observe("support", tiny, engine.TextUserPrompt, strings.Repeat("größe ", 20))))
	require.Len(t, w.memory.memos, 1)
	require.LessOrEqual(t, len(w.memory.memos[0].Text), 10)
	require.True(t, utf8.ValidString(w.memory.memos[0].Text))
}

func TestScoreTeachesNothing(t *testing.T) {
	t.Parallel()
	cfg := config()
	cfg.MaxServices = 2
	n, err := NewNovelty(cfg)
	require.NoError(t, err)
	w := newWorld(10)
	w.teach(t, n, 400)
	o := w.prompt(space)
	first, known := score(t, n, o), len(w.memory.memos)
	for i := range 100 {
		score(t, n, w.observe(fmt.Sprint("unknown-", i), tiny, engine.TextUserPrompt, w.sentence(shop)))
		score(t, n, o)
	}
	require.Equal(t, first, score(t, n, o), "asking about other services must not push this one out")
	require.Len(t, w.memory.memos, known)
}

func TestFailingMemoryIsAnError(t *testing.T) {
	t.Parallel()
	w, n := newWorld(11), novelty(t)
	w.memory.err = errors.New("connection refused")
	_, err := n.Score(t.Context(), w.prompt(shop))
	require.ErrorIs(t, err, w.memory.err)
	require.ErrorContains(t, err, "nearest normal")
	require.ErrorIs(t, n.Learn(t.Context(), w.prompt(shop)), w.memory.err)
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	require.NoError(t, DefaultConfig().Validate())
	for name, change := range map[string]func(*Config){
		"min_texts":     func(c *Config) { c.MinTexts = 0 },
		"keep_scores":   func(c *Config) { c.KeepScores = c.MinScores - 1 },
		"neighbors":     func(c *Config) { c.Neighbors = 0 },
		"duplicate":     func(c *Config) { c.Duplicate = 1.5 },
		"excerpt_bytes": func(c *Config) { c.ExcerptBytes = -1 },
	} {
		cfg := DefaultConfig()
		change(&cfg)
		_, err := NewNovelty(cfg)
		require.ErrorContains(t, err, name)
		_, err = NewJailbreak(cfg, nil)
		require.ErrorContains(t, err, name)
	}
}
