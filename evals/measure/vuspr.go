package measure

import (
	"cmp"
	"math"
	"slices"
)

// vusThresholds is at how many thresholds the curve of VUSPR is read, evenly spaced by rank.
const vusThresholds = 250

// VUSPR is the volume under the surface of precision and recall of an anomaly score for each point of a series (Paparrizos et al.,
// "Volume Under the Surface", PVLDB 15(11), 2022). Labels of intervals are never sharp, so each run of anomalous points is given a
// buffer of half the length l on either side, in which a point at distance d counts as sqrt(1 - d/l) of an anomalous one; recall is
// scaled by the share of runs of which anything was detected. The area under the curve is averaged over l = 0, 1, ..., longest points.
//
// The area is the sum of steps, as in TSB-AD (Liu and Paparrizos, NeurIPS 2024), not of trapezoids, which would give a constant score
// more than the share of anomalous points. It lies in [0, 1], more is better, and is NaN when no point is anomalous or every one is.
func VUSPR(scores []float64, anomalous []bool, longest int) float64 {
	n := len(scores)
	runs := runsOf(anomalous)
	if len(runs) == 0 || runs[0] == [2]int{0, n - 1} {
		return math.NaN()
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	levels := vusLevels(scores, order)
	sharp := 0
	for _, flag := range anomalous {
		if flag {
			sharp++
		}
	}
	var volume float64
	for length := range longest + 1 {
		volume += areaPR(scores, order, levels, sharp, buffered(n, runs, length), merged(n, runs, length/2))
	}
	return volume / float64(longest+1)
}

// level is one threshold and how many points reach it.
type level struct {
	threshold float64
	reached   int
}

// vusLevels are the distinct thresholds, falling.
func vusLevels(scores []float64, order []int) []level {
	var out []level
	for k := range vusThresholds {
		rank := k * (len(order) - 1) / (vusThresholds - 1)
		if len(out) > 0 && rank < out[len(out)-1].reached {
			continue
		}
		threshold := scores[order[rank]]
		for rank < len(order) && scores[order[rank]] == threshold {
			rank++
		}
		out = append(out, level{threshold, rank})
	}
	return out
}

// areaPR is the area under one curve. There are sharp anomalous points without buffers; weights says how anomalous each point is with
// them, and runs which points belong to one anomaly.
func areaPR(scores []float64, order []int, levels []level, sharp int, weights []float64, runs [][2]int) float64 {
	var soft float64
	for _, w := range weights {
		soft += w
	}
	peaks := make([]float64, len(runs)) // highest score in each run
	for k, r := range runs {
		peaks[k] = slices.Max(scores[r[0] : r[1]+1])
	}
	var area, hits, recall float64
	taken := 0
	for _, l := range levels {
		for ; taken < l.reached; taken++ {
			hits += weights[order[taken]]
		}
		found := 0
		for _, peak := range peaks {
			if peak >= l.threshold {
				found++
			}
		}
		// Halfway between sharp and soft, so that a detector that stays within the label can reach full recall.
		next := min(hits/((float64(sharp)+soft)/2), 1) * float64(found) / float64(len(runs))
		area += (next - recall) * hits / float64(l.reached)
		recall = next
	}
	return area
}

// runsOf are the first and last index of each unbroken run of true.
func runsOf(flags []bool) [][2]int {
	var out [][2]int
	for i, flag := range flags {
		if !flag {
			continue
		}
		if i > 0 && flags[i-1] {
			out[len(out)-1][1] = i
		} else {
			out = append(out, [2]int{i, i})
		}
	}
	return out
}

// buffered says how anomalous each of n points is: 1 in a run and falling in the buffers around it.
func buffered(n int, runs [][2]int, length int) []float64 {
	out := make([]float64, n)
	add := func(i, distance int) {
		if i >= 0 && i < n {
			out[i] += math.Sqrt(1 - float64(distance)/float64(length))
		}
	}
	for _, r := range runs {
		for i := r[0]; i <= r[1]; i++ {
			out[i]++
		}
		for d := 1; d <= length/2; d++ {
			add(r[0]-d, d)
			add(r[1]+d, d)
		}
	}
	for i := range out {
		out[i] = min(out[i], 1)
	}
	return out
}

// merged widens runs by a margin on either side and joins those that overlap.
func merged(n int, runs [][2]int, margin int) [][2]int {
	var out [][2]int
	for _, r := range runs {
		wide := [2]int{max(r[0]-margin, 0), min(r[1]+margin, n-1)}
		if len(out) > 0 && wide[0] <= out[len(out)-1][1] {
			out[len(out)-1][1] = wide[1]
		} else {
			out = append(out, wide)
		}
	}
	return out
}
