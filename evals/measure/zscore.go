package measure

import (
	"math"
	"time"

	"gonum.org/v1/gonum/stat"
)

const (
	zWindow = 500 // points that the z-score looks back
	zLeast  = 30  // points that it needs
)

// ZScore is the trivial detector of points in a series: the distance z of a point to the mean of the latest ones in their standard
// deviations, brought into [0, 1) by z / (1 + z).
type ZScore struct {
	latest []float64 // a ring once it is full
	next   int
}

// Next is the score of a point after all earlier ones.
func (z *ZScore) Next(_ time.Time, x float64) float64 {
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
