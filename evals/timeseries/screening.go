package timeseries

import (
	"time"

	"github.com/llm-sentinel/llm-sentinel/statistical"
)

// screening is the detector that screening follows the numbers of a service with. It counts points and takes no notice of their times.
type screening struct{ points *statistical.Novelty }

// Screening scores a point by its surprise s, in decades, on the scale s / (1 + s), which is in the order of its p-value: see
// statistical.NoveltyAlarm. Every point is learnt; screening does not learn those of an incident.
func Screening() (Detector, error) { return screening{statistical.NewNovelty()}, nil }

func (s screening) Next(_ time.Time, x float64) float64 {
	surprise := s.points.Next(x)
	return surprise / (1 + surprise)
}
