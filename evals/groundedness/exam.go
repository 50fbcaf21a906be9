package groundedness

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/llm-sentinel/llm-sentinel/evals"
	"github.com/llm-sentinel/llm-sentinel/evals/measure"
)

// The names of metrics, after the task and a dot.
const (
	auroc            = "auroc"
	f1               = "f1"
	balancedAccuracy = "balanced_accuracy"
)

// always is the baseline that calls every response hallucinated.
const always = "always_hallucinated"

// exam collects the result.
type exam struct {
	env    evals.Env
	result *evals.Result
	rows   [][]string // of the table of baselines
}

func (x *exam) unavailable(task, why string) {
	for _, metric := range []string{auroc, f1, balancedAccuracy} {
		x.result.Unavailable[task+"."+metric] = why
	}
}

// system is a detector or baseline on the samples of one task.
type system struct {
	name   string
	scores []float64
	says   []bool // hallucinated
}

func (all samples) bothLabels() bool {
	positive := all.hallucinated()
	return slices.Contains(positive, true) && slices.Contains(positive, false)
}

func (all samples) scored(b baseline) []float64 {
	out := make([]float64, len(all))
	for i, s := range all {
		out[i] = b.score(s)
	}
	return out
}

// decide says hallucinated from the given threshold on, or without one from that which is best on the other folds.
func (all samples) decide(seed uint64, scores []float64, fixed *float64) []bool {
	if fixed != nil {
		return reach(scores, *fixed)
	}
	positive := all.hallucinated()
	fold := measure.Folds(seed, all.contexts(), folds)
	out := make([]bool, len(all))
	for k := range folds {
		says := reach(scores, threshold(scores, positive, all.where(func(i int) bool { return fold[i] != k })))
		for i := range all {
			if fold[i] == k {
				out[i] = says[i]
			}
		}
	}
	return out
}

// measure adds the figures of a task. heard is nil without a detector, fixed is nil when thresholds are cross-validated.
func (x *exam) measure(task string, all samples, heard []evals.Opinion, fixed *fitted) {
	var trivial []system
	for _, b := range baselines {
		var t *float64
		if fixed != nil {
			v := fixed.Thresholds[b.name]
			t = &v
		}
		scores := all.scored(b)
		trivial = append(trivial, system{b.name, scores, all.decide(x.env.Seed, scores, t)})
	}
	trivial = append(trivial, system{always, make([]float64, len(all)), slices.Repeat([]bool{true}, len(all))})
	x.table(task, all, trivial)
	systems := trivial[:len(baselines)] // with a curve
	if heard != nil {
		var t *float64
		if fixed != nil {
			t = fixed.Threshold
		}
		scores := scoresOf(heard)
		detector := system{"detector", scores, all.decide(x.env.Seed, scores, t)}
		x.metrics(task, all, detector, trivial)
		x.pictures(task, all, heard, detector)
		systems = append([]system{detector}, systems...)
	}
	chart := evals.Chart{Title: task + ": ROC", X: "false positive rate", Y: "true positive rate"}
	positive, every := all.hallucinated(), measure.All(len(all))
	for _, s := range systems {
		chart.Curves = append(chart.Curves, measure.ROC(s.name, s.scores, positive, every))
	}
	x.result.Charts = append(x.result.Charts, chart)
}

// statistics are the three metrics of a system as functions of cases.
func (s system) statistics(positive []bool) map[string]func([]int) float64 {
	return map[string]func([]int) float64{
		auroc:            func(cases []int) float64 { return measure.AUROC(s.scores, positive, cases) },
		f1:               func(cases []int) float64 { return measure.F1(s.says, positive, cases) },
		balancedAccuracy: func(cases []int) float64 { return measure.BalancedAccuracy(s.says, positive, cases) },
	}
}

