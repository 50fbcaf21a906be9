package statistical

import (
	"cmp"
	"math"
	"slices"
)

const (
	maxBuckets   = 192
	minBuckets   = 8
	maxCollapses = 16
	minPositive  = 1e-12 // values below share the bucket of zero
	minLogScale  = 0.05  // no tail is believed to be narrower than 5 %
	negligible   = 1e-3  // weight, in observations, that may be dropped to make room

	maxBucketWeight = 1e30 // in a snapshot, so that a forged one cannot overflow later arithmetic
)

// bucketWidth is the width of a bucket on the natural log scale before any collapse: a bucket's middle is within 2 % of
// everything in it.
var bucketWidth = 2 * math.Log(1.02)

// sketch is a histogram over logarithmic buckets: bucket i holds the values in (e^((i-1)w), e^(iw)]. The buckets are
// those of DDSketch (Masson et al., VLDB 2019). They are kept sparse, so that one value far away costs one bucket, and
// when there are too many all are merged in pairs, which doubles w, as in UDDSketch (Epicoco et al., 2020).
//
// Weights have single precision: a bucket takes 6 bytes, and stops to grow at 2^24 observations.
type sketch struct {
	collapses uint8
	limit     uint8   // most buckets; 0 is maxBuckets
	total     float64 // of the weights as they are stored
	index     []int16 // ascending
	weight    []float32
}

func (s *sketch) most() int { return int(cmp.Or(s.limit, maxBuckets)) }

// bucketLimit is the limit of a sketch for a configured number of buckets.
func bucketLimit(buckets int) uint8 { return uint8(min(max(buckets, minBuckets), maxBuckets)) }

func (s *sketch) width() float64 { return widthOf(s.collapses) }

// bucket is the index of the bucket that holds x, and x on the log scale.
func (s *sketch) bucket(x float64) (int, float64) {
	log := math.Log(max(x, minPositive))
	return int(math.Ceil(log / s.width())), log
}

// widthOf is the width of a bucket after a number of collapses, and bucketOf the index of the one that holds x.
func widthOf(collapses uint8) float64 { return math.Ldexp(bucketWidth, int(collapses)) }

func bucketOf(x float64, collapses uint8) int {
	return int(math.Ceil(math.Log(max(x, minPositive)) / widthOf(collapses)))
}

// add puts x in with a weight; unit is the weight that one new observation has.
func (s *sketch) add(x, weight, unit float64) {
	i, _ := s.bucket(x)
	at, found := slices.BinarySearch(s.index, int16(i))
	for !found && len(s.index) >= s.most() {
		s.makeRoom(unit)
		i, _ = s.bucket(x)
		at, found = slices.BinarySearch(s.index, int16(i))
	}
	if !found {
		s.grow()
		s.index = slices.Insert(s.index, at, int16(i))
		s.weight = slices.Insert(s.weight, at, 0)
	}
	before := s.weight[at]
	s.weight[at] += float32(weight)
	s.total += float64(s.weight[at]) - float64(before)
}

// grow makes room for one more bucket in steps of a half, to the limit exactly.
func (s *sketch) grow() {
	n := len(s.index)
	if n < cap(s.index) && n < cap(s.weight) {
		return
	}
	size := min(max(minBuckets, n+n/2), s.most())
	s.index = append(make([]int16, 0, size), s.index...)
	s.weight = append(make([]float32, 0, size), s.weight...)
}

// makeRoom drops buckets whose weight has decayed away and, if that is not enough, doubles the width of all.
func (s *sketch) makeRoom(unit float64) {
	kept := 0
	for j, w := range s.weight {
		if float64(w) >= negligible*unit {
			s.index[kept], s.weight[kept] = s.index[j], w
			kept++
		}
	}
	s.truncate(kept)
	if kept > s.most()*7/8 {
		s.collapse()
	}
	s.total = sum(s.weight)
}

func (s *sketch) collapse() {
	s.collapses++
	last := -1
	for j, w := range s.weight {
		i := (s.index[j] + 1) >> 1 // rounds up, also below zero
		if last >= 0 && s.index[last] == i {
			s.weight[last] += w
			continue
		}
		last++
		s.index[last], s.weight[last] = i, w
	}
	s.truncate(last + 1)
}

func (s *sketch) truncate(n int) { s.index, s.weight = s.index[:n], s.weight[:n] }

// scale multiplies all weights.
func (s *sketch) scale(factor float64) {
	for j := range s.weight {
		s.weight[j] = float32(float64(s.weight[j]) * factor)
	}
	s.total = sum(s.weight)
}

