package embedded

import (
	"math"
	"slices"
)

// codes are the vectors of a collection a second time, rounded to a byte a component. A scan reads them, a quarter of the
// bytes, to learn between which bounds the similarity of each row lies, and then computes that of the few rows that matter.
//
// A row a is held as a ≈ s·c, c of integers in [-127, 127], and a query b as b ≈ t·q, q of 16-bit integers. Since
//
//	a·b − (s·c)·(t·q) = (a − s·c)·(t·q) + a·(b − t·q),
//
// the inequality of Cauchy and Schwarz gives
//
//	|a·b − s·t·(c·q)| ≤ |a − s·c|·|t·q| + |a|·|b − t·q|.
//
// c·q is a sum of integers and exact. s and |a − s·c| are kept with the row, |t·q| and |b − t·q| are computed once a query,
// and |a| and |b| are at most maxLength. What dot returns is a·b but for rounding, which is at most
//
//	n·u/(1 − n·u)·|a|·|b|, n the dimension and u = 2⁻²⁴,
//
// in whatever order it sums and whether or not the processor fuses products with sums (Higham, Accuracy and Stability of
// Numerical Algorithms, section 3.1). boundSlack is for the rounding of the bounds themselves, in float64, and for products
// that are too small for a normal float32.
type codes struct {
	stride int    // bytes a row: the dimension, and zeros up to a multiple of codeAlign
	values []byte // c + codeZero: both kernels widen bytes without a sign more easily
	scales []codeScale
}

// codeScale is what a row's codes are to be read with.
type codeScale struct {
	step     float32 // s
	residual float32 // |a − s·c|, rounded up
}

const (
	maxCode    = 127
	codeZero   = 128
	codeAlign  = 32 // codes that a kernel takes at a time
	boundSlack = 1e-9

	// maxDimension leaves a component of a query at least 7 bits and a sign, and keeps n·u small.
	maxDimension = 1 << 16
)

func newCodes(dimension int) codes {
	return codes{stride: (dimension + codeAlign - 1) / codeAlign * codeAlign}
}

// grow adds a row, for set to fill.
func (c *codes) grow() {
	c.values = append(c.values, make([]byte, c.stride)...)
	c.scales = append(c.scales, codeScale{})
}

// set encodes a vector of unit length as row i.
func (c *codes) set(i int, v []float32) {
	row := c.row(i)
	step := peak(v) / maxCode // not 0: some component of a unit vector is at least 1/√n
	var square float64
	for j, x := range v {
		code := math.RoundToEven(float64(x) / float64(step))
		row[j] = byte(codeZero + int(code))
		difference := float64(x) - float64(step)*code
		square += difference * difference
	}
	c.scales[i] = codeScale{step: step, residual: float32(math.Sqrt(square) * (1 + 1e-6))}
}

// move copies row from to row to.
func (c *codes) move(to, from int) {
	copy(c.row(to), c.row(from))
	c.scales[to] = c.scales[from]
}

// truncate leaves the first rows.
func (c *codes) truncate(rows int) {
	c.values, c.scales = c.values[:rows*c.stride], c.scales[:rows]
}

func (c *codes) row(i int) []byte { return c.values[i*c.stride : (i+1)*c.stride] }

// codedQuery is a query as the codes of rows are compared with it.
type codedQuery struct {
	values []int16 // q, and zeros up to the stride
	zero   int32   // the product of q and a row that is codeZero throughout
	step   float64 // t
	length float64 // |t·q|, at most
	slack  float64 // the part of the bound that is the same for every row
}

// query encodes a vector of unit length, as finely as leaves every sum of products within 32 bits.
func (c *codes) query(v []float32) codedQuery {
	levels := queryLevels(c.stride)
	q := codedQuery{values: make([]int16, c.stride), step: float64(peak(v)) / float64(levels)}
	var square float64
	for j, x := range v {
		value := math.RoundToEven(float64(x) / q.step)
		q.values[j] = int16(value)
		q.zero += codeZero * int32(value)
		difference := float64(x) - q.step*value
		square += difference * difference
	}
	residual := math.Sqrt(square)
	q.length = maxLength + residual
	rounding := float64(len(v)) * 0x1p-24
	q.slack = maxLength*residual + maxLength*maxLength*rounding/(1-rounding) + boundSlack
	return q
}

// queryLevels is the greatest magnitude of a query's values, such that the products of stride of them with bytes sum up to
// less than 2³¹.
func queryLevels(stride int) int { return min(math.MaxInt16, math.MaxInt32/(math.MaxUint8*stride)) }

// products sets products[i] to c·q of row rows[i].
func (c *codes) products(products []int32, rows []int, q *codedQuery) {
	codeProducts(products, rows, c.values, q.values)
	for i := range products {
		products[i] -= q.zero
	}
}

// bounds says between what the similarity lies that dot computes of row i, whose c·q is product.
func (c *codes) bounds(q *codedQuery, i int, product int32) (lower, upper float64) {
	scale := c.scales[i]
	near := float64(scale.step) * q.step * float64(product)
	reach := float64(scale.residual)*q.length + q.slack
	return near - reach, near + reach
}

// peak is the greatest magnitude of a component.
func peak(v []float32) float32 { return max(slices.Max(v), -slices.Min(v)) }
