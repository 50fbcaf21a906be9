package semantic

import (
	"bytes"
	"encoding/gob"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func TestRestoredDetectorsAnswerTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(1)
	w.knowAttacks(t, tiny)
	for name, fresh := range map[string]func() engine.Detector{
		"novelty":   func() engine.Detector { return novelty(t) },
		"jailbreak": func() engine.Detector { return jailbreak(t) },
		"injection": func() engine.Detector { return injection(t) },
	} {
		t.Run(name, func(t *testing.T) {
			before, after := fresh(), fresh()
			w.teach(t, before, 333) // some scores of the next generation
			for range 150 {
				require.NoError(t, before.Learn(t.Context(), w.page(shop)))
			}
			var buf bytes.Buffer
			require.NoError(t, before.(engine.Snapshotter).Snapshot(&buf))
			require.NoError(t, after.(engine.Snapshotter).Restore(&buf))
			for range 60 {
				for _, o := range []engine.Observation{w.prompt(shop), w.prompt(space), w.prompt(attack), w.page(attack)} {
					require.Equal(t, score(t, before, o), score(t, after, o))
				}
				o := w.prompt(shop)
				known := len(w.memory.memos)
				require.NoError(t, before.Learn(t.Context(), o))
				w.memory.memos = w.memory.memos[:known] // both learn from the same memory
				require.NoError(t, after.Learn(t.Context(), o))
			}
		})
	}
}

func TestRestoreFollowsTodaysConfiguration(t *testing.T) {
	t.Parallel()
	w, before := newWorld(2), novelty(t)
	w.teach(t, before, 300)
	require.NoError(t, before.Learn(t.Context(), w.observe("billing", tiny, engine.TextUserPrompt, w.sentence(shop))))
	var buf bytes.Buffer
	require.NoError(t, before.Snapshot(&buf))
	cfg := config()
	cfg.MaxServices = 1
	after, err := NewNovelty(cfg)
	require.NoError(t, err)
	require.NoError(t, after.Restore(&buf))
	require.True(t, only(t, score(t, after, w.prompt(shop))).Learning, "there is room for the latest service only")
}

func TestCorruptSnapshotIsAnError(t *testing.T) {
	t.Parallel()
	w, n := newWorld(3), novelty(t)
	w.teach(t, n, 300)
	o := w.prompt(space)
	answer := score(t, n, o)
	var whole, forged bytes.Buffer
	require.NoError(t, n.Snapshot(&whole))
	require.NoError(t, gob.NewEncoder(&forged).Encode([]historyState{{Key: groupKey{Pair: "tiny", Service: "support"}, Usual: []byte("no")}}))
	for name, data := range map[string][]byte{"nothing": nil, "half": whole.Bytes()[:whole.Len()/2], "forged": forged.Bytes()} {
		t.Run(name, func(t *testing.T) {
			require.ErrorContains(t, n.Restore(bytes.NewReader(data)), "semantic: restore")
			require.Equal(t, answer, score(t, n, o), "on an error nothing changes")
		})
	}
}

// FuzzRestore shows that whatever can be restored can be worked with.
func FuzzRestore(f *testing.F) {
	w := newWorld(4)
	cfg := config()
	cfg.MinTexts, cfg.MinScores, cfg.KeepScores = 1, 20, 20
	n, err := NewNovelty(cfg)
	require.NoError(f, err)
	w.teach(f, n, 30)
	var buf bytes.Buffer
	require.NoError(f, n.Snapshot(&buf))
	f.Add(buf.Bytes())
	f.Add([]byte{})
	o := w.prompt(shop)
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := NewNovelty(cfg)
		require.NoError(t, err)
		if n.Restore(bytes.NewReader(data)) != nil {
			return
		}
		known := len(w.memory.memos)
		for _, f := range score(t, n, o) {
			require.True(t, f.P > 0 && f.P <= 1)
		}
		require.NoError(t, n.Learn(t.Context(), o))
		w.memory.memos = w.memory.memos[:known]
		require.NoError(t, n.Snapshot(&bytes.Buffer{}))
	})
}
