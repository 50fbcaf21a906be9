package statistical

import (
	"cmp"
	"math"
	"slices"
)

// Sample is the values of one window, on the buckets of a Quantity: what came in before it is known whether the window may be
// learnt from. It takes 32 bytes and 4 a bucket. The order of values does not matter.
type Sample struct {
	buckets          []sampleBucket // ascending
	total            uint32
	collapses, limit uint8
}

type sampleBucket struct {
	index int16
	count uint16
}

// NewSample returns an empty Sample with a most number of buckets, 8 to 192.
func NewSample(buckets int) Sample { return Sample{limit: bucketLimit(buckets)} }

// Add puts x in. NaN, infinities and negative values are ignored.
func (s *Sample) Add(x float64) {
	if !(x >= 0) || math.IsInf(x, 1) {
		return
	}
	at, found := s.find(x)
	for !found && len(s.buckets) >= s.most() {
		s.collapse()
		at, found = s.find(x)
	}
	if !found {
		if n := len(s.buckets); n == cap(s.buckets) {
			s.buckets = append(make([]sampleBucket, 0, min(max(minBuckets, n+n/2), s.most())), s.buckets...)
		}
		s.buckets = slices.Insert(s.buckets, at, sampleBucket{index: int16(bucketOf(x, s.collapses))})
	}
	if s.buckets[at].count == math.MaxUint16 {
		s.halve()
	}
	s.buckets[at].count++
	s.total++
}

func (s *Sample) most() int { return int(cmp.Or(s.limit, maxBuckets)) }

func (s *Sample) find(x float64) (at int, found bool) {
	return slices.BinarySearchFunc(s.buckets, bucketOf(x, s.collapses), func(b sampleBucket, i int) int { return int(b.index) - i })
}

// collapse merges buckets in pairs, as a sketch does.
func (s *Sample) collapse() {
	s.collapses++
	old := s.buckets
	s.buckets = old[:0]
	for _, b := range old {
		b.index = (b.index + 1) >> 1
		if last := len(s.buckets) - 1; last >= 0 && s.buckets[last].index == b.index {
			room := math.MaxUint16 - s.buckets[last].count
			s.buckets[last].count += min(room, b.count)
			s.total -= uint32(b.count - min(room, b.count))
			continue
		}
		s.buckets = append(s.buckets, b)
	}
}

// halve lets every value stand for two when a bucket is full, so that the shares stay what they are.
func (s *Sample) halve() {
	s.total = 0
	for i := range s.buckets {
		s.buckets[i].count -= s.buckets[i].count / 2
		s.total += uint32(s.buckets[i].count)
	}
}

// Count is the number of values. Beyond 65535 in one bucket each stands for several.
func (s *Sample) Count() int { return int(s.total) }

// Quantile returns the p-quantile, p in [0, 1], or NaN when there is no value.
func (s *Sample) Quantile(p float64) float64 {
	out, below := math.NaN(), 0.0
	s.each(func(x, n float64) {
		if below < p*float64(s.total) || below == 0 {
			out = x
		}
		below += n
	})
	return out
}

// each calls do with the middle of every bucket and the number of values in it, in ascending order.
func (s *Sample) each(do func(x, n float64)) {
	zero := bucketOf(0, s.collapses)
	for _, b := range s.buckets {
		x := 0.0
		if int(b.index) > zero {
			x = min(math.Exp((float64(b.index)-0.5)*widthOf(s.collapses)), math.MaxFloat64)
		}
		do(x, float64(b.count))
	}
}

// MarshalBinary returns a snapshot of what was put in.
func (s *Sample) MarshalBinary() ([]byte, error) {
	e := newEncoder(kindSample, 4+4*len(s.buckets))
	e.uint16(uint16(s.collapses))
	e.uint16(uint16(len(s.buckets)))
	for _, b := range s.buckets {
		e.uint16(uint16(b.index))
		e.uint16(b.count)
	}
	return e.buf, nil
}

// UnmarshalBinary replaces what was put in by a snapshot. On an error nothing changes.
func (s *Sample) UnmarshalBinary(data []byte) error {
	restored := Sample{limit: s.limit}
	d := newDecoder(kindSample, data)
	collapses := d.uint16()
	if collapses > maxCollapses {
		d.fail("%d collapses", collapses)
	}
	restored.collapses = uint8(collapses)
	n := d.length(int(d.uint16()), maxBuckets, 4)
	for j := range n {
		b := sampleBucket{int16(d.uint16()), d.uint16()}
		if b.count == 0 || j > 0 && b.index <= restored.buckets[j-1].index {
			d.fail("bucket %d is empty or out of order", j)
		}
		restored.buckets = append(restored.buckets, b)
		restored.total += uint32(b.count)
	}
	for d.err == nil && len(restored.buckets) > s.most() {
		if restored.collapses == maxCollapses {
			d.fail("%d buckets of the greatest width", len(restored.buckets))
		}
		restored.collapse()
	}
	if err := d.finish("sample"); err != nil {
		return err
	}
	restored.buckets = slices.Clip(restored.buckets)
	*s = restored
	return nil
}
