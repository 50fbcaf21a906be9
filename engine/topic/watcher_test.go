package topic

import (
	"bytes"
	"encoding/binary"
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

var (
	began = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

	// topics are what users ask: each has words of its own.
	topics = [][]string{
		strings.Fields("refund money return bank invoice receipt amount charge"),
		strings.Fields("parcel delivery courier late address tracking shipping arrived"),
		strings.Fields("shoes size colour jacket fitting sleeve trousers wool"),
		strings.Fields("login password account locked email reset code device"),
	}
	strike = strings.Fields("strike union picket walkout workers protest closed stores")
)

// world is a service that is asked, in turn, about its topics.
type world struct {
	rng    *rand.Rand
	traces uint64
	at     time.Time
}

func newWorld(seed uint64) *world { return &world{rng: rand.New(rand.NewPCG(seed, 1)), at: began} }

// embed is a bag of words.
func embed(text string) []float32 {
	out := make([]float32, 64)
	var norm float64
	for word := range strings.FieldsSeq(text) {
		h := fnv.New64a()
		_, _ = h.Write([]byte(word))
		rng := rand.New(rand.NewPCG(h.Sum64(), 0))
		for i := range out {
			out[i] += float32(rng.NormFloat64())
		}
	}
	for _, x := range out {
		norm += float64(x) * float64(x)
	}
	for i := range out {
		out[i] /= float32(math.Sqrt(norm))
	}
	return out
}

func (w *world) ask(x *Watcher, vocabulary []string, user string) {
	words := make([]string, 8)
	for i := range words {
		words[i] = vocabulary[w.rng.IntN(len(vocabulary))]
	}
	text := strings.Join(words, " ")
	w.traces++
	var id engine.TraceID
	binary.BigEndian.PutUint64(id[8:], w.traces)
	trace := engine.NewTrace(id, []engine.Span{{TraceID: id, SpanID: engine.SpanID{1}, Service: "shop", User: user, Start: w.at, End: w.at}})
	x.Observe(engine.Observation{
		Trace: &trace, Model: engine.Model{Name: "tiny", Dimension: 64},
		Texts: []engine.Text{{Kind: engine.TextUserPrompt, Text: text, Vector: embed(text)}, {Kind: engine.TextResponse, Text: "yes", Vector: embed("yes")}},
	})
}

// hour plays an hour of 120 prompts of many users, of which a share is about something else, and returns what it shows.
func (w *world) hour(x *Watcher, vocabulary []string, share float64) []engine.Finding {
	for i := range 120 {
		user := fmt.Sprintf("u-%d", w.rng.IntN(500))
		if float64(i) < share*120 {
			w.ask(x, vocabulary, user)
		} else {
			w.ask(x, topics[min(w.rng.IntN(5), 3)], user)
		}
		w.at = w.at.Add(30 * time.Second)
	}
	return x.Advance(w.at)
}

func watcher(t testing.TB) *Watcher {
	x, err := New(DefaultConfig())
	require.NoError(t, err)
	return x
}

func TestANewTopicIsToldOnceItLasts(t *testing.T) {
	t.Parallel()
	w, x := newWorld(1), watcher(t)
	for range 30 {
		require.Empty(t, w.hour(x, nil, 0))
	}
	require.Empty(t, w.hour(x, strike, 0.4), "an hour is soon odd")
	found := w.hour(x, strike, 0.4)
	require.Len(t, found, 1)
	f := found[0]
	require.Equal(t, engine.TopicDrift, f.Type)
	require.Less(t, f.P, 1e-4)
	require.Equal(t, engine.SubjectTopic, f.Subject.Kind)
	require.True(t, strings.HasPrefix(f.Subject.Value, "shop: "), f.Subject.Value)
	for word := range strings.SplitSeq(strings.TrimPrefix(f.Subject.Value, "shop: "), ", ") {
		require.Contains(t, strike, word, "it is named by its words")
	}
	require.InDelta(t, 0.4, f.Effect.Current, 0.1)
	require.Less(t, f.Effect.Baseline, 0.05)
	require.NotEmpty(t, f.Traces)
	require.Equal(t, f.Subject, w.hour(x, strike, 0.5)[0].Subject, "under the same name")

	top := x.Topics("shop")
	require.GreaterOrEqual(t, len(top), 5)
	states := make(map[engine.TopicState]int)
	for _, topic := range top {
		states[topic.State]++
		require.NotEmpty(t, topic.Example)
		require.LessOrEqual(t, len(topic.History), maxHistory)
	}
	require.Positive(t, states[engine.TopicNew], "%+v", states)
	require.Empty(t, x.Topics("desk"))
}

func TestCalmTrafficIsNoDrift(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		w, x := newWorld(100+seed), watcher(t)
		for hour := range 24 * 3 {
			require.Empty(t, w.hour(x, topics[0], 0.1*float64(hour%24)/24), "seed %d hour %d: the mix breathes with the day", seed, hour)
		}
	}
}

