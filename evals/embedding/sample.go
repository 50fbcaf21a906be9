package embedding

import (
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/llm-sentinel/llm-sentinel/evals"
)

// sample is texts with three vectors each: of the embedder that is measured, of the reference, and of the baseline.
type sample struct {
	kinds                       []string
	groups                      []string // of near copies, which the bootstrap draws together; nil for none
	measured, reference, hashed [][]float32
}

// of is the part of the sample that is of one kind.
func (s sample) of(kind string) sample {
	var out sample
	for i, k := range s.kinds {
		if k != kind {
			continue
		}
		out.kinds = append(out.kinds, k)
		if s.groups != nil {
			out.groups = append(out.groups, s.groups[i])
		}
		out.measured, out.reference, out.hashed = append(out.measured, s.measured[i]), append(out.reference, s.reference[i]), append(out.hashed, s.hashed[i])
	}
	return out
}

// pick chooses up to limit texts of each kind at random, kinds in order of their names. Of a group it takes one text a kind as long as
// there are groups, since near copies say little.
func pick(texts []evals.Text, limit int, seed uint64) []evals.Text {
	byKind := make(map[string][]evals.Text)
	for _, t := range texts {
		byKind[string(t.Kind)] = append(byKind[string(t.Kind)], t)
	}
	var out []evals.Text
	for _, kind := range slices.Sorted(maps.Keys(byKind)) {
		all := byKind[kind]
		random := rand.New(rand.NewPCG(seed, uint64(len(out))))
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		var first, rest []evals.Text
		seen := make(map[string]bool)
		for _, t := range all {
			if seen[t.Group] {
				rest = append(rest, t)
				continue
			}
			seen[t.Group] = true
			first = append(first, t)
		}
		all = slices.Concat(first, rest)
		out = append(out, all[:min(limit, len(all))]...)
	}
	return out
}