func (x *exam) metrics(task string, all samples, detector system, trivial []system) {
	positive, groups := all.hallucinated(), all.contexts()
	every := measure.All(len(all))
	own := detector.statistics(positive)
	bigrams := trivial[0].statistics(positive)
	for _, metric := range []string{auroc, f1, balancedAccuracy} {
		value := measure.Bootstrap(x.env.Seed, len(all), groups, own[metric])
		m := evals.Metric{Value: value.Value, Low: value.Low, High: value.High, N: len(all), Baselines: make(map[string]float64)}
		for _, b := range trivial {
			m.Baselines[b.name] = b.statistics(positive)[metric](every)
		}
		m.Gains = map[string]evals.Interval{
			trivial[0].name: measure.Paired(x.env.Seed, len(all), groups, own[metric], bigrams[metric]),
		}
		x.result.Metrics[task+"."+metric] = m
	}
}

// table adds the baselines of a task, so that what has to be beaten is seen even without a detector.
func (x *exam) table(task string, all samples, trivial []system) {
	positive, groups := all.hallucinated(), all.contexts()
	for _, b := range trivial {
		row := []string{task, b.name}
		for _, metric := range []string{auroc, f1, balancedAccuracy} {
			v := measure.Bootstrap(x.env.Seed, len(all), groups, b.statistics(positive)[metric])
			row = append(row, fmt.Sprintf("%.3f (%.3f to %.3f)", v.Value, v.Low, v.High))
		}
		x.rows = append(x.rows, append(row, fmt.Sprint(len(all))))
	}
}

// pictures adds the detector's p-values by label, and what it said by grade.
func (x *exam) pictures(task string, all samples, heard []evals.Opinion, detector system) {
	const decades, bins = 6, 30
	chart := evals.Chart{Title: task + ": p-values by label", X: "-log10 p", Y: "share of responses"}
	for _, label := range []string{grounded, hallucinated} {
		var values []float64
		for _, i := range all.where(func(i int) bool { return all[i].Label == label }) {
			values = append(values, heard[i].Score)
		}
		chart.Curves = append(chart.Curves, measure.Histogram(label, values, 0, decades, bins))
	}
	x.result.Charts = append(x.result.Charts, chart)

	group := func(s sample) string { return cmp.Or(s.Grade, s.Label) }
	confusion := evals.Confusion{Title: task + ": what was said, by grade", Columns: []string{grounded, hallucinated}}
	for _, s := range all {
		if !slices.Contains(confusion.Rows, group(s)) {
			confusion.Rows = append(confusion.Rows, group(s))
		}
	}
	slices.Sort(confusion.Rows)
	confusion.Counts = make([][]int, len(confusion.Rows))
	for i := range confusion.Counts {
		confusion.Counts[i] = make([]int, 2)
	}
	learning := 0
	for i, s := range all {
		column := 0
		if detector.says[i] {
			column = 1
		}
		confusion.Counts[slices.Index(confusion.Rows, group(s))][column]++
		if heard[i].Learning {
			learning++
		}
	}
	x.result.Confusions = append(x.result.Confusions, confusion)
	if learning > 0 {
		x.result.Notes = append(x.result.Notes,
			fmt.Sprintf("%s: of %d of %d responses the detector said that it was still learning; their raw scores order them.", task, learning, len(all)))
	}
}

func (x *exam) notes(frozen, flattered bool) {
	if len(x.rows) > 0 {
		x.result.Tables = append(x.result.Tables, evals.Table{
			Title: "Trivial baselines", Columns: []string{"task", "baseline", "AUROC", "F1", "balanced accuracy", "responses"}, Rows: x.rows,
		})
	}
	how := "Thresholds, for F1 and balanced accuracy, are those with the best balanced accuracy on the other folds; a context's responses share a fold."
	if frozen {
		how = "Thresholds, for F1 and balanced accuracy, are frozen; nothing was learnt from these responses."
	}
	if flattered {
		x.result.Notes = append(x.result.Notes, evals.Flattered)
	}
	x.result.Notes = append(x.result.Notes, how,
		"qa is a smoke test: invented answers are whole sentences and right ones a few words, so that length alone nearly tells them apart.",
		"summary has mostly hallucinated responses, so that always saying so has a high F1; read it beside the balanced accuracy.")
}
