package response

import (
	"strings"
	"testing"
)

// BenchmarkLanguage is a text of 1 KiB, as every answer and question is looked at.
func BenchmarkLanguage(b *testing.B) {
	text := strings.Repeat("The order was placed on Monday, and it should have come by yesterday; where is it? ", 13)[:1024]
	b.ReportAllocs()
	for b.Loop() {
		language(text)
	}
}
