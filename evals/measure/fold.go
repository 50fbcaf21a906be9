package measure

import (
	"math/rand/v2"
	"slices"
)

// Folds deals cases to k folds, 0 to k-1, for cross-validation; groups has one name a case, and cases of a group share a fold. Which
// fold a group gets depends on the seed and the set of groups, not on the order of cases.
func Folds(seed uint64, groups []string, k int) []int {
	names := slices.Clone(groups)
	slices.Sort(names)
	names = slices.Compact(names)
	random := rand.New(rand.NewPCG(seed, 0xd1b54a32d192ed03))
	random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	fold := make(map[string]int, len(names))
	for i, name := range names {
		fold[name] = i % k
	}
	out := make([]int, len(groups))
	for i, g := range groups {
		out[i] = fold[g]
	}
	return out
}
