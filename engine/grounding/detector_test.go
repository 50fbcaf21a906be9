package grounding

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

var began = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

func config() Config {
	c := DefaultConfig()
	c.MinScores, c.KeepScores = 40, 200
	return c
}

// world makes traces in which a model answers from documents.
type world struct {
	rng    *rand.Rand
	traces uint64
}

func newWorld() *world { return &world{rng: rand.New(rand.NewPCG(1, 0))} }

var nouns = strings.Fields("harbour bridge tower canal market station museum garden theatre library")

func (w *world) document() string {
	return fmt.Sprintf("The %s of Lund was opened in %d by the mayor. Its %d windows were made by a local firm from the %s quarter.",
		nouns[w.rng.IntN(len(nouns))], 1700+w.rng.IntN(300), 2+w.rng.IntN(90), nouns[w.rng.IntN(len(nouns))])
}

// trace is a search for the query that finds the documents, and the answer to it.
func (w *world) trace(query, answer string, documents ...string) engine.Observation {
	w.traces++
	var id engine.TraceID
	binary.BigEndian.PutUint64(id[8:], w.traces)
	at := began.Add(time.Duration(w.traces) * time.Minute)
	span := func(n byte, op engine.Operation, from time.Duration) engine.Span {
		return engine.Span{TraceID: id, SpanID: engine.SpanID{7: n}, Service: "guide", Operation: op, Start: at.Add(from), End: at.Add(from + time.Second)}
	}
	retrieval, chat := span(1, engine.OpRetrieval, 0), span(2, engine.OpChat, time.Second)
	retrieval.Retrieval.Query = query
	for _, d := range documents {
		retrieval.Retrieval.Documents = append(retrieval.Retrieval.Documents, engine.Document{Text: d})
	}
	chat.Input, chat.Output = said("user", query), said("assistant", answer)
	t := engine.NewTrace(id, []engine.Span{retrieval, chat})
	return engine.Observation{Trace: &t}
}

func said(role, text string) []engine.Message {
	return []engine.Message{{Role: role, Parts: []engine.Part{{Kind: engine.PartText, Text: text}}}}
}

// grounded answers by the document's first sentence, with some words of its own.
func (w *world) grounded() engine.Observation {
	d := w.document()
	first, _, _ := strings.Cut(d, ". ")
	own := [...]string{"", "As I read it: ", "Here you are. "}[w.rng.IntN(3)]
	return w.trace("when was it opened?", own+first+".", d)
}

func score(t *testing.T, d engine.Detector, o engine.Observation) engine.Finding {
	t.Helper()
	found, err := d.Score(t.Context(), o)
	require.NoError(t, err)
	require.Len(t, found, 1)
	return found[0]
}

func silent(t *testing.T, d engine.Detector, o engine.Observation, why string) {
	t.Helper()
	found, err := d.Score(t.Context(), o)
	require.NoError(t, err)
	require.Empty(t, found, why)
}

// teach lets the detector learn traces as the engine does: the texts are gone, what was said of them is there.
func teach(t testing.TB, d engine.Detector, n int, make func() engine.Observation) {
	t.Helper()
	for range n {
		o := make()
		found, err := d.Score(context.Background(), o)
		require.NoError(t, err)
		o.Findings = found
		bare := *o.Trace
		bare.Spans = []engine.Span{{Service: "guide", Start: bare.Spans[0].Start, End: bare.End()}}
		o.Trace = &bare
		require.NoError(t, d.Learn(context.Background(), o))
	}
}

func taught(t testing.TB, w *world) *Detector {
	t.Helper()
	d, err := New(config(), nil)
	require.NoError(t, err)
	teach(t, d, 150, w.grounded)
	return d
}

const fabricated = "The cathedral of Oslo burned down in 1624. King Christian rebuilt it later with 4000 soldiers from Denmark."

func TestLearnsBeforeItSpeaks(t *testing.T) {
	w := newWorld()
	d, err := New(config(), nil)
	require.NoError(t, err)
	teach(t, d, 39, w.grounded)
	f := score(t, d, w.trace("when?", fabricated, w.document()))
	require.True(t, f.Learning)
	require.Equal(t, 1.0, f.P)
	require.Positive(t, f.Raw, "the raw score is there, so that suites can order by it")
	teach(t, d, 1, w.grounded)
	require.False(t, score(t, d, w.grounded()).Learning)
}

