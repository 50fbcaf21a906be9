package prompts

import (
	"cmp"
	"context"
	"math/rand/v2"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
	"github.com/llm-sentinel/llm-sentinel/evals/measure"
)

// deal gives each text a fold. Groups stay whole, so an attack's cluster or family is never learnt by the pipeline that judges it. Each
// stratum is dealt by itself: a label, and of benign texts a family, since benign families are what the service's normal traffic is.
func deal(texts []text, seed uint64) []int {
	var order []string
	strata := make(map[string][]int)
	for i, t := range texts {
		name := t.Kind + " " + t.Label
		if !t.attack() {
			name += " " + t.Family
		}
		if _, known := strata[name]; !known {
			order = append(order, name)
		}
		strata[name] = append(strata[name], i)
	}
	fold := make([]int, len(texts))
	for _, name := range order {
		groups := make([]string, len(strata[name]))
		for k, i := range strata[name] {
			groups[k] = cmp.Or(texts[i].group(), "text "+texts[i].ID)
		}
		for k, f := range measure.Folds(seed, groups, folds) {
			fold[strata[name][k]] = f
		}
	}
	return fold
}

// teach gives a pipeline the attacks as known and the benign texts as normal traffic, in an order in which families are mixed as they
// are when many people use a service. Attacks come first: what is normal is calibrated beside them.
func teach(ctx context.Context, p Pipeline, texts []text) error {
	var known []engine.Memo
	var normal []text
	for _, t := range texts {
		switch {
		case t.Listed:
		case t.attack():
			if m, ok := t.memo(); ok {
				known = append(known, m)
			}
		default:
			normal = append(normal, t)
		}
	}
	rand.New(rand.NewPCG(uint64(len(normal)), 0)).Shuffle(len(normal), func(i, j int) { normal[i], normal[j] = normal[j], normal[i] })
	if err := p.Attacks(ctx, known); err != nil {
		return err
	}
	return p.Learn(ctx, evals.History(normal, text.trace))
}
