package embedded

import "encoding/binary"

// productsPortable sets products[i] to the inner product of query and the bytes of row rows[i]. There are as many products as
// rows; in codes one row lies after the other, each as long as query, a multiple of codeAlign; no value of the query is
// greater than queryLevels.
func productsPortable(products []int32, rows []int, codes []byte, query []int16) {
	const chunk = 256
	var packed [chunk / 8]queryWord
	clear(products)
	for start := 0; start < len(query); start += chunk {
		part := query[start:min(start+chunk, len(query))]
		words := packed[:len(part)/8]
		for i := range words {
			words[i] = packQuery([8]int16(part[8*i:]))
		}
		for i, r := range rows {
			sum := pairedProduct(codes[r*len(query)+start:][:len(part)], words)
			products[i] += int32((sum + 1<<31) >> 32)
		}
	}
}

// queryWord is eight values of a query, each paired with the fourth after it, so that one multiplication of 64 bits does the
// work of two: in
//
//	(x + 2³²·y) · (q + 2³²·p) = x·q + 2³²·(x·p + y·q) + 2⁶⁴·y·p
//
// the last term falls off the top. The first, which may be negative, is to be rounded away after many are added up: those of
// 256 codes are less than 2³¹.
type queryWord [4]uint64

func packQuery(values [8]int16) (w queryWord) {
	for i := range w {
		w[i] = uint64(int64(values[i])<<32 + int64(values[i+4]))
	}
	return w
}

// pairedProduct is the inner product of a row's bytes and a query in the upper 32 bits of the result, but for that rounding. In
// line with the loops around it there would not be registers enough.
//
//go:noinline
func pairedProduct(row []byte, query []queryWord) (sum uint64) {
	const pair = 0x000000ff_000000ff // a byte and the fourth after it
	for i := range query {
		x, q := binary.LittleEndian.Uint64(row[8*i:8*i+8]), &query[i]
		sum += (x&pair)*q[0] + (x>>8&pair)*q[1] + (x>>16&pair)*q[2] + (x>>24&pair)*q[3]
	}
	return sum
}
