package embedded

import (
	"encoding/binary"
	"math"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/retrieval"
)

// dot is the inner product of two vectors of one length. Four sums run side by side, since a single one would make each
// addition wait for the one before it.
func dot(a, b []float32) float32 {
	b = b[:len(a)] // one bounds check for the whole loop
	var s0, s1, s2, s3 float32
	i := 0
	for ; i+8 <= len(a); i += 8 {
		x, y := a[i:i+8:i+8], b[i:i+8:i+8]
		s0 += x[0]*y[0] + x[4]*y[4]
		s1 += x[1]*y[1] + x[5]*y[5]
		s2 += x[2]*y[2] + x[6]*y[6]
		s3 += x[3]*y[3] + x[7]*y[7]
	}
	for ; i < len(a); i++ {
		s0 += a[i] * b[i]
	}
	return (s0 + s1) + (s2 + s3)
}

// maxLength is what the length of a vector comes to after unit has rounded it: at least 1/maxLength, at most maxLength.
const maxLength = 1 + 1e-6

// unit returns a copy of v with length 1, or CodeInvalid when v has another dimension, too many, or no direction.
func unit(v []float32, dimension int) ([]float32, error) {
	if dimension > maxDimension {
		return nil, engine.Errorf(engine.CodeInvalid, "dimension %d: want %d or less", dimension, maxDimension)
	}
	return retrieval.Unit(v, dimension)
}

// length is the Euclidean length of v.
func length(v []float32) float64 {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return math.Sqrt(sum) // squares of float32 neither overflow nor vanish in float64
}

func encodeVector(v []float32) []byte {
	out := make([]byte, 0, 4*len(v))
	for _, x := range v {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
	}
	return out
}

// decodeVector appends the vector in raw to dst. A damaged one is an error.
func decodeVector(dst []float32, raw []byte, dimension int) ([]float32, error) {
	if len(raw)%4 != 0 || len(raw)/4 != dimension {
		return dst, engine.Errorf(engine.CodeInternal, "stored vector has %d bytes, want %d", len(raw), 4*dimension)
	}
	for i := 0; i < len(raw); i += 4 {
		x := math.Float32frombits(binary.LittleEndian.Uint32(raw[i:]))
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return dst, engine.Errorf(engine.CodeInternal, "stored vector is not finite")
		}
		dst = append(dst, x)
	}
	return dst, nil
}
