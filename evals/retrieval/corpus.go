package retrieval

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
)

// minBase is how many vectors there must be to search among.
const minBase = 2 * k

// noise is the length of what is added to a real vector of unit length to make another one: their cosine is about 0.94, as that of two
// texts that say the same.
const noise = 0.35

// corpus is vectors to remember and vectors to ask with. Vectors have unit length.
type corpus struct {
	real    bool // all are of real texts
	model   engine.Model
	sum     string   // digest of the texts
	texts   []string // of base; a perturbed copy has the text of its original
	base    [][]float32
	queries [][]float32
	groups  []string // of queries: near copies, which the bootstrap draws together
}

// corpus embeds the texts of the data folder, each once, and holds some out at random.
func (s *Suite) corpus(ctx context.Context, env evals.Env) (corpus, error) {
	texts, err := evals.ReadTexts(env)
	if err != nil {
		return corpus{}, err
	}
	random := rand.New(rand.NewPCG(env.Seed, 1))
	random.Shuffle(len(texts), func(i, j int) { texts[i], texts[j] = texts[j], texts[i] })
	c := corpus{real: true}
	const call = 256
	for some := range slices.Chunk(texts, call) {
		plain := make([]string, len(some))
		for i, t := range some {
			plain[i] = t.Text
		}
		vectors, err := s.parts.Embedder.Embed(ctx, plain)
		if err != nil {
			return corpus{}, fmt.Errorf("retrieval: embed: %w", err)
		}
		if len(vectors) != len(some) {
			return corpus{}, fmt.Errorf("retrieval: embed: %d vectors of %d texts", len(vectors), len(some))
		}
		for i, v := range vectors {
			switch {
			case dot(v, v) == 0: // a text without a token, which nothing is similar to
			case len(c.queries) < s.sizes.queries && len(c.queries) < len(texts)/2:
				c.queries, c.groups = append(c.queries, v), append(c.groups, some[i].Group)
			default:
				c.base, c.texts = append(c.base, v), append(c.texts, plain[i])
			}
		}
	}
	if len(c.base) < minBase {
		return corpus{}, evals.Unavailable("%s has %d texts to search among, want %d", env.Data, len(c.base), minBase)
	}
	c.model, c.sum = s.parts.Embedder.Model(), evals.Digest(texts)
	return c, nil
}

// reduce keeps the first of the vectors, which are in random order, and asks with fewer queries.
func (c corpus) reduce(want sizes) corpus {
	out := c
	out.base, out.texts = c.base[:want.small], c.texts[:want.small]
	n := min(want.fewQueries, len(c.queries))
	out.queries, out.groups = c.queries[:n], c.groups[:n]
	return out
}

// enlarge adds perturbed copies of random vectors until there are as many as wanted, and asks with fewer queries.
func (c corpus) enlarge(want sizes, seed uint64) corpus {
	random := rand.New(rand.NewPCG(seed, 2))
	out := c
	out.real = false
	out.base, out.texts = slices.Clone(c.base), slices.Clone(c.texts)
	for len(out.base) < want.large {
		i := random.IntN(len(c.base))
		out.base, out.texts = append(out.base, perturb(random, c.base[i])), append(out.texts, c.texts[i])
	}
	n := min(want.fewQueries, len(c.queries))
	out.queries, out.groups = c.queries[:n], c.groups[:n]
	return out
}

// perturb adds noise of a random direction to a unit vector and scales the sum to unit length.
func perturb(random *rand.Rand, v []float32) []float32 {
	out := make([]float32, len(v))
	var length float64
	for i := range out {
		x := random.NormFloat64()
		out[i] = float32(x)
		length += x * x
	}
	scale := float32(noise / math.Sqrt(length))
	for i := range out {
		out[i] = v[i] + scale*out[i]
	}
	scale = float32(1 / math.Sqrt(float64(dot(out, out))))
	for i := range out {
		out[i] *= scale
	}
	return out
}
