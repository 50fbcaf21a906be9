package groundedness

import (
	"cmp"
	"math"
	"slices"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals/measure"
)

// strangeness orders responses: by p-value, and by the raw score where p-values tie, as they do at the end of a short history.
type strangeness struct {
	P   float64 `json:"p"`
	Raw float64 `json:"raw"`
}

var (
	least = strangeness{P: 1, Raw: -math.MaxFloat64} // of a trace of which nothing was said
	most  = strangeness{P: 0, Raw: math.MaxFloat64}  // beyond all that is said
)

// compare is positive when a is stranger than b.
func (a strangeness) compare(b strangeness) int {
	return cmp.Or(cmp.Compare(b.P, a.P), cmp.Compare(a.Raw, b.Raw))
}

// said is what the detector of ungrounded responses says of a trace.
type said struct {
	strangeness
	Found    bool `json:"found"` // some detector said anything of this type
	Learning bool `json:"learning"`
}

func hear(findings []engine.Finding) said {
	out := said{strangeness: least}
	for _, f := range findings {
		if f.Type != engine.UngroundedResponse {
			continue
		}
		s := strangeness{P: f.P, Raw: f.Raw}
		if !out.Found || s.compare(out.strangeness) > 0 {
			out = said{strangeness: s, Found: true, Learning: f.Learning}
		}
	}
	return out
}

// ranks are numbers in the order of the strangeness, equal where it is equal.
func ranks(scores []strangeness) []float64 {
	distinct := slices.Clone(scores)
	slices.SortFunc(distinct, strangeness.compare)
	distinct = slices.Compact(distinct)
	out := make([]float64, len(scores))
	for i, s := range scores {
		at, _ := slices.BinarySearchFunc(distinct, s, strangeness.compare)
		out[i] = float64(at)
	}
	return out
}

// threshold is the strangeness from which on to say hallucinated, such that the balanced accuracy on the cases is best; the strictest
// of several that are equally good. Without both labels nothing is ever said.
func threshold(scores []strangeness, positive []bool, cases []int) strangeness {
	candidates := make([]strangeness, 0, len(cases))
	for _, i := range cases {
		candidates = append(candidates, scores[i])
	}
	slices.SortFunc(candidates, func(a, b strangeness) int { return b.compare(a) })
	best, at := 0.5, most
	for _, t := range slices.Compact(candidates) {
		if x := measure.BalancedAccuracy(above(scores, t), positive, cases); x > best {
			best, at = x, t
		}
	}
	return at
}

// above says of each score whether it reaches the threshold.
func above(scores []strangeness, threshold strangeness) []bool {
	out := make([]bool, len(scores))
	for i, s := range scores {
		out[i] = s.compare(threshold) >= 0
	}
	return out
}
