//go:build !amd64 || purego

package embedded

var codeProducts = productsPortable
