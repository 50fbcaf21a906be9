package statistical

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

const (
	defaultCalibration = 1024
	maxCalibration     = 1 << 20
)

// Conformal turns the raw score of any detector, of which more is stranger, into a p-value: the share of calibration
// scores from normal behaviour that are at least as strange, (1 + #{s >= x}) / (n + 1), which is valid for exchangeable
// scores whatever their distribution (Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005).
//
// Beyond the largest few scores an exponential tail, fitted above the 95 % quantile, goes on below 1/(n+1). It is right
// for scores whose tail is exponential or lighter, so a score with a power law should be passed as its logarithm.
//
// It keeps a uniform sample of all scores (Algorithm R, Vitter, ACM TOMS 1985), the same one for the same seed.
type Conformal struct {
	capacity int
	random   rand.PCG
	seen     uint64
	sorted   []float64
}

// NewConformal returns a Conformal that keeps capacity scores, at most 1048576; 1024 when capacity is not positive.
func NewConformal(capacity int, seed uint64) *Conformal {
	if capacity <= 0 {
		capacity = defaultCalibration
	}
	return &Conformal{capacity: min(capacity, maxCalibration), random: *rand.NewPCG(seed, 0)}
}

// Add offers a calibration score. NaN and infinities are ignored.
func (c *Conformal) Add(x float64) {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return
	}
	c.seen++
	if len(c.sorted) >= c.capacity {
		// Algorithm R replaces a uniformly chosen element with probability capacity/seen.
		random := rand.New(&c.random)
		if random.Uint64N(c.seen) >= uint64(c.capacity) {
			return
		}
		i := random.IntN(len(c.sorted))
		c.sorted = slices.Delete(c.sorted, i, i+1)
	}
	c.sorted = slices.Insert(c.sorted, lowerBound(c.sorted, x), x)
}

// UpperP returns the p-value of x, which never rises with x; 1 when there is no calibration or x is NaN.
func (c *Conformal) UpperP(x float64) float64 {
	if len(c.sorted) == 0 || math.IsNaN(x) {
		return 1
	}
	return sortedUpperP(min(x, math.MaxFloat64), c.sorted, 0.95)
}

// Len is the number of scores held.
func (c *Conformal) Len() int { return len(c.sorted) }

// MarshalBinary returns a snapshot of the scores held and of the random state.
func (c *Conformal) MarshalBinary() ([]byte, error) {
	random, err := c.random.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("statistical: snapshot conformal: %w", err)
	}
	e := newEncoder(kindConformal, 48+8*len(c.sorted))
	e.string(string(random))
	e.uint64(c.seen)
	e.uint32(uint32(len(c.sorted)))
	for _, x := range c.sorted {
		e.float(x)
	}
	return e.buf, nil
}

// UnmarshalBinary replaces the scores by those of a snapshot, of which a random part is kept if there are more than the
// receiver holds. On an error nothing changes.
func (c *Conformal) UnmarshalBinary(data []byte) error {
	restored := NewConformal(c.capacity, 0)
	d := newDecoder(kindConformal, data)
	if err := restored.random.UnmarshalBinary([]byte(d.string())); d.err == nil && err != nil {
		d.fail("random state: %w", err)
	}
	restored.seen = d.uint64()
	n := d.length(int(d.uint32()), maxCalibration, 8)
	restored.sorted = make([]float64, n)
	for i := range n {
		restored.sorted[i] = d.floatIn(-math.MaxFloat64, math.MaxFloat64)
	}
	if !slices.IsSorted(restored.sorted) || restored.seen < uint64(n) {
		d.fail("%d scores of %d are not a sorted sample", n, restored.seen)
	}
	if err := d.finish("conformal"); err != nil {
		return err
	}
	if n > restored.capacity {
		rand.New(&restored.random).Shuffle(n, func(i, j int) {
			restored.sorted[i], restored.sorted[j] = restored.sorted[j], restored.sorted[i]
		})
		restored.sorted = slices.Clone(restored.sorted[:restored.capacity])
		slices.Sort(restored.sorted)
	}
	*c = *restored
	return nil
}
