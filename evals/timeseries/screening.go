package timeseries

import (
	"time"

	"github.com/llm-sentinel/llm-sentinel/statistical"
)

// leastP is the least p-value of statistical; it scores 1.
const leastP = 1e-300

// screening is the baseline that screening keeps of one positive number, such as a series' latency, with the half-life and the count
// of its defaults. It knows high values alone, and no time of day.
type screening struct{ usual *statistical.Quantity }

// Screening scores a point by its p-value against what screening has learnt, on the scale log p / log 1e-300, and then learns it.
// While it learns it scores 0.
func Screening() (Detector, error) {
	return screening{statistical.NewQuantity(statistical.QuantityConfig{HalfLife: 72 * time.Hour, MinCount: 50})}, nil
}

func (s screening) Next(at time.Time, x float64) float64 {
	var score float64
	if !s.usual.Learning() {
		score = statistical.Score(s.usual.UpperP(x), leastP)
	}
	s.usual.Add(at, x)
	return min(score, 1)
}
