package engine

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/llm-sentinel/llm-sentinel/statistical"
)

// precedence orders anomaly types from cause to symptom: a jailbreak that was also slow is a jailbreak. It decides the type of
// a verdict with several abnormal contributions and which of two incidents takes in the other.
var precedence = map[AnomalyType]int{
	SecurityPattern: 0, Jailbreak: 1, PromptInjection: 2, PIIExposure: 3, PolicyViolation: 4,
	AgentTrajectory: 5, TokenAbuse: 6, ErrorRate: 7, EdgeDegradation: 8, LatencySpike: 9,
	SemanticNovelty: 10, TopicDrift: 11, UngroundedResponse: 12, RetrievalIrrelevant: 13,
	ModelRegression: 14, CostOverrun: 15, Traffic: 16,
}

// rank is the type's place in precedence; unknown types come last.
func rank(t AnomalyType) int {
	if r, ok := precedence[t]; ok {
		return r
	}
	return len(precedence)
}

// judge combines what the detectors say of one trace into one score (design: score = log p / log α). A finding whose
// effect is immaterial counts as p = 1; one that is still learning is only named.
func judge(id TraceID, findings []Finding, alpha float64, severity SeverityConfig) Verdict {
	v := Verdict{TraceID: id, Alpha: alpha, P: 1, Contributions: []Contribution{}}
	var ps []float64
	var total float64
	for _, f := range findings {
		if f.Learning {
			v.Learning = append(v.Learning, f.Detector)
			continue
		}
		c := Contribution{Finding: f}
		p := 1.0
		if f.Material {
			p = f.P
			if f.Threshold > 1 { // log p / log α must exceed it instead of 1
				p = math.Pow(p, 1/f.Threshold)
			}
			c.Score = statistical.Score(p, alpha)
		}
		ps = append(ps, p)
		total += c.Score
		v.Contributions = append(v.Contributions, c)
	}
	if len(ps) == 0 {
		v.Reason = "nothing to compare with yet"
		return v
	}
	v.P = statistical.Cauchy(ps, nil)
	v.Score = statistical.Score(v.P, alpha)
	v.Anomalous = v.Score > 1
	for i := range v.Contributions {
		if total > 0 {
			v.Contributions[i].Share = v.Contributions[i].Score / total
		}
	}
	slices.SortStableFunc(v.Contributions, func(a, b Contribution) int { return cmp.Compare(b.Score, a.Score) })
	v.Reason = verdictReason(v)
	if v.Anomalous {
		lead := v.lead()
		v.Type = lead.Type
		v.Severity = severity.Of(lead.Type, v.Score, lead.Effect, Circumstances{})
	}
	return v
}

// lead is the contribution that names an anomalous verdict: of those that are abnormal on their own, the one nearest to the
// cause; the strongest when only all together are.
func (v *Verdict) lead() *Contribution {
	best := -1
	for i := range v.Contributions {
		if v.Contributions[i].Score <= 1 {
			break // sorted
		}
		if best < 0 || rank(v.Contributions[i].Type) < rank(v.Contributions[best].Type) {
			best = i
		}
	}
	if best < 0 {
		best = 0
	}
	return &v.Contributions[best]
}

func verdictReason(v Verdict) string {
	var reasons []string
	for _, c := range v.Contributions {
		if c.Score > 0.5 && len(reasons) < 3 {
			reasons = append(reasons, c.Reason)
		}
	}
	if len(reasons) == 0 {
		return "within what is normal"
	}
	return strings.Join(reasons, "; ")
}

// flagged reports whether any finding is remarkable enough for the semantic tier.
func flagged(findings []Finding, below float64) bool {
	for _, f := range findings {
		if !f.Learning && f.Material && f.P < below {
			return true
		}
	}
	return false
}
