package measure

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func flags(n int, runs ...[2]int) []bool {
	out := make([]bool, n)
	for _, r := range runs {
		for i := r[0]; i <= r[1]; i++ {
			out[i] = true
		}
	}
	return out
}

func TestVUSPRWithoutBuffer(t *testing.T) {
	one := flags(4, [2]int{0, 0})
	require.InDelta(t, 1, VUSPR([]float64{0.9, 0.1, 0.8, 0.2}, one, 0), 1e-12)
	require.InDelta(t, 0.5, VUSPR([]float64{0.8, 0.1, 0.9, 0.2}, one, 0), 1e-12)
	require.InDelta(t, 0.25, VUSPR([]float64{0, 0, 0, 0}, one, 0), 1e-12, "a constant score is worth the share of anomalous points")
	// First one run of two, precision 1 and recall 1/2 × 1/2; then both, recall 1 at precision 2/3.
	require.InDelta(t, 0.25+0.75*2/3, VUSPR([]float64{0.9, 0.8, 0.7, 0.1}, flags(4, [2]int{0, 0}, [2]int{2, 2}), 0), 1e-12)
}

func TestVUSPRWithBuffer(t *testing.T) {
	// With l = 2 the points beside the anomaly weigh sqrt(1/2); with l = 0 and 1 there is no buffer.
	side := math.Sqrt(0.5)
	perfect := (1 + 1 + 2*side) / 2
	recall1, recall2 := 1/perfect, min((1+side)/perfect, 1)
	area := recall1 + (recall2-recall1)*(1+side)/2 + (1-recall2)*(1+2*side)/3
	require.InDelta(t, (1+1+area)/3, VUSPR([]float64{0, 0.1, 0.9, 0.2, 0.05}, flags(5, [2]int{2, 2}), 2), 1e-12)
}

func TestVUSPRWithoutContrast(t *testing.T) {
	require.True(t, math.IsNaN(VUSPR([]float64{1, 2}, flags(2), 3)))
	require.True(t, math.IsNaN(VUSPR([]float64{1, 2}, flags(2, [2]int{0, 1}), 3)))
	require.True(t, math.IsNaN(VUSPR(nil, nil, 3)))
}

// naiveVUSPR is the definition, threshold by threshold.
func naiveVUSPR(scores []float64, anomalous []bool, longest int) float64 {
	n := len(scores)
	sorted := slices.Sorted(slices.Values(scores))
	slices.Reverse(sorted)
	total := 0.0
	for l := range longest + 1 {
		weights, member := make([]float64, n), make([]bool, n)
		sharp := 0.0
		for i, a := range anomalous {
			if !a {
				continue
			}
			sharp++
			weights[i], member[i] = 1, true
		}
		for i := range n {
			for d := 1; d <= l/2; d++ {
				for _, edge := range []int{i - d, i + d} {
					// The edge must be that end of its run which faces i.
					if edge >= 0 && edge < n && anomalous[edge] && !anomalous[edge+(i-edge)/d] {
						weights[i] += math.Sqrt(1 - float64(d)/float64(l))
						member[i] = true
					}
				}
			}
			weights[i] = min(weights[i], 1)
		}
		soft := 0.0
		for _, w := range weights {
			soft += w
		}
		area, before := 0.0, 0.0
		for k := range vusThresholds {
			threshold := sorted[k*(n-1)/(vusThresholds-1)]
			var hits, reached, found, runs float64
			in, seen := false, false
			for i := range n {
				if scores[i] >= threshold {
					reached++
					hits += weights[i]
				}
				if member[i] && !in {
					runs++
					seen = false
				}
				if member[i] && !seen && scores[i] >= threshold {
					found++
					seen = true
				}
				in = member[i]
			}
			recall := min(hits/((sharp+soft)/2), 1) * found / runs
			area += (recall - before) * hits / reached
			before = recall
		}
		total += area
	}
	return total / float64(longest+1)
}

func TestVUSPRAgreesWithItsDefinition(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		scores := make([]float64, 400)
		for i := range scores {
			scores[i] = float64(random.IntN(60))
		}
		a, b := 20+random.IntN(50), 200+random.IntN(100)
		label := flags(400, [2]int{a, a + random.IntN(20)}, [2]int{b, b + random.IntN(60)}, [2]int{390, 399})
		require.InDelta(t, naiveVUSPR(scores, label, 20), VUSPR(scores, label, 20), 1e-9)
	}
}
