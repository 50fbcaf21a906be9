package semantic

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// crowd fills a set with texts of as many users, one text a minute.
func crowd(s *normalTexts, cfg Config, texts, users int) (at time.Time) {
	at = began
	for i := range texts {
		at = at.Add(time.Minute)
		s.take(fmt.Sprintf("crowd-%d", i), hashUser(fmt.Sprintf("user-%d", i%users)), at, cfg)
	}
	return at
}

func (s *normalTexts) of(user string) (n int) {
	for _, t := range s.Texts {
		if t.User == hashUser(user) {
			n++
		}
	}
	return n
}

func TestOneUserCannotTakeOverWhatIsNormal(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.MaxNormal = 500
	for _, texts := range []int{300, cfg.MaxNormal + 500} { // while it fills, and once it is full
		s := &normalTexts{}
		at := crowd(s, cfg, texts, 50)
		before := len(s.Texts)
		for i := range 2_000 { // over weeks, so that no hour has many
			at = at.Add(7 * time.Minute)
			s.take(fmt.Sprintf("mallory-%d", i), hashUser("mallory"), at, cfg)
			s.take(fmt.Sprintf("late-%d", i), hashUser(fmt.Sprintf("user-%d", i%50)), at, cfg)
		}
		require.LessOrEqual(t, s.of("mallory"), int(cfg.UserShare*float64(len(s.Texts)))+1, "%d before", before)
		require.LessOrEqual(t, len(s.Texts), cfg.MaxNormal)
		require.Positive(t, s.Refused)
	}
}

func TestOneBurstCannotTakeOverWhatIsNormal(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.MaxNormal = 1_000
	s := &normalTexts{}
	at := crowd(s, cfg, 600, 50)
	for i := range 2_000 { // within an hour, from as many users
		s.take(fmt.Sprintf("burst-%d", i), hashUser(fmt.Sprintf("bot-%d", i)), at.Truncate(time.Hour).Add(time.Hour+time.Duration(i)*time.Millisecond), cfg)
	}
	burst := 0
	for _, x := range s.Texts {
		if x.Hour == at.Unix()/3600+1 {
			burst++
		}
	}
	require.LessOrEqual(t, burst, int(cfg.BurstShare*float64(len(s.Texts)))+1)
	require.GreaterOrEqual(t, len(s.Texts)-burst, 600, "and pushed nothing else out")
}

func TestWhoComesAloneIsLearntAndGivesWayLater(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.MaxNormal = 600
	s := &normalTexts{}
	at := began
	for i := range cfg.MaxNormal {
		at = at.Add(time.Minute)
		require.Empty(t, s.take(fmt.Sprintf("only-%d", i), hashUser("only"), at, cfg), "a service with one user has what that one asks as its normal")
	}
	for i := range cfg.MaxNormal {
		at = at.Add(time.Minute)
		require.Len(t, s.take(fmt.Sprintf("other-%d", i), hashUser(fmt.Sprintf("user-%d", i%50)), at, cfg), 1)
	}
	require.LessOrEqual(t, s.of("only"), int(cfg.UserShare*float64(cfg.MaxNormal))+1)
	require.Len(t, s.Texts, cfg.MaxNormal)
}

func TestWhatIsNormalAges(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	s := &normalTexts{}
	s.take("seen again", 0, began, cfg)
	s.take("never again", 0, began, cfg)
	s.refresh("seen again", began.Add(cfg.MaxAge/2))
	require.Equal(t, []string{"never again"}, s.take("new", 0, began.Add(cfg.MaxAge+time.Second), cfg))

	// Where the set is full, what was not seen for longest gives way.
	cfg.MaxNormal = 150
	s = &normalTexts{}
	at := crowd(s, cfg, 150, 50)
	s.refresh("crowd-0", at)
	require.Equal(t, []string{"crowd-1"}, s.take("new", 0, at.Add(time.Minute), cfg))
}

// What one user sends calibrates the detector no more than it fills the set.
func TestOneUserCannotCalibrateAlone(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	s := &normalTexts{}
	for i := range 2 * cfg.KeepScores {
		s.hears(hashUser(fmt.Sprintf("user-%d", i%50)), cfg)
	}
	heard := 0
	for i := range 10 * cfg.KeepScores {
		if s.hears(hashUser("mallory"), cfg) {
			heard++
		}
		s.hears(hashUser(fmt.Sprintf("user-%d", i%50)), cfg)
	}
	require.Less(t, heard, 10*cfg.KeepScores/4, "a quarter as often as it speaks, though it speaks as much as all others together")

	alone := &normalTexts{}
	for range 3 * cfg.KeepScores {
		require.True(t, alone.hears(hashUser("only"), cfg))
	}
}

func TestTheMemoryHoldsTheCoresetAndNothingElse(t *testing.T) {
	t.Parallel()
	cfg := config()
	cfg.MaxNormal = 100
	w := newWorld(9)
	n, err := NewNovelty(cfg)
	require.NoError(t, err)
	for range 400 {
		require.NoError(t, n.Learn(t.Context(), w.prompt(shop)))
	}
	o := w.prompt(shop)
	set := n.normal.of(coresetKey{o.Pair(), "support", string(engine.OpChat), string(engine.TextUserPrompt)})
	require.Len(t, set.Texts, 100)
	held := make(map[string]bool)
	for _, m := range w.memory.memos {
		held[m.ID] = true
	}
	require.Len(t, held, 100, "what is displaced is forgotten")
	for _, x := range set.Texts {
		require.True(t, held[x.ID])
	}
}
