package builtin

import (
	"strings"
	"testing"
)

// oneKiB is English prose of 1,024 bytes.
var oneKiB = strings.Repeat("The assistant could not reach the payment service, so it asked the customer to try again after 15 minutes. ", 10)[:1024]

func BenchmarkTokenize(b *testing.B) {
	t, err := newTokenizer(vocabFile)
	if err != nil {
		b.Fatal(err)
	}
	texts := map[string]string{
		"prose":   oneKiB,
		"accents": strings.Repeat("Die Größe der Änderung überrascht: déjà vu, naïve façade, coöperation und São Paulo. ", 20)[:1024],
		"noise":   strings.Repeat("x9Qz7kfJ2mWb8RtYvLpA4cXeHs6GdNu3o1TqZiKfPw5jBrMy0+", 25)[:1024],
	}
	for name, text := range texts {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			var ids []uint32
			var buffer wordBuffer
			for b.Loop() {
				ids = t.tokenize(ids[:0], text, &buffer)
			}
			b.ReportMetric(float64(len(ids)), "tokens")
		})
	}
}

func BenchmarkEmbed(b *testing.B) {
	e, err := New()
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(oneKiB)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Embed(b.Context(), []string{oneKiB}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		if _, err := New(); err != nil {
			b.Fatal(err)
		}
	}
}
