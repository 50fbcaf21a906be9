package embedded

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPortableProducts(t *testing.T) { requireProducts(t, productsPortable) }

// requireProducts compares a kernel with sums of 64 bits, over rows in any order, up to the greatest sums that occur.
func requireProducts(t *testing.T, kernel func(products []int32, rows []int, codes []byte, query []int16)) {
	t.Helper()
	const count = 9
	source := rand.New(rand.NewPCG(3, 4))
	for _, stride := range []int{32, 64, 224, 256, 288, 384, 1536, maxDimension} {
		levels := queryLevels(stride)
		codes, query := make([]byte, count*stride), make([]int16, stride)
		queries := map[string]func(j int) int{
			"random":      func(int) int { return source.IntN(2*levels+1) - levels },
			"greatest":    func(int) int { return levels },
			"least":       func(int) int { return -levels },
			"alternating": func(j int) int { return levels * (1 - j/4%2*2) }, // pairs of both signs
			"zero":        func(int) int { return 0 },
		}
		for j := range codes {
			codes[j] = byte(source.IntN(256))
		}
		for j := range stride {
			codes[j] = 255
		}
		for name, value := range queries {
			for j := range query {
				query[j] = int16(value(j))
			}
			for _, rows := range [][]int{nil, {0}, {8, 0, 1, 1, 5}, {0, 1, 2, 3, 4, 5, 6, 7, 8}} {
				t.Run(fmt.Sprint(stride, name, rows), func(t *testing.T) {
					want := make([]int32, len(rows))
					for i, r := range rows {
						var sum int64
						for j, q := range query {
							sum += int64(codes[r*stride+j]) * int64(q)
						}
						want[i] = int32(sum)
						require.Equal(t, sum, int64(want[i]), "no sum leaves 32 bits")
					}
					got := make([]int32, len(rows))
					for i := range got {
						got[i] = -1 // is overwritten
					}
					kernel(got, rows, codes, query)
					require.Equal(t, want, got)
				})
			}
		}
	}
}
