package timeseries

import (
	"fmt"
	"time"
)

// Detector scores the points of one series as they come.
type Detector interface {
	// Next is how anomalous the value x at a time is, in [0, 1], after all earlier points and before any later one. Times may repeat or
	// jump back, as those of real series do.
	Next(at time.Time, x float64) float64
}

// Constructor makes a fresh detector that has seen nothing, one for each series.
type Constructor func() (Detector, error)

// play scores a series from its first point to its last.
func play(d Detector, s series) ([]float64, error) {
	out := make([]float64, len(s.values))
	for i, x := range s.values {
		score := d.Next(s.times[i], x)
		if !(score >= 0 && score <= 1) {
			return nil, fmt.Errorf("timeseries: %s: score %v of point %d is not within [0, 1]", s.name, score, i)
		}
		out[i] = score
	}
	return out, nil
}
