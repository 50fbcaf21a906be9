package topic

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/statistical"
)

// cluster is one topic. Its centre is the decayed sum of its prompts' vectors.
type cluster struct {
	ID      int
	Sum     []float32
	Weight  float64 // decayed prompts
	Born    time.Time
	Last    time.Time
	Words   map[string]float64 // decayed counts of prompts with the word
	Example string
	Name    string // once it was told of, so that it keeps it
	Label   string // that it was given
	History []engine.TopicPoint
	P       float64

	// of the open window
	Count  int
	Users  map[string]bool
	Traces []engine.TraceID

	share *statistical.Proportion
}

// Bounds of what a cluster keeps.
const (
	maxWords   = 64
	maxHistory = 48
	maxTraces  = 64
	maxUsers   = 1024
)

// nearest returns the cluster whose centre is most similar, nil for none.
func nearest(clusters []*cluster, v []float32) (best *cluster, similarity float64) {
	similarity = -1
	for _, c := range clusters {
		if s := cosine(c.Sum, v); s > similarity {
			best, similarity = c, s
		}
	}
	return best, similarity
}

func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i, x := range a {
		y := b[i]
		ab += float64(x) * float64(y)
		aa += float64(x) * float64(x)
		bb += float64(y) * float64(y)
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return ab / math.Sqrt(aa*bb)
}

func (c *cluster) add(v []float32, words []string) {
	c.Weight++
	for i, x := range v {
		c.Sum[i] += x
	}
	for _, w := range words {
		c.Words[w]++
	}
	if len(c.Words) > 2*maxWords {
		prune(c.Words, maxWords)
	}
}

// merge makes one of two clusters, of which the heavier gives its name.
func (c *cluster) merge(d *cluster) {
	c.Weight += d.Weight
	for i, x := range d.Sum {
		c.Sum[i] += x
	}
	for w, n := range d.Words {
		c.Words[w] += n
	}
	prune(c.Words, maxWords)
	if d.Born.Before(c.Born) {
		c.Born = d.Born
	}
	c.Count += d.Count
	for u := range d.Users {
		c.Users[u] = true
	}
	c.Traces = append(c.Traces, d.Traces...)
	c.Traces = c.Traces[:min(len(c.Traces), maxTraces)]
}

// decay makes what was seen before weigh less.
func (c *cluster) decay(by float64) {
	c.Weight *= by
	for i := range c.Sum {
		c.Sum[i] *= float32(by)
	}
	for w := range c.Words {
		c.Words[w] *= by
	}
}

// prune keeps the n largest counts.
func prune(counts map[string]float64, n int) {
	words := byCount(counts)
	for _, w := range words[min(n, len(words)):] {
		delete(counts, w)
	}
}

func byCount(counts map[string]float64) []string {
	return slices.SortedFunc(maps.Keys(counts), func(a, b string) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b)) })
}

// wordsOf are the different words of a text that can tell a topic, without the placeholders of what was redacted.
func wordsOf(text string) []string {
	var out []string
	for _, f := range strings.Fields(strings.ToLower(text)) {
		if strings.ContainsAny(f, "[]<>{}@/") {
			continue
		}
		w := strings.TrimFunc(f, func(r rune) bool { return !unicode.IsLetter(r) })
		if len(w) >= 4 && len(w) <= 32 && !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}

// telling lists the words that tell the cluster from all that the service is asked: by the share of its prompts that have the word, times
// the logarithm of how much more often that is than elsewhere.
func (c *cluster) telling(all map[string]float64, total float64, n int) []string {
	weights := make(map[string]float64)
	for w, k := range c.Words {
		here, everywhere := (k+0.5)/(c.Weight+1), (all[w]+0.5)/(total+1)
		if score := here * math.Log(here/everywhere); score > 0 && (k >= 1.5 || c.Weight < 3) {
			weights[w] = score
		}
	}
	words := byCount(weights)
	return words[:min(n, len(words))]
}
