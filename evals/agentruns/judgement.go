package agentruns

import (
	"math"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// judgement is what of a verdict is measured.
type judgement struct {
	P         float64            `json:"p"`
	Anomalous bool               `json:"anomalous"`
	Step      int                `json:"step"`           // that it blames, none for no step
	Type      engine.AnomalyType `json:"type,omitempty"` // of the contribution that blames it
}

const none = -1

// judge takes from a verdict the step of the run that it blames: that of the largest contribution which points at one.
func (r run) judge(v engine.Verdict) judgement {
	out := judgement{P: v.P, Anomalous: v.Anomalous, Step: none}
	var share float64
	for _, c := range v.Contributions {
		if step, ok := r.stepOf(c.SpanID); ok && c.Share > share {
			share, out.Step, out.Type = c.Share, step, c.Type
		}
	}
	return out
}

// anomaly grows as the p-value falls. It is the score of the verdict but for the logarithm of α, which differs between pipelines.
func (j judgement) anomaly() float64 { return -math.Log10(max(j.P, math.SmallestNonzeroFloat64)) }
