package custom

import (
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
	"github.com/llm-sentinel/llm-sentinel/evals/measure"
)

// baseline is a trivial system's score of each row; more is more suspicious.
type baseline struct {
	name   string
	scores []float64
}

// baselines are the trivial systems of a task, and after them those that the user brought.
func (d *definition) baselines(rows []row) []baseline {
	of := func(name string, score func(row) float64) baseline {
		b := baseline{name, make([]float64, len(rows))}
		for i, r := range rows {
			b.scores[i] = score(r)
		}
		return b
	}
	var out []baseline
	switch d.Task {
	case taskSeries:
		out = []baseline{of("value", func(r row) float64 { return r.Value }), {"windowed_z_score", zScores(rows)}}
	case string(engine.UngroundedResponse):
		out = []baseline{
			of("length", func(r row) float64 { return float64(utf8.RuneCountInString(r.Response)) }),
			of("novel_words", func(r row) float64 { return novelWords(r.Context, r.Response) }),
		}
	default:
		out = []baseline{of("length", func(r row) float64 { return float64(utf8.RuneCountInString(r.Text)) })}
	}
	for _, name := range slices.Sorted(maps.Keys(d.Baselines)) {
		out = append(out, of(name, func(r row) float64 { return r.Baselines[name] }))
	}
	return out
}

// novelWords is the share of a response's words that its context does not have.
func novelWords(context, response string) float64 {
	known := make(map[string]bool)
	for _, w := range evals.Words(context) {
		known[w] = true
	}
	all := evals.Words(response)
	novel := 0
	for _, w := range all {
		if !known[w] {
			novel++
		}
	}
	return float64(novel) / float64(max(len(all), 1))
}

// zScores are those of the points of each series.
func zScores(rows []row) []float64 {
	out := make([]float64, len(rows))
	detectors := make(map[string]*measure.ZScore)
	for i, r := range rows {
		if detectors[r.Series] == nil {
			detectors[r.Series] = new(measure.ZScore)
		}
		out[i] = detectors[r.Series].Next(r.At, r.Value)
	}
	return out
}
