package timeseries

import (
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// null never says anything.
type null struct{}

func (null) Next(time.Time, float64) float64 { return 0 }

// random draws its score.
type random struct{ source *rand.Rand }

// newRandom draws the same scores for the same seed and series.
func newRandom(seed uint64, series string) random {
	h := fnv.New64a()
	_, _ = h.Write([]byte(series)) // a hash never fails
	return random{rand.New(rand.NewPCG(seed, h.Sum64()))}
}

func (r random) Next(time.Time, float64) float64 { return r.source.Float64() }
