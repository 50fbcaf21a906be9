package statistical

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// MMD tests whether two samples of unit vectors come from one distribution. The statistic is the squared maximum mean discrepancy with a
// Gaussian kernel whose width is the median distance (Gretton et al., "A Kernel Two-Sample Test", JMLR 2012), and the p-value that of the
// permutations of the pooled sample. An empirical p-value cannot go below 1/(permutations+1); so a gamma distribution is fitted to the
// permuted statistics by their mean, variance and skewness (Winkler et al., NeuroImage 2016), whose upper tail is taken.
//
// It takes (|a|+|b|)² kernel values and as many additions a permutation; 0 and 1 with fewer than two vectors in either sample. The same
// seed gives the same answer. Vectors must have one length and are taken to be exchangeable under the null: what depends on each other
// in a sample makes p too small.
func MMD(a, b [][]float32, permutations int, seed uint64) (statistic, p float64) {
	m, n := len(a), len(b)
	if m < 2 || n < 2 || permutations < 20 {
		return 0, 1
	}
	all := slices.Concat(a, b)
	size := m + n
	kernel := make([]float64, size*size) // squared distances first
	distances := make([]float64, 0, size*(size-1)/2)
	for i := range size {
		for j := range i {
			d := max(0, 2-2*dot(all[i], all[j]))
			kernel[i*size+j], kernel[j*size+i] = d, d
			distances = append(distances, d)
		}
	}
	slices.Sort(distances)
	width := max(distances[len(distances)/2], 1e-9)
	for i, d := range kernel {
		kernel[i] = math.Exp(-d / width)
	}
	inA := make([]bool, size)
	for i := range m {
		inA[i] = true
	}
	statistic = discrepancy(kernel, inA, m, n)
	rng := rand.New(rand.NewPCG(seed, 0x6d6d64))
	null := make([]float64, permutations)
	for k := range null {
		rng.Shuffle(size, func(i, j int) { inA[i], inA[j] = inA[j], inA[i] })
		null[k] = discrepancy(kernel, inA, m, n)
	}
	return statistic, gammaUpperP(null, statistic)
}

func dot(a, b []float32) float64 {
	var sum float32
	for i, x := range a[:min(len(a), len(b))] {
		sum += x * b[i]
	}
	return float64(sum)
}

// discrepancy is the unbiased estimate of the squared MMD of those in and those out.
func discrepancy(kernel []float64, inA []bool, m, n int) float64 {
	size := m + n
	var within, between, without float64
	for i := range size {
		row := kernel[i*size : i*size+i]
		for j, k := range row {
			switch {
			case inA[i] && inA[j]:
				within += k
			case inA[i] != inA[j]:
				between += k
			default:
				without += k
			}
		}
	}
	return 2*within/float64(m*(m-1)) + 2*without/float64(n*(n-1)) - 2*between/float64(m*n)
}

// gammaUpperP is P(X >= x) of a shifted gamma distribution (Pearson type III) with the first three moments of the sample.
func gammaUpperP(sample []float64, x float64) float64 {
	n := float64(len(sample))
	var mean, second, third float64
	for _, v := range sample {
		mean += v / n
	}
	for _, v := range sample {
		d := v - mean
		second += d * d / (n - 1)
		third += d * d * d / n
	}
	sd := math.Sqrt(second)
	if !(sd > 0) {
		if x > mean {
			return minP
		}
		return 1
	}
	// Less skewed than this it is normal in all that matters, and the gamma's parameters run away.
	skew := max(third/(sd*sd*sd), 0.05)
	shape := 4 / (skew * skew)
	g := distuv.Gamma{Alpha: shape, Beta: 1}
	return clampP(g.Survival(max(0, shape+(x-mean)/sd*math.Sqrt(shape))))
}
