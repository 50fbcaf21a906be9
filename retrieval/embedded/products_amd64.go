//go:build !purego

package embedded

import "golang.org/x/sys/cpu"

// codeProducts is productsPortable, in the instructions that this processor has. Those of AVX-512 are no faster: memory is what
// a scan waits for.
var codeProducts = func() func(products []int32, rows []int, codes []byte, query []int16) {
	if cpu.X86.HasAVX2 {
		return productsAVX2
	}
	return productsPortable
}()

//go:noescape
func productsAVX2(products []int32, rows []int, codes []byte, query []int16)
