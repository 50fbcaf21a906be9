package cache

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync/atomic"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// maxEntries keeps a typing error from taking all memory: at 1024 dimensions it is 4 GB.
const maxEntries = 1 << 20

// Config says how much is remembered.
type Config struct {
	// Entries is the greatest number of vectors kept, 1 to 1,048,576. One of 384 dimensions takes about 1.6 KB.
	Entries int `yaml:"entries"`
}

// DefaultConfig keeps 8192 vectors.
func DefaultConfig() Config { return Config{Entries: 8192} }

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	if c.Entries < 1 || c.Entries > maxEntries {
		return fmt.Errorf("cache: entries is %d, want 1 to %d", c.Entries, maxEntries)
	}
	return nil
}

// Stats counts texts since New.
type Stats struct {
	Hits    uint64 // answered from memory, or by the same text in the same call
	Misses  uint64 // passed on to the inner embedder
	Entries int    // remembered now
}

type key [sha256.Size]byte

// Embedder answers from memory where it can. It is safe for concurrent use; two calls at the same time with the same unknown
// text both pass it on.
type Embedder struct {
	inner        engine.Embedder
	vectors      *lru.Cache[key, []float32]
	hits, misses atomic.Uint64
}

// New puts a cache in front of inner.
func New(inner engine.Embedder, cfg Config) (*Embedder, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	vectors, err := lru.New[key, []float32](cfg.Entries)
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	return &Embedder{inner: inner, vectors: vectors}, nil
}

// Embed returns one vector a text, in order, calling the inner embedder at most once and with each unknown text once. The
// vectors belong to the caller. An error is the inner embedder's.
func (e *Embedder) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	out := make([][]float32, len(texts))
	var missing []string
	places := make(map[key][]int) // of unknown texts, where their vector goes
	var order []key               // of missing
	for i, text := range texts {
		k := key(sha256.Sum256([]byte(text)))
		if _, known := places[k]; known {
			places[k] = append(places[k], i)
			continue
		}
		if vector, ok := e.vectors.Get(k); ok {
			out[i] = slices.Clone(vector)
			continue
		}
		places[k] = []int{i}
		order = append(order, k)
		missing = append(missing, text)
	}
	e.hits.Add(uint64(len(texts) - len(missing)))
	e.misses.Add(uint64(len(missing)))
	if len(missing) == 0 {
		return out, ctx.Err()
	}
	vectors, err := e.inner.Embed(ctx, missing)
	if err != nil {
		return nil, err
	}
	if len(vectors) != len(missing) {
		return nil, fmt.Errorf("cache: %s: %d vectors for %d texts", e.inner.Model().Name, len(vectors), len(missing))
	}
	for j, k := range order {
		e.vectors.Add(k, vectors[j])
		for _, i := range places[k] {
			out[i] = slices.Clone(vectors[j])
		}
	}
	return out, nil
}

// Model is the inner embedder's.
func (e *Embedder) Model() engine.Model { return e.inner.Model() }

// Stats says how well the cache does.
func (e *Embedder) Stats() Stats {
	return Stats{Hits: e.hits.Load(), Misses: e.misses.Load(), Entries: e.vectors.Len()}
}