func TestFabricatedAnswerIsFound(t *testing.T) {
	w := newWorld()
	d := taught(t, w)
	f := score(t, d, w.trace("when?", fabricated, w.document()))
	require.Equal(t, engine.UngroundedResponse, f.Type)
	require.Less(t, f.P, 0.01)
	require.True(t, f.Material)
	require.Contains(t, fabricated, f.Excerpt)
	require.Equal(t, engine.Subject{Kind: engine.SubjectService, Value: "guide"}, f.Subject)
	require.Greater(t, f.Effect.Current, f.Effect.Baseline)

	f = score(t, d, w.grounded())
	require.Greater(t, f.P, 0.01)
	passage := w.document()
	require.False(t, score(t, d, w.trace("when?", passage, passage)).Material)
}

func TestScoringDoesNotTeach(t *testing.T) {
	w := newWorld()
	d := taught(t, w)
	o := w.trace("when?", fabricated, w.document())
	first := score(t, d, o)
	require.Equal(t, first, score(t, d, o))
}

func TestWhatAnAnswerMayRestOn(t *testing.T) {
	w := newWorld()
	d := taught(t, w)
	passage := w.document()

	o := w.trace("when?", passage)
	o.Trace.Spans[0].Operation, o.Trace.Spans[0].Tool = engine.OpExecuteTool, engine.Tool{Name: "lookup", Result: passage}
	require.Zero(t, score(t, d, o).Effect.Current, "a tool's result")

	o = w.trace("", passage)
	o.Trace.Spans[1].Input = []engine.Message{{Role: "tool", Parts: []engine.Part{{Kind: engine.PartToolResponse, Text: passage}}}}
	require.Zero(t, score(t, d, o).Effect.Current, "a tool's result in the messages")

	long := strings.Repeat("Much else is told here of little weight. ", 12) + passage
	require.Zero(t, score(t, d, w.trace("Summarise: "+long, passage)).Effect.Current, "a text to be summarised")

	silent(t, d, w.trace("when?", passage), "a chat without passages")
	silent(t, d, w.trace("when?", "I'm sorry, I cannot tell from these documents.", passage), "a refusal")
	silent(t, d, w.trace("when?", "", passage), "no answer")
	o = w.trace("when?", passage, passage)
	o.Trace.Spans[0].Start = o.Trace.End().Add(time.Second)
	silent(t, d, o, "documents that came after the answer")
}

func TestPassagesAreBounded(t *testing.T) {
	cfg := config()
	cfg.MaxBytes = 64
	d, err := New(cfg, nil)
	require.NoError(t, err)
	w := newWorld()
	o := w.trace("when?", "Nothing else.", strings.Repeat("word ", 1000), strings.Repeat("other ", 1000))
	texts, _ := given(o.Trace, &o.Trace.Spans[1], d.cfg)
	require.Len(t, texts, 1)
	require.Len(t, texts[0], 64)
}

// bag embeds a text as the sum of fixed directions of its words.
type bag struct{ broken error }

func (b bag) Model() engine.Model { return engine.Model{Name: "bag", Version: "1", Dimension: 64} }

func (b bag) Embed(_ context.Context, texts []string) ([][]float32, error) {
	if b.broken != nil {
		return nil, b.broken
	}
	out := make([][]float32, len(texts))
	for i, text := range texts {
		v := make([]float32, 64)
		for _, word := range content(words(text)) {
			h := fnv.New64a()
			_, _ = h.Write([]byte(word))
			rng := rand.New(rand.NewPCG(h.Sum64(), 0))
			for k := range v {
				v[k] += float32(rng.NormFloat64())
			}
		}
		var norm float64
		for _, x := range v {
			norm += float64(x) * float64(x)
		}
		if norm > 0 {
			for k := range v {
				v[k] /= float32(math.Sqrt(norm))
			}
		}
		out[i] = v
	}
	return out, nil
}

func (w *world) search() engine.Observation {
	noun := nouns[w.rng.IntN(len(nouns))]
	about := fmt.Sprintf("The %s in Lund opened in %d.", noun, 1700+w.rng.IntN(300))
	return w.trace("when opened the "+noun+" in Lund?", "", w.document(), about)
}

