package retrieval

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
)

// letters embeds a text by the counts of its letters, at unit length.
type letters struct{ err error }

func (letters) Model() engine.Model {
	return engine.Model{Name: "letters", Version: "1", Dimension: 32}
}

func (l letters) Embed(_ context.Context, texts []string) ([][]float32, error) {
	out := make([][]float32, len(texts))
	for i, text := range texts {
		v := make([]float32, 32)
		for _, r := range text {
			if r > ' ' {
				v[r%32]++
			}
		}
		if length := float32(math.Sqrt(float64(dot(v, v)))); length > 0 {
			for j := range v {
				v[j] /= length
			}
		}
		out[i] = v
	}
	return out, l.err
}

// memory is an exact memory that can be made worse.
type memory struct {
	held    map[engine.Collection][]engine.Memo
	forgets int  // the neighbours that it fails to find, nearest first
	twice   bool // names its first neighbour for all of them
	err     error
	closed  bool
	peak    int // the most that was held
	texts   int // the longest text
}

func (m *memory) Remember(_ context.Context, items []engine.Memo) error {
	if m.held == nil {
		m.held = make(map[engine.Collection][]engine.Memo)
	}
	for _, item := range items {
		m.held[item.Collection] = append(m.held[item.Collection], item)
		m.peak = max(m.peak, len(m.held[item.Collection]))
		m.texts = max(m.texts, len(item.Text))
	}
	return m.err
}

func (m *memory) Nearest(_ context.Context, q engine.Query) ([]engine.Neighbor, error) {
	var all []engine.Neighbor
	for _, item := range m.held[q.Collection] {
		all = append(all, engine.Neighbor{Memo: item, Similarity: float64(dot(item.Vector, q.Vector))})
	}
	slices.SortStableFunc(all, func(a, b engine.Neighbor) int { return cmp.Compare(b.Similarity, a.Similarity) })
	all = all[m.forgets:]
	if m.twice {
		for i := range all {
			all[i] = all[0]
		}
	}
	return all[:q.K], nil
}

func (m *memory) Forget(_ context.Context, f engine.Filter) (int, error) {
	n := len(m.held[f.Collection])
	delete(m.held, f.Collection)
	return n, nil
}

func (m *memory) Close() error { m.closed = true; return nil }

func backend(name string, m *memory) Backend {
	return Backend{name, func(context.Context) (Memory, error) { return m, nil }}
}

func env(t *testing.T, dir string) evals.Env {
	t.Helper()
	return evals.Env{
		Data: dir, Seed: 1, Log: slog.New(slog.DiscardHandler), Steps: evals.NewSteps(""),
		Progress: func(int, int, string) {},
		Skip:     func(string, int, error) error { return nil },
	}
}

// folder is a data folder with n questions and answers of random letters.
func folder(t *testing.T, n int) string {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 1))
	word := func() string {
		out := make([]byte, 40)
		for i := range out {
			out[i] = byte('a' + random.IntN(26))
		}
		return string(out)
	}
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, `{"id":"h%d","question":"%s","response":"%s"}`+"\n", i, word(), word())
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "open_hallucination.jsonl.gz"), []byte(lines.String()), 0o600))
	return dir
}

// small is the suite with sizes for tests.
func small(backends ...Backend) *Suite {
	s := New(Parts{Embedder: letters{}, Backends: backends})
	s.sizes = sizes{queries: 50, small: 100, large: 400, fewQueries: 10}
	return s
}

func TestAnExactMemoryFindsAll(t *testing.T) {
	m := &memory{}
	r, err := small(backend("embedded", m)).Run(t.Context(), env(t, folder(t, 100)), nil)
	require.NoError(t, err)
	require.Equal(t, 1.0, r.Metrics["embedded.recall_at_10"].Value)
	require.Equal(t, 50, r.Metrics["embedded.recall_at_10"].N)
	for _, name := range []string{"embedded.p50_ms", "embedded.p99_ms"} {
		got := r.Metrics[name]
		require.True(t, got.Speed && got.Lower && got.Unit == "ms", name)
		require.Positive(t, got.Baselines[exactName], name)
		require.InDelta(t, got.Value-got.Baselines[exactName], got.Gains[exactName].Value, 1e-9, name)
	}
	require.Equal(t, 150, r.Metrics["embedded.vectors_per_second"].N)
	require.Len(t, r.Metrics, 4)
	require.Equal(t, 400, m.peak, "the larger collection was filled")
	require.Empty(t, m.held, "nothing is left behind")
	require.True(t, m.closed)
	require.Len(t, r.Tables[0].Rows, 6, "two systems, three sizes")
	require.Equal(t, []string{"embedded", "100", "10", "1.0000"}, r.Tables[0].Rows[3][:4], "some of the real vectors")
	require.Empty(t, r.Tables[0].Rows[4][3], "no recall of made-up vectors")
	require.Len(t, r.Charts[0].Curves, 6)
}

func TestMissedNeighboursCost(t *testing.T) {
	for name, c := range map[string]struct {
		memory memory
		low    float64
		high   float64
	}{
		"the three nearest":             {memory{forgets: 3}, 0.68, 0.72}, // the next three may be as near by chance
		"all but one, named ten times":  {memory{twice: true}, 0.1, 0.1},
		"everything that was near them": {memory{forgets: 60}, 0, 0.02},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := small(backend("qdrant", &c.memory)).Run(t.Context(), env(t, folder(t, 100)), nil)
			require.NoError(t, err)
			got := r.Metrics["qdrant.recall_at_10"]
			require.GreaterOrEqual(t, got.Value, c.low-1e-9)
			require.LessOrEqual(t, got.Value, c.high+1e-9)
			require.InDelta(t, got.Value-1, got.Gains[exactName].Value, 1e-9)
		})
	}
}

