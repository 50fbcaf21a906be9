package statistical

import (
	"math"
	"time"

	"gonum.org/v1/gonum/mat"
)

const (
	kindJoint = 'J'

	maxDimensions = 64

	// jointRidge is added to the diagonal of the correlation matrix, so that numbers which determine each other exactly, such as
	// tokens and their price, still have an inverse.
	jointRidge = 1e-3

	// maxCoordinate bounds what is taken in: a forged or absurd value must not overflow a sum of squares.
	maxCoordinate = 1e60
)

// JointConfig says how a Joint learns. A field that is not positive takes its default.
type JointConfig struct {
	Dimensions int           // how many numbers are observed together, at most 64; 1 by default
	HalfLife   time.Duration // event time after which an observation weighs half; a day by default
	MinCount   int           // decayed number of observations below which it is still learning; 200 by default
	MinScale   float64       // no number is believed to vary by less than this standard deviation; 0.05 by default
}

func (c JointConfig) withDefaults() JointConfig {
	c.Dimensions = min(max(c.Dimensions, 1), maxDimensions)
	if c.HalfLife <= 0 {
		c.HalfLife = 24 * time.Hour
	}
	if c.MinCount <= 0 {
		c.MinCount = 200
	}
	if !(c.MinScale > 0) {
		c.MinScale = minLogScale
	}
	return c
}

// Joint learns how numbers that are observed together depend on each other, and says how far each of them lies from what the others lead
// to expect: it finds a combination that is unusual though no number of it is.
//
// It is the linear autoencoder that reconstructs every coordinate from all the others, which makes it unable to copy its input. Its weights
// are not descended to but known: they are rows of the inverse of the correlation matrix (Dempster, "Covariance Selection", Biometrics
// 1972), which is kept by Welford's update under forward decay. An observation costs the square of the number of dimensions, and the
// memory is as large.
//
// NaN stands for a number that is missing: it is taken to be as expected.
type Joint struct {
	cfg     JointConfig
	time    forward
	weight  float64
	mean    []float64
	scatter []float64 // weighted sums of products of deviations, row by row
	weights []float64 // the inverse of the correlation matrix, row by row; nil until it is needed
	scale   []float64
	z       []float64
}

// Deviation is how one number of an observation relates to the others.
type Deviation struct {
	Expected float64 // what the others lead to expect
	Sigmas   float64 // how far it lies from that, in standard deviations of what is left; negative below
	Alone    float64 // how far it lies from its own mean, in its own standard deviations
}

// NewJoint returns a Joint that has seen nothing.
func NewJoint(cfg JointConfig) *Joint {
	cfg = cfg.withDefaults()
	d := cfg.Dimensions
	return &Joint{cfg: cfg, mean: make([]float64, d), scatter: make([]float64, d*d), scale: make([]float64, d), z: make([]float64, d)}
}

// Add learns an observation made at t, which must have Dimensions numbers.
func (j *Joint) Add(t time.Time, x []float64) {
	weight, factor := j.time.observe(t, j.cfg.HalfLife, 1)
	if factor != 1 {
		j.weight *= factor
		for i := range j.scatter {
			j.scatter[i] *= factor
		}
	}
	j.weight += weight
	before, d := j.z, j.cfg.Dimensions // deviations from the mean before this observation
	for i := range d {
		if before[i] = clamp(x[i], -maxCoordinate, maxCoordinate) - j.mean[i]; math.IsNaN(x[i]) {
			before[i] = 0
		}
		j.mean[i] += weight / j.weight * before[i]
	}
	for i := range d {
		for k := range d {
			j.scatter[i*d+k] += weight * (1 - weight/j.weight) * before[i] * before[k]
		}
	}
	j.weights = nil
}

// Count is the decayed number of observations.
func (j *Joint) Count() float64 { return j.weight / j.time.unit() }

// Learning reports whether too little was seen for the deviations to be acted on.
func (j *Joint) Learning() bool { return j.Count() < float64(j.cfg.MinCount) }

// Deviations fills out, of length Dimensions, with those of x. With nothing learned all are zero.
func (j *Joint) Deviations(x []float64, out []Deviation) {
	d := j.cfg.Dimensions
	clear(out)
	if !(j.weight > 0) {
		return
	}
	if j.weights == nil {
		j.solve()
	}
	for i := range d {
		if j.z[i] = (clamp(x[i], -maxCoordinate, maxCoordinate) - j.mean[i]) / j.scale[i]; math.IsNaN(x[i]) {
			j.z[i] = 0
		}
	}
	for i := range d {
		row := j.weights[i*d : (i+1)*d]
		sum := 0.0
		for k, w := range row {
			sum += w * j.z[k]
		}
		// Given the others, the number is normal around its reconstruction with variance 1/row[i], in units of its scale.
		out[i] = Deviation{Expected: x[i] - sum/row[i]*j.scale[i], Sigmas: sum / math.Sqrt(row[i]), Alone: j.z[i]}
		if math.IsNaN(x[i]) {
			out[i] = Deviation{Expected: math.NaN()}
		}
	}
}

// solve computes the scales and the inverse of the correlation matrix.
func (j *Joint) solve() {
	d := j.cfg.Dimensions
	for i := range d {
		j.scale[i] = math.Sqrt(j.scatter[i*d+i]/j.weight + j.cfg.MinScale*j.cfg.MinScale)
	}
	correlation := mat.NewSymDense(d, nil)
	for i := range d {
		correlation.SetSym(i, i, 1+jointRidge)
		for k := range i {
			correlation.SetSym(i, k, j.scatter[i*d+k]/j.weight/j.scale[i]/j.scale[k])
		}
	}
	j.weights = make([]float64, d*d)
	inverse := mat.NewSymDense(d, nil)
	var factors mat.Cholesky
	// What was learned always has an inverse, what a forged snapshot claims may not: then nothing depends on anything.
	solved := factors.Factorize(correlation) && factors.InverseTo(inverse) == nil
	for i := range d {
		if !solved {
			j.weights[i*d+i] = 1
			continue
		}
		for k := range d {
			j.weights[i*d+k] = inverse.At(i, k)
		}
	}
}

// MarshalBinary returns a snapshot of what was learned.
func (j *Joint) MarshalBinary() ([]byte, error) {
	d := j.cfg.Dimensions
	e := newEncoder(kindJoint, 40+8*d*(d+3)/2)
	j.time.encode(e)
	e.float(j.weight)
	e.uint16(uint16(d))
	for i := range d {
		e.float(j.mean[i])
		for k := range i + 1 {
			e.float(j.scatter[i*d+k])
		}
	}
	return e.buf, nil
}

// UnmarshalBinary replaces what was learned by a snapshot, which must have as many dimensions. On an error nothing changes.
func (j *Joint) UnmarshalBinary(data []byte) error {
	restored := NewJoint(j.cfg)
	size := restored.cfg.Dimensions
	d := newDecoder(kindJoint, data)
	restored.time.decode(d)
	restored.weight = d.sum()
	if n := int(d.uint16()); n != size {
		d.fail("%d dimensions, want %d", n, size)
	}
	for i := range size {
		restored.mean[i] = d.floatIn(-maxCoordinate, maxCoordinate)
		for k := range i + 1 {
			x := d.floatIn(-maxWeight, maxWeight)
			if i == k && x < 0 {
				d.fail("scatter %v is negative", x)
			}
			restored.scatter[i*size+k], restored.scatter[k*size+i] = x, x
		}
	}
	if err := d.finish("joint"); err != nil {
		return err
	}
	*j = *restored
	return nil
}