func TestSearchThatFindsNothingToThePoint(t *testing.T) {
	w := newWorld()
	r, err := NewRetrieval(config(), bag{})
	require.NoError(t, err)
	off := w.trace("when opened the harbour in Lund?", "", "Invoices are due within thirty days.", "Parcels weigh ten kilos.")
	require.True(t, score(t, r, off).Learning)
	teach(t, r, 150, w.search)
	f := score(t, r, off)
	require.Equal(t, engine.RetrievalIrrelevant, f.Type)
	require.Less(t, f.P, 0.01)
	require.True(t, f.Material)
	require.Contains(t, f.Excerpt, "harbour")
	require.Equal(t, off.Trace.Spans[0].SpanID, f.SpanID)

	f = score(t, r, w.search())
	require.Greater(t, f.P, 0.01)
	require.False(t, f.Material)
	f = score(t, r, w.trace("when opened the harbour in Lund?", ""))
	require.Equal(t, 1.0, f.Raw, "nothing found")
	require.True(t, f.Material)

	silent(t, r, w.trace("", "", w.document()), "no query")
	silent(t, r, w.trace("when?", "", ""), "documents without their text")
	silent(t, r, w.trace("?!", "", w.document()), "a query without a word")
	failed := w.search()
	failed.Trace.Spans[0].Failed = true
	silent(t, r, failed, "a search that failed is an error, not an answer")
}

func TestEmbedderThatFails(t *testing.T) {
	r, err := NewRetrieval(config(), bag{errors.New("away")})
	require.NoError(t, err)
	_, err = r.Score(t.Context(), newWorld().search())
	require.ErrorContains(t, err, "away")
}

func TestSnapshotAndRestore(t *testing.T) {
	w := newWorld()
	d := taught(t, w)
	o := w.trace("when?", fabricated, w.document())
	answer := score(t, d, o)
	var whole, forged bytes.Buffer
	require.NoError(t, d.Snapshot(&whole))
	again, err := New(config(), nil)
	require.NoError(t, err)
	require.NoError(t, again.Restore(bytes.NewReader(whole.Bytes())))
	require.Equal(t, answer, score(t, again, o))

	require.NoError(t, gob.NewEncoder(&forged).Encode([]scoresState{{Service: "guide", Raw: []byte("no")}}))
	for name, data := range map[string][]byte{"nothing": nil, "half": whole.Bytes()[:whole.Len()/2], "forged": forged.Bytes()} {
		t.Run(name, func(t *testing.T) {
			require.ErrorContains(t, d.Restore(bytes.NewReader(data)), "grounding: restore")
			require.Equal(t, answer, score(t, d, o), "on an error nothing changes")
		})
	}
}

func TestServicesAreBounded(t *testing.T) {
	cfg := config()
	cfg.MaxServices = 1
	d, err := New(cfg, nil)
	require.NoError(t, err)
	w := newWorld()
	teach(t, d, 50, w.grounded)
	teach(t, d, 1, func() engine.Observation {
		o := w.grounded()
		o.Trace.Spans[1].Service = "another"
		return o
	})
	require.True(t, score(t, d, w.grounded()).Learning, "the one that was not seen longest is forgotten")
}

func TestConfigThatMakesNoSense(t *testing.T) {
	require.NoError(t, DefaultConfig().Validate())
	for _, change := range []func(*Config){
		func(c *Config) { c.MinScores = 1 }, func(c *Config) { c.KeepScores = 1 }, func(c *Config) { c.MaxServices = 0 },
		func(c *Config) { c.PassageWords = 0 }, func(c *Config) { c.MaxBytes = 0 },
		func(c *Config) { c.SupportDrop = math.NaN() }, func(c *Config) { c.SimilarityDrop = 1 },
	} {
		c := DefaultConfig()
		change(&c)
		_, err := New(c, nil)
		require.ErrorContains(t, err, "grounding:")
		_, err = NewRetrieval(c, bag{})
		require.ErrorContains(t, err, "grounding:")
	}
}

// FuzzRestore shows that whatever can be restored can be worked with.
func FuzzRestore(f *testing.F) {
	w := newWorld()
	d, err := New(config(), nil)
	require.NoError(f, err)
	teach(f, d, 45, w.grounded)
	var buf bytes.Buffer
	require.NoError(f, d.Snapshot(&buf))
	f.Add(buf.Bytes())
	f.Add([]byte{})
	o := w.grounded()
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := New(config(), nil)
		require.NoError(t, err)
		if d.Restore(bytes.NewReader(data)) != nil {
			return
		}
		x := score(t, d, o)
		require.True(t, x.P > 0 && x.P <= 1)
		require.NoError(t, d.Snapshot(&bytes.Buffer{}))
	})
}

func BenchmarkScore(b *testing.B) {
	w := newWorld()
	d := taught(b, w)
	var documents []string
	for range 40 {
		documents = append(documents, w.document())
	}
	o := w.trace("when?", fabricated+" "+w.document(), documents...)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = d.Score(context.Background(), o)
	}
}
