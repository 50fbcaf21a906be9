package custom

import (
	"maps"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"gonum.org/v1/gonum/stat"

	"github.com/llm-sentinel/llm-sentinel/engine"
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
	for _, w := range words(context) {
		known[w] = true
	}
	all := words(response)
	novel := 0
	for _, w := range all {
		if !known[w] {
			novel++
		}
	}
	return float64(novel) / float64(max(len(all), 1))
}

func words(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

const (
	zWindow = 500 // points that the z-score looks back
	zLeast  = 30  // points that it needs
)

// zScores is the distance of each point to the mean of the latest ones of its series, in their standard deviations.
func zScores(rows []row) []float64 {
	out := make([]float64, len(rows))
	latest := make(map[string][]float64)
	for i, r := range rows {
		seen := latest[r.Series]
		if len(seen) >= zLeast {
			mean, deviation := stat.MeanStdDev(seen, nil)
			if distance := math.Abs(r.Value - mean); distance > 0 {
				out[i] = distance / (distance + deviation) // in [0, 1), and finite for a series that never moved
			}
		}
		seen = append(seen, r.Value)
		latest[r.Series] = seen[max(0, len(seen)-zWindow):]
	}
	return out
}