// logQuantile is the quantile on the log scale, or NaN when the sketch is empty. -Inf stands for zero.
func (s *sketch) logQuantile(p float64) float64 {
	if len(s.index) == 0 || math.IsNaN(p) {
		return math.NaN()
	}
	rank := p * s.total
	j, below := 0, float64(s.weight[0])
	for below < rank && j < len(s.index)-1 {
		j++
		below += float64(s.weight[j])
	}
	if zero, _ := s.bucket(0); int(s.index[j]) <= zero {
		return math.Inf(-1)
	}
	return (float64(s.index[j]) - 0.5) * s.width()
}

// logScale is a robust standard deviation on the log scale: the interquartile range over that of the standard normal.
func (s *sketch) logScale() float64 {
	high, low := s.logQuantile(0.75), s.logQuantile(0.25)
	if math.IsInf(high, -1) {
		return 0
	}
	return (high - max(low, math.Log(minPositive))) / 1.349
}

// upperP is P(X >= x). Buckets are walked from the far end of the tail inwards.
//
// The bucket of x counts in full, so that a value which is always the same is not extreme. The tail is fitted to the
// outermost buckets that together hold less than its share.
func (s *sketch) upperP(x, unit, from float64) float64 {
	n := s.total / unit
	if len(s.index) == 0 || !(n > 0) {
		return 1
	}
	target, log := s.bucket(x)
	at := func(k int) (int, float64) {
		k = len(s.index) - 1 - k
		return int(s.index[k]), float64(s.weight[k])
	}

	width, need := s.width(), tailShare(n, from)*s.total
	inner, excess := 0, 0.0 // number and weight of the tail's buckets
	for ; inner < len(s.index)-1; inner++ {
		_, w := at(inner)
		if excess+w >= need {
			break
		}
		excess += w
	}
	start, _ := at(max(inner-1, 0)) // innermost bucket of the tail
	if inner == 0 {
		start++ // nothing lies beyond: the tail begins where the data end
	}
	if target < start {
		mass := excess
		for k := inner; k < len(s.index); k++ {
			i, w := at(k)
			if i < target {
				break
			}
			mass += w
		}
		return empiricalP(mass/unit, n)
	}

	threshold := float64(start-1) * width
	atLeast := 0.0
	for k := range inner {
		i, w := at(k)
		if i < target {
			break
		}
		atLeast += w
	}
	// The innermost excess lies at the threshold and says nothing about the scale.
	count := max(excess/unit-1, 1)
	mean := winsorisedMean(count, func(limit float64) float64 {
		total := 0.0
		for k := range inner {
			i, w := at(k)
			total += w / unit * min((float64(i)-0.5)*width-threshold, limit)
		}
		return total
	})
	t := tail{mass: (excess/unit + 1) / (n + 1), count: count, mean: max(mean, minLogScale)}
	return t.p(max(log-threshold, 0), atLeast/unit, n)
}

func sum(values []float32) float64 {
	total := 0.0
	for _, v := range values {
		total += float64(v)
	}
	return total
}

func (s *sketch) encode(e *encoder) {
	e.uint16(uint16(s.collapses))
	e.float(s.total)
	e.uint16(uint16(len(s.index)))
	for j, i := range s.index {
		e.uint16(uint16(i))
		e.uint32(math.Float32bits(s.weight[j]))
	}
}

// decode reads what encode wrote. Where there are more buckets than the limit of today they are merged.
func (s *sketch) decode(d *decoder) {
	collapses := d.uint16()
	if collapses > maxCollapses {
		d.fail("%d collapses", collapses)
	}
	s.collapses = uint8(collapses)
	s.total = d.sum()
	n := d.length(int(d.uint16()), maxBuckets, 6)
	s.index, s.weight = make([]int16, n), make([]float32, n)
	for j := range n {
		s.index[j] = int16(d.uint16())
		if s.weight[j] = math.Float32frombits(d.uint32()); !(s.weight[j] >= 0 && s.weight[j] <= maxBucketWeight) {
			d.fail("weight %v", s.weight[j])
		}
		if j > 0 && s.index[j] <= s.index[j-1] {
			d.fail("buckets out of order")
		}
	}
	if actual := sum(s.weight); math.Abs(actual-s.total) > 1e-6*actual {
		d.fail("total %v of weights that add up to %v", s.total, actual)
	}
	for d.err == nil && len(s.index) > s.most() {
		if s.collapses == maxCollapses {
			d.fail("%d buckets of the greatest width", len(s.index))
		}
		s.collapse()
	}
}
