package statistical

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Kinds of snapshot; the first byte of each.
const (
	kindQuantity     = 'q' // of single precision; 'Q' was of double
	kindProportion   = 'P'
	kindRate         = 'R'
	kindHeavyHitters = 'H'
	kindTwoSample    = 't' // likewise
	kindAlpha        = 'A'
	kindConformal    = 'C'
	kindSample       = 's'
)

// snapshotVersion is the second byte of every snapshot.
const snapshotVersion = 1

// maxWeight bounds every number in a snapshot that is a sum of observations, so that a forged one cannot overflow later
// arithmetic.
const maxWeight = 1e150

var errTruncated = errors.New("truncated")

// encoder appends little-endian fields to a snapshot.
type encoder struct{ buf []byte }

func newEncoder(kind byte, size int) *encoder {
	return &encoder{buf: append(make([]byte, 0, size+2), kind, snapshotVersion)}
}

func (e *encoder) uint16(v uint16) { e.buf = binary.LittleEndian.AppendUint16(e.buf, v) }
func (e *encoder) uint32(v uint32) { e.buf = binary.LittleEndian.AppendUint32(e.buf, v) }
func (e *encoder) uint64(v uint64) { e.buf = binary.LittleEndian.AppendUint64(e.buf, v) }
func (e *encoder) float(v float64) { e.uint64(math.Float64bits(v)) }

func (e *encoder) bool(v bool) {
	if v {
		e.buf = append(e.buf, 1)
	} else {
		e.buf = append(e.buf, 0)
	}
}

func (e *encoder) string(v string) {
	e.uint16(uint16(len(v)))
	e.buf = append(e.buf, v...)
}

// decoder reads what encoder wrote. The first error sticks; after it every read returns a zero value.
type decoder struct {
	buf []byte
	err error
}

func newDecoder(kind byte, data []byte) *decoder {
	d := &decoder{buf: data}
	if head := d.bytes(2); d.err == nil && (head[0] != kind || head[1] != snapshotVersion) {
		d.fail("kind %q version %d, want %q version %d", head[0], head[1], kind, snapshotVersion)
	}
	return d
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
	}
}

// bytes returns the next n bytes without copying, or n zero bytes when there are not as many; n must be small or
// checked with left.
func (d *decoder) bytes(n int) []byte {
	if d.err == nil && len(d.buf) < n {
		d.err = errTruncated
	}
	if d.err != nil {
		return make([]byte, n)
	}
	out := d.buf[:n]
	d.buf = d.buf[n:]
	return out
}

func (d *decoder) uint16() uint16 { return binary.LittleEndian.Uint16(d.bytes(2)) }
func (d *decoder) uint32() uint32 { return binary.LittleEndian.Uint32(d.bytes(4)) }
func (d *decoder) uint64() uint64 { return binary.LittleEndian.Uint64(d.bytes(8)) }

func (d *decoder) bool() bool {
	b := d.bytes(1)[0]
	if b > 1 {
		d.fail("flag is %d", b)
	}
	return b == 1
}

// floatIn reads a number that must lie in [low, high]. NaN never does.
func (d *decoder) floatIn(low, high float64) float64 {
	v := math.Float64frombits(d.uint64())
	if d.err == nil && !(v >= low && v <= high) {
		d.fail("number %v outside [%v, %v]", v, low, high)
	}
	if d.err != nil {
		return 0
	}
	return v
}

// sum reads a sum of weights.
func (d *decoder) sum() float64 { return d.floatIn(0, maxWeight) }

func (d *decoder) string() string { return string(d.bytes(int(d.uint16()))) }

// length checks that n elements of at least size bytes can follow, so that a forged length allocates nothing.
func (d *decoder) length(n, limit, size int) int {
	if d.err == nil && (n > limit || n*size > len(d.buf)) {
		d.fail("%d elements do not fit", n)
	}
	if d.err != nil {
		return 0
	}
	return n
}

// finish returns the first error, or one when bytes are left, naming the subject.
func (d *decoder) finish(subject string) error {
	if d.err == nil && len(d.buf) > 0 {
		d.fail("%d bytes too many", len(d.buf))
	}
	if d.err != nil {
		return fmt.Errorf("statistical: restore %s: %w", subject, d.err)
	}
	return nil
}