func TestWhatIsNotThereIsNamed(t *testing.T) {
	away := Backend{"qdrant", func(context.Context) (Memory, error) { return nil, evals.Unavailable("QDRANT_ADDR is not set") }}
	r, err := small(backend("embedded", &memory{}), away).Run(t.Context(), env(t, folder(t, 100)), nil)
	require.NoError(t, err)
	require.Len(t, r.Unavailable, 8)
	require.Contains(t, r.Unavailable["qdrant.p99_ms"], "QDRANT_ADDR is not set")
	require.Contains(t, r.Unavailable["pgvector.recall_at_10"], "no pgvector was handed")
	require.Contains(t, r.Metrics, "embedded.recall_at_10")
}

func TestFailures(t *testing.T) {
	broken := errors.New("disk full")
	m := &memory{err: broken}
	_, err := small(backend("embedded", m)).Run(t.Context(), env(t, folder(t, 100)), nil)
	require.EqualError(t, err, "retrieval: embedded: remember: disk full")
	require.True(t, m.closed)
	require.Empty(t, m.held)

	_, err = New(Parts{Embedder: letters{broken}}).Run(t.Context(), env(t, folder(t, 100)), nil)
	require.EqualError(t, err, "retrieval: embed: disk full")
	for name, dir := range map[string]string{"no data": t.TempDir(), "few texts": folder(t, 5)} {
		_, err = small().Run(t.Context(), env(t, dir), nil)
		require.ErrorIs(t, err, evals.ErrUnavailable, name)
	}
	_, err = New(Parts{}).Run(t.Context(), env(t, ""), nil)
	require.ErrorIs(t, err, evals.ErrUnavailable)
}

func TestRecallsAreRepeatableAndFrozenChangesNothing(t *testing.T) {
	s, dir := small(backend("embedded", &memory{forgets: 2})), folder(t, 100)
	frozen, err := s.Fit(t.Context(), env(t, dir))
	require.NoError(t, err)
	require.Nil(t, frozen)
	first, err := s.Run(t.Context(), env(t, dir), nil)
	require.NoError(t, err)
	second, err := s.Run(t.Context(), env(t, dir), []byte("null"))
	require.NoError(t, err)
	require.Equal(t, first.Metrics["embedded.recall_at_10"], second.Metrics["embedded.recall_at_10"])
	require.Equal(t, first.Notes, second.Notes)
}

func TestAResumedRunMeasuresOnce(t *testing.T) {
	m := &memory{}
	opened := 0
	s := small(Backend{"embedded", func(context.Context) (Memory, error) { opened++; return m, nil }})
	e := env(t, folder(t, 100))
	e.Steps = evals.NewSteps(t.TempDir())
	first, err := s.Run(t.Context(), e, nil)
	require.NoError(t, err)
	second, err := s.Run(t.Context(), e, nil)
	require.NoError(t, err)
	require.Equal(t, 3, opened, "once a size")
	require.Equal(t, first, second)
}

// settling finds nothing before it has arranged what it holds.
type settling struct {
	memory
	settled int
}

func (m *settling) Remember(ctx context.Context, items []engine.Memo) error {
	m.settled = 0
	return m.memory.Remember(ctx, items)
}

func (m *settling) Settle(context.Context) error { m.settled++; return nil }

func (m *settling) Nearest(ctx context.Context, q engine.Query) ([]engine.Neighbor, error) {
	if m.settled != 1 {
		return nil, nil
	}
	return m.memory.Nearest(ctx, q)
}

func TestMemoriesAreAskedWhenTheyHaveSettled(t *testing.T) {
	s := small(Backend{"pgvector", func(context.Context) (Memory, error) { return &settling{}, nil }})
	r, err := s.Run(t.Context(), env(t, folder(t, 100)), nil)
	require.NoError(t, err)
	require.Equal(t, 1.0, r.Metrics["pgvector.recall_at_10"].Value)
}

func TestScanIsExact(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	base := make([][]float32, 100)
	var all []float32
	query := []float32{1, 2, 3, 4, 5}
	for i := range base {
		for range query {
			base[i] = append(base[i], float32(random.IntN(4)))
		}
		all = append(all, dot(base[i], query))
	}
	slices.Sort(all)
	slices.Reverse(all)
	require.Equal(t, all[:7], scan(base, query, 7))
	require.Len(t, scan(base[:3], query, 7), 3)
}

func TestPerturbedVectorsStayNear(t *testing.T) {
	v := make([]float32, 256)
	v[3] = 1
	for seed := range uint64(20) {
		got := perturb(rand.New(rand.NewPCG(seed, 1)), v)
		require.InDelta(t, 1, dot(got, got), 1e-5)
		require.InDelta(t, 0.94, dot(got, v), 0.03)
	}
}

func TestLongTextsAreRememberedInPart(t *testing.T) {
	dir := t.TempDir()
	var lines strings.Builder
	for i := range 40 {
		fmt.Fprintf(&lines, `{"id":"h%d","question":"%d %s","response":"%d"}`+"\n", i, i, strings.Repeat("é", 300), i)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "open_hallucination.jsonl.gz"), []byte(lines.String()), 0o600))
	m := &memory{}
	_, err := small(backend("embedded", m)).Run(t.Context(), env(t, dir), nil)
	require.NoError(t, err)
	require.Positive(t, m.texts)
	require.LessOrEqual(t, m.texts, excerpt)
}
