//go:build !purego

package embedded

import (
	"testing"

	"golang.org/x/sys/cpu"
)

func TestProductsAVX2(t *testing.T) {
	if !cpu.X86.HasAVX2 {
		t.Skip("not on this processor")
	}
	requireProducts(t, productsAVX2)
}
