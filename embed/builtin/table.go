package builtin

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Dimension is the length of each vector.
const Dimension = 256

// The table file: magic, rows and dimension (uint32), one float32 scale a dimension, then the rows, one byte a value. All is
// little-endian. Value v of dimension d stands for (v - bias) * scale[d].
const (
	tableMagic = "SENTVEC1"
	headerSize = len(tableMagic) + 8
	bias       = 128
)

// words is how many 64-bit words a row has.
const words = Dimension / 8

// maxBlock is how many rows fit into the 16-bit lanes of a block sum: maxBlock * 255 < 65536.
const maxBlock = 256

// lanes selects every other byte of a word and leaves each 16 bits to grow into.
const lanes = 0x00ff00ff00ff00ff

// table holds a vector a vocabulary entry.
type table struct {
	scale [Dimension]float32
	rows  []byte
}

func parseTable(file []byte, rows int) (*table, error) {
	want := headerSize + 4*Dimension + rows*Dimension
	if len(file) != want || string(file[:len(tableMagic)]) != tableMagic {
		return nil, fmt.Errorf("builtin: table: %d bytes, want %d bytes that start with %q", len(file), want, tableMagic)
	}
	gotRows := binary.LittleEndian.Uint32(file[len(tableMagic):])
	gotDimension := binary.LittleEndian.Uint32(file[len(tableMagic)+4:])
	if int(gotRows) != rows || gotDimension != Dimension {
		return nil, fmt.Errorf("builtin: table: %d × %d, want %d × %d", gotRows, gotDimension, rows, Dimension)
	}
	t := &table{rows: file[headerSize+4*Dimension:]}
	for d := range t.scale {
		t.scale[d] = math.Float32frombits(binary.LittleEndian.Uint32(file[headerSize+4*d:]))
		if !(t.scale[d] > 0) || math.IsInf(float64(t.scale[d]), 0) {
			return nil, fmt.Errorf("builtin: table: scale of dimension %d is %v", d, t.scale[d])
		}
	}
	return t, nil
}

// embed writes the unit vector of the sum of the rows to vector; zeros when there are no rows or they cancel out.
// Sums are of integers, so the order of ids does not matter, not even in the last bit.
func (t *table) embed(vector []float32, ids []uint32) {
	var sums [Dimension]int64
	for block := ids; len(block) > 0; {
		n := min(len(block), maxBlock)
		t.add(&sums, block[:n])
		block = block[n:]
	}
	offset := int64(len(ids)) * bias
	norm := 0.0
	for d := range sums {
		v := float32(sums[d]-offset) * t.scale[d]
		vector[d] = v
		norm += float64(v) * float64(v)
	}
	if norm == 0 {
		return
	}
	inverse := float32(1 / math.Sqrt(norm))
	for d := range vector {
		vector[d] *= inverse
	}
}

// add adds at most maxBlock rows to sums, eight values at a time: the bytes of a word are added in two words of four 16-bit
// lanes each, which no carry leaves before the block ends. That is several times faster than one value at a time.
func (t *table) add(sums *[Dimension]int64, ids []uint32) {
	var even, odd [words]uint64
	for _, id := range ids {
		row := (*[Dimension]byte)(t.rows[int(id)*Dimension:])
		for w := range words {
			x := binary.LittleEndian.Uint64(row[8*w : 8*w+8])
			even[w] += x & lanes
			odd[w] += x >> 8 & lanes
		}
	}
	for w := range words {
		for lane := range 4 {
			sums[8*w+2*lane] += int64(even[w] >> (16 * lane) & 0xffff)
			sums[8*w+2*lane+1] += int64(odd[w] >> (16 * lane) & 0xffff)
		}
	}
}
