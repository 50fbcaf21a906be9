package topics

import (
	"slices"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// alarm says that the mixture had changed, when that became known.
type alarm struct {
	At    time.Time `json:"at"`
	Score float64   `json:"score"` // above 1 is what the system would tell
}

// alarms are the anomalies that say so.
func alarms(all []engine.Anomaly) []alarm {
	var out []alarm
	for i := range all {
		if all[i].Type == engine.TopicDrift {
			out = append(out, alarm{all[i].At, all[i].Score})
		}
	}
	return out
}

// outcome is what one system says of one stream.
type outcome struct {
	score    float64       // the largest after the change, 0 without one
	detected bool          // the mixture changed, and a score after that is above 1
	delay    int           // prompts from the change to the first such score
	wrong    int           // alarms while it was calm
	calm     time.Duration // for which it was
}

// judge compares alarms with what happened. The first half of the history is for learning and counts for nothing.
func judge(s *stream, said []alarm) outcome {
	var o outcome
	listen := s.start.Add(s.changed.Sub(s.start) / 2)
	o.calm = s.changed.Sub(listen)
	if s.change == calm {
		o.calm = s.end.Sub(listen)
	}
	slices.SortFunc(said, func(a, b alarm) int { return a.At.Compare(b.At) })
	for _, a := range said {
		if a.At.After(s.end) {
			break
		}
		after := a.At.After(s.changed)
		if after {
			o.score = max(o.score, a.Score)
		}
		switch {
		case a.Score <= 1:
		case (!after || s.change == calm) && a.At.After(listen):
			o.wrong++
		case after && !o.detected:
			o.detected, o.delay = true, s.after(a.At)
		}
	}
	return o
}
