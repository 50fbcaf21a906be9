package embedding

import (
	"context"
	"strings"
	"time"

	"github.com/llm-sentinel/llm-sentinel/evals"
	"github.com/llm-sentinel/llm-sentinel/evals/measure"
)

// The speed is measured over batches of texts of textBytes, one call after the other.
const (
	textBytes  = 1024
	batchTexts = 32
	batches    = 200
)

// speed is how many texts of 1 KiB are embedded in a second, one call after the other from one goroutine.
func (s *Suite) speed(ctx context.Context, seed uint64, texts []string) (evals.Metric, error) {
	long := joined(texts)
	measured, err := rate(seed, long, func(batch []string) error {
		_, err := s.parts.Embedder.Embed(ctx, batch)
		return err
	})
	if err != nil {
		return evals.Metric{}, err
	}
	hashed, err := rate(seed, long, func(batch []string) error {
		hashedWords(batch)
		return ctx.Err()
	})
	return evals.Metric{
		Value: measured.Value, Low: measured.Low, High: measured.High, N: batches * batchTexts, Unit: "texts/s", Speed: true,
		Baselines: map[string]float64{hashedName: hashed.Value},
	}, err
}

// rate is texts a second, with its interval over batches.
func rate(seed uint64, texts []string, embed func(batch []string) error) (evals.Interval, error) {
	seconds := make([]float64, batches)
	batch := make([]string, batchTexts)
	next := 0
	for i := -1; i < batches; i++ { // the first warms up
		for k := range batch {
			batch[k] = texts[next%len(texts)]
			next++
		}
		begun := time.Now()
		if err := embed(batch); err != nil {
			return evals.Interval{}, err
		}
		if i >= 0 {
			seconds[i] = time.Since(begun).Seconds()
		}
	}
	return measure.Bootstrap(seed, batches, nil, func(cases []int) float64 {
		var sum float64
		for _, i := range cases {
			sum += seconds[i]
		}
		return float64(len(cases)*batchTexts) / sum
	}), nil
}

// joined makes texts of textBytes out of all texts in a row.
func joined(texts []string) []string {
	all := strings.Join(texts, "\n")
	var out []string
	for ; len(all) >= textBytes; all = all[textBytes:] {
		out = append(out, strings.ToValidUTF8(all[:textBytes], " "))
	}
	return out
}
