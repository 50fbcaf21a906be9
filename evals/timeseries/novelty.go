package timeseries

import (
	"time"

	"github.com/llm-sentinel/llm-sentinel/statistical"
)

// novelty is the detector that is measured. It counts points and takes no notice of their times.
type novelty struct{ points *statistical.Novelty }

// Novelty scores a point by its surprise s, in decades, on the scale s / (1 + s): see statistical.NoveltyAlarm.
func Novelty() (Detector, error) { return novelty{statistical.NewNovelty()}, nil }

func (n novelty) Next(_ time.Time, x float64) float64 {
	surprise := n.points.Next(x)
	return surprise / (1 + surprise)
}
