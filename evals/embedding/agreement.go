package embedding

import (
	"fmt"
	"math"
	"slices"

	"github.com/llm-sentinel/llm-sentinel/evals"
	"github.com/llm-sentinel/llm-sentinel/evals/measure"
)

// minTexts is how many texts a correlation is given for; fewer pairs say nothing.
const minTexts = 20

// agreement is how far the similarities of the embedder, and those of the baseline, rank pairs as those of the reference do.
type agreement struct {
	evals.Interval                // Spearman's correlation over the pairs of texts
	baseline       float64        // the baseline's
	gain           evals.Interval // the embedder's less the baseline's
	texts          int

	measured, reference, hashed measure.Pairs
}

// agree is false where a correlation cannot be given: too few texts, or a similarity that is the same for all pairs.
func (s sample) agree(seed uint64) (agreement, bool) {
	n := len(s.kinds)
	if n < minTexts {
		return agreement{}, false
	}
	pairs := func(v [][]float32) measure.Pairs {
		return measure.NewPairs(n, func(i, j int) float64 { return dot(v[i], v[j]) })
	}
	a := agreement{texts: n, measured: pairs(s.measured), reference: pairs(s.reference), hashed: pairs(s.hashed)}
	measured := func(cases []int) float64 { return measure.Spearman(a.measured, a.reference, cases) }
	hashed := func(cases []int) float64 { return measure.Spearman(a.hashed, a.reference, cases) }
	a.Interval = measure.Bootstrap(seed, n, s.groups, measured)
	a.gain = measure.Paired(seed, n, s.groups, measured, hashed)
	a.baseline = a.Value - a.gain.Value
	return a, !math.IsNaN(a.Value) && !math.IsNaN(a.baseline)
}

func (a agreement) metric() evals.Metric {
	return evals.Metric{
		Value: a.Value, Low: a.Low, High: a.High, N: a.texts,
		Baselines: map[string]float64{hashedName: a.baseline}, Gains: map[string]evals.Interval{hashedName: a.gain},
	}
}

// table has the agreement over all texts and within each kind that has enough of them.
func (s sample) table(title string, all agreement, seed uint64) evals.Table {
	t := evals.Table{
		Title:   title,
		Columns: []string{"pairs within", "texts", "spearman", "95 %", "hashed words", "gain", "95 %"},
		Rows:    [][]string{all.row("all texts")},
	}
	for _, kind := range slices.Compact(slices.Sorted(slices.Values(s.kinds))) {
		if one, ok := s.of(kind).agree(seed); ok {
			t.Rows = append(t.Rows, one.row(kind))
		}
	}
	return t
}

func (a agreement) row(kind string) []string {
	figure := func(x float64) string { return fmt.Sprintf("%.3f", x) }
	between := func(i evals.Interval) string { return figure(i.Low) + " to " + figure(i.High) }
	return []string{kind, fmt.Sprint(a.texts), figure(a.Value), between(a.Interval), figure(a.baseline), figure(a.gain.Value), between(a.gain)}
}

// chart is the mean rank that pairs have by the embedder and by the baseline, along their rank by the reference.
func (a agreement) chart(title string) evals.Chart {
	const bins = 50
	reference := a.reference.Ranks()
	curve := func(name string, ranks []float64) evals.Curve {
		var sum, count [bins]float64
		for pair, rank := range ranks {
			bin := min(int(reference[pair]*bins), bins-1)
			sum[bin] += rank
			count[bin]++
		}
		c := evals.Curve{Name: name}
		for bin := range bins {
			if count[bin] > 0 {
				c.X = append(c.X, (float64(bin)+0.5)/bins)
				c.Y = append(c.Y, sum[bin]/count[bin])
			}
		}
		return c
	}
	return evals.Chart{
		Title: title, X: "rank of a pair by the reference", Y: "mean rank",
		Curves: []evals.Curve{
			curve("embedder", a.measured.Ranks()), curve("hashed words", a.hashed.Ranks()),
			{Name: "reference", X: []float64{0, 1}, Y: []float64{0, 1}},
		},
	}
}
