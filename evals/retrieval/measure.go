package retrieval

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
)

const (
	// k is how many neighbours are asked for.
	k = 10
	// rounding is how far a cosine may lie below that of the k-th true neighbour and still be one: memories add up in another order.
	rounding = 1e-5
	// call is how many vectors one Remember takes, about the texts of a busy moment.
	call = 100
	// warmUp is how many queries come before those that are timed.
	warmUp = 20
	// excerpt is how much of a text is remembered beside its vector, in bytes, as the engine does by default.
	excerpt = 400
)

// timing is what one memory did with one corpus. It survives JSON.
type timing struct {
	Recall  []float64 `json:"recall"`  // by query: the share of the k neighbours that are true ones
	Millis  []float64 `json:"millis"`  // by query
	Seconds []float64 `json:"seconds"` // by call of Remember
	Taken   []float64 `json:"taken"`   // by call of Remember: the vectors
	Settled float64   `json:"settled"` // seconds that a Settler took then
}

// outcome says what a timing is of.
type outcome struct {
	backend string
	real    bool
	vectors int
	timing
}

// step names a part of a run that can be resumed.
func (c corpus) step(env evals.Env, backend string) string {
	return fmt.Sprintf("%s: %d vectors, %d queries, seed %d, model %+v, texts %s", backend, len(c.base), len(c.queries), env.Seed, c.model, c.sum)
}

// measureBackend fills a memory and asks it.
func measureBackend(ctx context.Context, env evals.Env, b Backend, c corpus, truth []float32) (outcome, error) {
	if b.Open == nil {
		return outcome{}, evals.Unavailable("no %s was handed to the suite", b.Name)
	}
	t, err := evals.Resume(env.Steps, c.step(env, b.Name), func() (t timing, err error) {
		memory, err := b.Open(ctx)
		if err != nil {
			return t, fmt.Errorf("open: %w", err)
		}
		defer func() { err = errors.Join(err, memory.Close()) }()
		return measureMemory(ctx, memory, c, truth)
	})
	return outcome{backend: b.Name, real: c.real, vectors: len(c.base), timing: t}, err
}

func measureMemory(ctx context.Context, memory engine.Memory, c corpus, truth []float32) (t timing, err error) {
	// A collection of its own: a memory behind a server may hold what serves.
	collection := engine.Collection{Purpose: engine.PurposeNormal, Kind: engine.TextUserPrompt, Model: c.model}
	collection.Model.Name = "eval-" + c.model.Name
	empty := func(ctx context.Context) error {
		if _, err := memory.Forget(ctx, engine.Filter{Collection: collection}); err != nil {
			return fmt.Errorf("forget: %w", err)
		}
		return nil
	}
	if err := empty(ctx); err != nil { // what an interrupted run left
		return t, err
	}
	defer func() { err = errors.Join(err, empty(context.WithoutCancel(ctx))) }()
	if err := t.remember(ctx, memory, collection, c); err != nil {
		return t, err
	}
	if s, ok := memory.(Settler); ok {
		begun := time.Now()
		if err := s.Settle(ctx); err != nil {
			return t, fmt.Errorf("settle: %w", err)
		}
		t.Settled = time.Since(begun).Seconds()
	}
	return t, t.ask(ctx, memory, collection, c, truth)
}

func (t *timing) remember(ctx context.Context, memory engine.Memory, collection engine.Collection, c corpus) error {
	at := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	memos := make([]engine.Memo, 0, call)
	for start := 0; start < len(c.base); start += call {
		memos = memos[:0]
		for i := start; i < min(start+call, len(c.base)); i++ {
			memos = append(memos, engine.Memo{
				ID: strconv.Itoa(i), Collection: collection, Vector: c.base[i], Text: strings.ToValidUTF8(c.texts[i][:min(excerpt, len(c.texts[i]))], ""),
				Service: "eval", At: at.Add(time.Duration(i) * time.Second),
			})
		}
		begun := time.Now()
		if err := memory.Remember(ctx, memos); err != nil {
			return fmt.Errorf("remember: %w", err)
		}
		t.Seconds, t.Taken = append(t.Seconds, time.Since(begun).Seconds()), append(t.Taken, float64(len(memos)))
	}
	return nil
}

func (t *timing) ask(ctx context.Context, memory engine.Memory, collection engine.Collection, c corpus, truth []float32) error {
	for i := -min(warmUp, len(c.queries)); i < len(c.queries); i++ {
		query := c.queries[max(i, -i-1)]
		begun := time.Now()
		found, err := memory.Nearest(ctx, engine.Query{Filter: engine.Filter{Collection: collection}, Vector: query, K: k})
		if err != nil {
			return fmt.Errorf("nearest: %w", err)
		}
		if i >= 0 {
			t.Millis = append(t.Millis, milliseconds(time.Since(begun)))
			t.Recall = append(t.Recall, recall(c.base, query, truth[i], found))
		}
	}
	return nil
}

// recall is the share of k neighbours that are as near as the true ones, by the suite's own cosines: of vectors that are equally near,
// any will do. What was never remembered counts as missed, and a neighbour counts once.
func recall(base [][]float32, query []float32, worst float32, found []engine.Neighbor) float64 {
	seen := make(map[int]bool)
	var right float64
	for _, n := range found[:min(k, len(found))] {
		i, err := strconv.Atoi(n.Memo.ID)
		if err != nil || i < 0 || i >= len(base) || seen[i] {
			continue
		}
		seen[i] = true
		if dot(base[i], query) >= worst-rounding {
			right++
		}
	}
	return right / k
}
