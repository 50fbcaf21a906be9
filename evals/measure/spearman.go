package measure

import (
	"cmp"
	"slices"

	"gonum.org/v1/gonum/stat"
)

// Pairs holds all pairs of n items in the order of their similarity.
type Pairs struct {
	n     int
	order []int32 // pairs by rising similarity; the pair of i < j has the number j(j-1)/2 + i
	tied  []bool  // order[k] is as similar as order[k+1]
}

// NewPairs orders the pairs of n items. It takes n²/2 calls of similarity with i < j, whose values must not be NaN.
func NewPairs(n int, similarity func(i, j int) float64) Pairs {
	values := make([]float64, 0, n*(n-1)/2)
	for j := range n {
		for i := range j {
			values = append(values, similarity(i, j))
		}
	}
	p := Pairs{n: n, order: make([]int32, len(values)), tied: make([]bool, len(values))}
	for k := range p.order {
		p.order[k] = int32(k)
	}
	slices.SortFunc(p.order, func(a, b int32) int { return cmp.Or(cmp.Compare(values[a], values[b]), cmp.Compare(a, b)) })
	for k := 1; k < len(values); k++ {
		p.tied[k-1] = values[p.order[k-1]] == values[p.order[k]]
	}
	return p
}

// Spearman is the rank correlation of two similarities over the pairs of the items in cases (Spearman, 1904), ties at their middle rank.
// An item that is drawn more than once weighs as often, but is no pair with itself. It is NaN where a similarity is constant. The order
// of pairs is kept in a and b, so that a resample takes no sorting.
func Spearman(a, b Pairs, cases []int) float64 {
	drawn := make([]float64, a.n)
	for _, i := range cases {
		drawn[i]++
	}
	weights := make([]float64, 0, len(a.order))
	for j := range drawn {
		for i := range j {
			weights = append(weights, drawn[i]*drawn[j])
		}
	}
	return stat.Correlation(a.ranks(weights), b.ranks(weights), weights)
}

// Ranks are the middle ranks of all pairs by number, as shares of them in (0, 1).
func (p Pairs) Ranks() []float64 {
	weights := make([]float64, len(p.order))
	for i := range weights {
		weights[i] = 1 / float64(len(weights))
	}
	return p.ranks(weights)
}

// ranks are the middle ranks of pairs of which each stands for as many as its weight says.
func (p Pairs) ranks(weights []float64) []float64 {
	out := make([]float64, len(weights))
	var below float64
	for k := 0; k < len(p.order); {
		end := k
		for p.tied[end] {
			end++
		}
		run := p.order[k : end+1]
		var weight float64
		for _, pair := range run {
			weight += weights[pair]
		}
		for _, pair := range run {
			out[pair] = below + weight/2
		}
		below += weight
		k = end + 1
	}
	return out
}
