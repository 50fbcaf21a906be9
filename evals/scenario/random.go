package scenario

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"time"
)

// stream returns the random numbers of one part of the scenario. Parts are independent of each other, so a change in one
// leaves the others as they were.
func stream(seed uint64, part string, n uint64) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(part))
	return rand.New(rand.NewPCG(scramble(seed^h.Sum64()), scramble(h.Sum64()+n)))
}

// scramble spreads neighbouring seeds over all bits (the finaliser of SplitMix64).
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// sample returns n distinct elements in random order, or all where there are fewer.
func sample[T any](r *rand.Rand, from []T, n int) []T {
	out := make([]T, 0, n)
	for _, i := range r.Perm(len(from))[:min(n, len(from))] {
		out = append(out, from[i])
	}
	return out
}

func between(r *rand.Rand, lo, hi float64) float64 { return lo + (hi-lo)*r.Float64() }

func chance(r *rand.Rand, p float64) bool { return r.Float64() < p }

// lognormal has the given median and the given standard deviation of its logarithm.
func lognormal(r *rand.Rand, median, sigma float64) float64 {
	return median * math.Exp(sigma*r.NormFloat64())
}

func milliseconds(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }

// roulette draws an index with probability proportional to its weight.
type roulette struct{ cumulative []float64 }

func newRoulette(n int, weight func(i int) float64) roulette {
	var w roulette
	sum := 0.0
	for i := range n {
		sum += weight(i)
		w.cumulative = append(w.cumulative, sum)
	}
	return w
}

func (w roulette) draw(r *rand.Rand) int {
	x := r.Float64() * w.cumulative[len(w.cumulative)-1]
	for i, c := range w.cumulative {
		if x < c {
			return i
		}
	}
	return len(w.cumulative) - 1
}

// share returns the probability of index i.
func (w roulette) share(i int) float64 {
	below := 0.0
	if i > 0 {
		below = w.cumulative[i-1]
	}
	return (w.cumulative[i] - below) / w.cumulative[len(w.cumulative)-1]
}
