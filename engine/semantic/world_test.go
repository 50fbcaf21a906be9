package semantic

import (
	"cmp"
	"context"
	"encoding/binary"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	began = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	tiny  = engine.Model{Name: "tiny", Version: "1", Dimension: 192}
	other = engine.Model{Name: "other", Version: "1", Dimension: 32}

	shop   = strings.Fields("order refund parcel delivery shoes size colour return voucher invoice address courier basket stock jacket price discount exchange payment receipt warranty gift shipping label")
	space  = strings.Fields("nebula orbit comet telescope quasar galaxy eclipse asteroid gravity rocket lunar solar cosmic stellar photon")
	attack = strings.Fields("ignore previous instructions pretend unrestricted persona reveal hidden system prompt bypass policy developer mode")
)

// direction is that of a word under a model, another one for each.
func (w *world) direction(m engine.Model, word string) []float32 {
	if have, ok := w.words[m.Name+word]; ok {
		return have
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(m.Name + word))
	rng := rand.New(rand.NewPCG(h.Sum64(), 0))
	out := make([]float32, m.Dimension)
	for i := range out {
		out[i] = float32(rng.NormFloat64())
	}
	w.words[m.Name+word] = out
	return out
}

// embed is a bag of words, so that texts are alike as far as they share words.
func (w *world) embed(m engine.Model, text string) []float32 {
	out := make([]float32, m.Dimension)
	var norm float64
	for _, word := range strings.Fields(text) {
		for i, x := range w.direction(m, word) {
			out[i] += x
		}
	}
	for _, x := range out {
		norm += float64(x) * float64(x)
	}
	if norm == 0 {
		return out
	}
	for i := range out {
		out[i] /= float32(math.Sqrt(norm))
	}
	return out
}

// memory is an exact scan. It refuses what the contract forbids: vectors of another dimension than the collection's.
type memory struct {
	memos []engine.Memo
	err   error
}

func (m *memory) Remember(_ context.Context, items []engine.Memo) error {
	if m.err != nil {
		return m.err
	}
	for _, x := range items {
		if len(x.Vector) != x.Collection.Model.Dimension {
			return engine.Errorf(engine.CodeInvalid, "dimension %d", len(x.Vector))
		}
	}
	m.memos = append(m.memos, items...)
	return nil
}

func (m *memory) Nearest(_ context.Context, q engine.Query) ([]engine.Neighbor, error) {
	if m.err != nil {
		return nil, m.err
	}
	if len(q.Vector) != q.Collection.Model.Dimension {
		return nil, engine.Errorf(engine.CodeInvalid, "dimension %d", len(q.Vector))
	}
	var out []engine.Neighbor
	for i := range m.memos {
		x := &m.memos[i]
		if x.Collection != q.Collection || q.Service != "" && x.Service != q.Service ||
			!q.Before.IsZero() && !x.At.Before(q.Before) {
			continue
		}
		var dot float64
		for i, v := range x.Vector {
			dot += float64(v) * float64(q.Vector[i])
		}
		at, _ := slices.BinarySearchFunc(out, dot, func(n engine.Neighbor, dot float64) int { return cmp.Compare(dot, n.Similarity) })
		if at < q.K {
			out = slices.Insert(out, at, engine.Neighbor{Memo: *x, Similarity: dot})
			out = out[:min(q.K, len(out))]
		}
	}
	for i := range out {
		out[i].Memo.Vector = nil
	}
	return out, nil
}

func (m *memory) Forget(_ context.Context, f engine.Filter) (int, error) {
	before := len(m.memos)
	m.memos = slices.DeleteFunc(m.memos, func(x engine.Memo) bool { return x.Collection == f.Collection && slices.Contains(f.IDs, x.ID) })
	return before - len(m.memos), nil
}

// world makes observations of a service's traffic.
type world struct {
	rng    *rand.Rand
	memory *memory
	words  map[string][]float32
	traces uint64
}

func newWorld(seed uint64) *world {
	return &world{rng: rand.New(rand.NewPCG(seed, 0)), memory: &memory{}, words: make(map[string][]float32)}
}

func (w *world) sentence(vocabulary []string) string {
	words := make([]string, 4+w.rng.IntN(8))
	for i := range words {
		words[i] = vocabulary[w.rng.IntN(len(vocabulary))]
	}
	return strings.Join(words, " ")
}

func (w *world) observe(service string, m engine.Model, kind engine.TextKind, texts ...string) engine.Observation {
	w.traces++
	var id engine.TraceID
	binary.BigEndian.PutUint64(id[8:], w.traces)
	at := began.Add(time.Duration(w.traces) * time.Minute)
	trace := engine.NewTrace(id, []engine.Span{{
		TraceID: id, SpanID: engine.SpanID{1}, Service: service, Operation: engine.OpChat, User: "user-1", APIKey: "key-1",
		Start: at, End: at.Add(time.Second),
	}})
	o := engine.Observation{Trace: &trace, Memory: w.memory, Model: m}
	for n, text := range texts {
		o.Texts = append(o.Texts, engine.Text{Kind: kind, Text: text, Chunk: n, Vector: w.embed(m, text)})
	}
	return o
}

func (w *world) prompt(vocabulary []string) engine.Observation {
	return w.observe("support", tiny, engine.TextUserPrompt, w.sentence(vocabulary))
}

// page is a document.
func (w *world) page(vocabulary []string) engine.Observation {
	return w.observe("support", tiny, engine.TextDocument, w.sentence(vocabulary))
}

func (w *world) teach(t testing.TB, d engine.Detector, n int) {
	t.Helper()
	for range n {
		require.NoError(t, d.Learn(t.Context(), w.prompt(shop)))
	}
}

func (w *world) knowAttacks(t testing.TB, m engine.Model) {
	t.Helper()
	for n := range 30 {
		text := w.sentence(attack)
		require.NoError(t, w.memory.Remember(t.Context(), []engine.Memo{{
			ID: text, Collection: engine.Collection{Purpose: engine.PurposeAttack, Kind: engine.TextUserPrompt, Model: m},
			Vector: w.embed(m, text), Text: text, Family: "override", Source: "seed", At: began.Add(time.Duration(n)),
		}}))
	}
}

func score(t testing.TB, d engine.Detector, o engine.Observation) []engine.Finding {
	t.Helper()
	findings, err := d.Score(t.Context(), o)
	require.NoError(t, err)
	return findings
}

func only(t testing.TB, findings []engine.Finding) engine.Finding {
	t.Helper()
	require.Len(t, findings, 1)
	return findings[0]
}

// config needs less history than the default, so that tests are quick.
func config() Config {
	cfg := DefaultConfig()
	cfg.MinTexts, cfg.MinScores, cfg.KeepScores = 60, 60, 120
	return cfg
}
