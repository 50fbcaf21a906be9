package retrieval

import (
	"context"
	"slices"
	"time"

	"github.com/llm-sentinel/llm-sentinel/evals"
)

// exactName is the baseline's in the report.
const exactName = "exact_scan"

// scan is the exact search: the k greatest cosines of a query with all vectors, falling. It is as plain as it can be, one goroutine and no
// index, since what it finds is the truth that memories are held against.
func scan(base [][]float32, query []float32, k int) []float32 {
	best := make([]float32, 0, k+1)
	for _, v := range base {
		x := dot(v, query)
		if len(best) == k && x <= best[k-1] {
			continue
		}
		at, _ := slices.BinarySearchFunc(best, x, func(have, x float32) int {
			if have >= x {
				return -1
			}
			return 1
		})
		best = slices.Insert(best, at, x)
		best = best[:min(k, len(best))]
	}
	return best
}

// dot has four sums so that the processor need not wait for each addition.
func dot(a, b []float32) float32 {
	var s0, s1, s2, s3 float32
	b = b[:len(a)]
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s0 += a[i] * b[i]
		s1 += a[i+1] * b[i+1]
		s2 += a[i+2] * b[i+2]
		s3 += a[i+3] * b[i+3]
	}
	for ; i < len(a); i++ {
		s0 += a[i] * b[i]
	}
	return s0 + s1 + s2 + s3
}

// scanned is what the exact scan of all queries came to.
type scanned struct {
	Worst  []float32 `json:"worst"`  // by query: the cosine of the k-th neighbour
	Millis []float64 `json:"millis"` // by query
}

// scanAll searches for every query. The truth is, by query, the least cosine of a true neighbour.
func scanAll(ctx context.Context, env evals.Env, c corpus) (truth []float32, _ outcome, _ error) {
	s, err := evals.Resume(env.Steps, c.step(env, exactName), func() (scanned, error) {
		var s scanned
		for _, q := range c.queries {
			if err := ctx.Err(); err != nil {
				return s, err
			}
			begun := time.Now()
			found := scan(c.base, q, k)
			s.Millis = append(s.Millis, milliseconds(time.Since(begun)))
			s.Worst = append(s.Worst, found[len(found)-1])
		}
		return s, nil
	})
	recall := make([]float64, len(c.queries))
	for i := range recall {
		recall[i] = 1
	}
	return s.Worst, outcome{backend: exactName, real: c.real, vectors: len(c.base), timing: timing{Recall: recall, Millis: s.Millis}}, err
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
