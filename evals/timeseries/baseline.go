package timeseries

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"time"

	"gonum.org/v1/gonum/stat"
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

const (
	zWindow = 500 // points that the z-score looks back
	zLeast  = 30  // points that it needs
)

// zScore is the distance to the mean of the latest points in standard deviations, brought into [0, 1) by z / (1 + z).
type zScore struct {
	latest []float64 // a ring once it is full
	next   int
}

func (z *zScore) Next(_ time.Time, x float64) float64 {
	var score float64
	if len(z.latest) >= zLeast {
		mean, deviation := stat.MeanStdDev(z.latest, nil)
		if distance := math.Abs(x - mean); distance > 0 {
			score = distance / (distance + deviation)
		}
	}
	if len(z.latest) < zWindow {
		z.latest = append(z.latest, x)
	} else {
		z.latest[z.next] = x
		z.next = (z.next + 1) % zWindow
	}
	return score
}