func TestOneUserIsNoDrift(t *testing.T) {
	t.Parallel()
	w, x := newWorld(3), watcher(t)
	for range 30 {
		w.hour(x, nil, 0)
	}
	for range 4 {
		for range 200 {
			w.ask(x, strike, "mallory")
		}
		require.Empty(t, w.hour(x, nil, 0))
	}
}

func TestWhatLastsIsLearntAndDies(t *testing.T) {
	t.Parallel()
	w, x := newWorld(4), watcher(t)
	for range 30 {
		w.hour(x, nil, 0)
	}
	told := 0
	for range 72 {
		told += len(w.hour(x, strike, 0.4))
	}
	require.Positive(t, told)
	require.Empty(t, w.hour(x, strike, 0.4), "it is what is asked now")
	find := func() (engine.Topic, bool) {
		for _, topic := range x.Topics("shop") {
			if strings.Contains(topic.Example, strike[0]) || strings.Contains(topic.Example, strike[1]) || len(topic.Terms) > 0 && strings.Contains(strings.Join(strike, " "), topic.Terms[0]) {
				return topic, true
			}
		}
		return engine.Topic{}, false
	}
	for range 12 {
		w.hour(x, nil, 0)
	}
	fading, ok := find()
	require.True(t, ok)
	require.Equal(t, engine.TopicFading, fading.State)
	for range 24 * 40 {
		w.at = w.at.Add(3 * time.Hour)
		if _, ok = find(); !ok {
			break
		}
		w.hour(x, nil, 0)
	}
	require.False(t, ok, "nobody asks about it any more")
}

func TestClustersAreBounded(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.MaxTopics = 8
	x, err := New(cfg)
	require.NoError(t, err)
	w := newWorld(5)
	for i := range 500 { // every prompt about something of its own
		w.ask(x, []string{fmt.Sprintf("word%d", i)}, fmt.Sprintf("u-%d", i))
	}
	s, _ := x.services.Peek(serviceKey{"tiny", "shop"})
	require.Len(t, s.Clusters, 8)
	for i := range 10_000 {
		w.ask(x, topics[0], fmt.Sprintf("v-%d", i))
	}
	require.LessOrEqual(t, len(s.PerUser), maxUsers+1)
	require.LessOrEqual(t, len(s.Sample), sampleSize)
}

func TestRestoredWatcherGoesOnAlike(t *testing.T) {
	t.Parallel()
	w, x := newWorld(6), watcher(t)
	for range 20 {
		w.hour(x, nil, 0)
	}
	w.ask(x, topics[1], "u-1") // of the open window
	var buf bytes.Buffer
	require.NoError(t, x.Snapshot(&buf))
	data := bytes.Clone(buf.Bytes())
	y := watcher(t)
	require.NoError(t, y.Restore(&buf))
	require.Equal(t, x.Topics(""), y.Topics(""))
	again := *w
	again.rng = rand.New(rand.NewPCG(7, 7))
	w.rng = rand.New(rand.NewPCG(7, 7))
	for range 3 {
		require.Equal(t, w.hour(x, strike, 0.5), again.hour(y, strike, 0.5))
	}
	require.Equal(t, x.Topics(""), y.Topics(""))

	z := watcher(t)
	require.Error(t, z.Restore(bytes.NewReader(data[:len(data)/2])))
	require.Empty(t, z.Topics(""))
}

func TestRedactedPlaceholdersNameNothing(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"write", "about", "refund"}, wordsOf("Write to [EMAIL], about my refund! refund a@b.example"))
}

func TestConfigSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Config){
		"window":      func(c *Config) { c.Window = 0 },
		"min_prompts": func(c *Config) { c.MinPrompts = 1 },
		"max_topics":  func(c *Config) { c.MaxTopics = 1 },
		"join":        func(c *Config) { c.Join = math.NaN() },
		"min_shift":   func(c *Config) { c.MinShift = 0 },
		"excerpt":     func(c *Config) { c.Excerpt = -1 },
	} {
		cfg := DefaultConfig()
		change(&cfg)
		require.ErrorContains(t, cfg.Validate(), want)
	}
}
