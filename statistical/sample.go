package statistical

import "math"

// Sample is the values of one window, on the buckets of a Quantity: what came in before it is known whether the window may be
// learnt from. The order of its values does not matter. It takes 64 bytes and 6 a bucket.
type Sample struct{ sketch sketch }

// NewSample returns an empty Sample with a most number of buckets, 8 to 192.
func NewSample(buckets int) Sample { return Sample{sketch{limit: bucketLimit(buckets)}} }

// Add puts x in. NaN, infinities and negative values are ignored.
func (s *Sample) Add(x float64) {
	if x >= 0 && !math.IsInf(x, 1) {
		s.sketch.add(x, 1, 1)
	}
}

// Count is the number of values.
func (s *Sample) Count() int { return int(s.sketch.total) }

// Quantile returns the p-quantile, p in [0, 1], or NaN when there is no value.
func (s *Sample) Quantile(p float64) float64 { return math.Exp(s.sketch.logQuantile(p)) }

// each calls do with the middle of every bucket and the number of values in it, in ascending order.
func (s *Sample) each(do func(x, n float64)) {
	zero, _ := s.sketch.bucket(0)
	for j, i := range s.sketch.index {
		x := 0.0
		if int(i) > zero {
			x = math.Exp((float64(i) - 0.5) * s.sketch.width())
		}
		do(min(x, math.MaxFloat64), float64(s.sketch.weight[j]))
	}
}

// MarshalBinary returns a snapshot of what was put in.
func (s *Sample) MarshalBinary() ([]byte, error) {
	e := newEncoder(kindSample, 16+6*len(s.sketch.index))
	s.sketch.encode(e)
	return e.buf, nil
}

// UnmarshalBinary replaces what was put in by a snapshot. On an error nothing changes.
func (s *Sample) UnmarshalBinary(data []byte) error {
	restored := Sample{sketch{limit: s.sketch.limit}}
	d := newDecoder(kindSample, data)
	restored.sketch.decode(d)
	if err := d.finish("sample"); err != nil {
		return err
	}
	*s = restored
	return nil
}
