package relevance

import (
	"fmt"
	"strings"

	"github.com/llm-sentinel/llm-sentinel/evals"
	"github.com/llm-sentinel/llm-sentinel/evals/measure"
)

// The names of metrics, after the kind and a dot.
const (
	auroc = "auroc"
	tpr   = "tpr_at_1pct_fpr"
)

var metrics = [...]string{auroc, tpr}

const (
	maxFPR   = 0.01
	unsaid   = -1 // score of a search of which nothing was said, below all others
	detector = "detector"
)

// system is a detector or baseline on all searches.
type system struct {
	name   string
	scores []float64
}

// systems are the detector, unless heard is nil, and the baselines.
func systems(all searches, heard []evals.Opinion) []system {
	var out []system
	if heard != nil {
		scores := make([]float64, len(heard))
		for i, h := range heard {
			if scores[i] = h.Score; !h.Found {
				scores[i] = unsaid
			}
		}
		out = append(out, system{detector, scores})
	}
	for _, b := range baselines {
		out = append(out, system{b.name, all.scored(b)})
	}
	return out
}

// exam turns scores into figures.
type exam struct {
	env      evals.Env
	all      searches
	heard    []evals.Opinion // nil without a detector
	model    *fitted         // nil when nothing is frozen
	systems  []system
	positive []bool
	owners   []string
}

func newExam(env evals.Env, all searches, heard []evals.Opinion, model *fitted) exam {
	return exam{env, all, heard, model, systems(all, heard), all.irrelevant(), all.owners()}
}

func (x exam) result() evals.Result {
	out := evals.NewResult("relevance")
	table := evals.Table{Title: "Trivial baselines", Columns: []string{"irrelevant searches", "baseline", "AUROC", "TPR at 1 % FPR", "searches"}}
	for _, kind := range irrelevant {
		for _, metric := range metrics {
			name := string(kind) + "." + metric
			if x.heard == nil {
				out.Unavailable[name] = errNoDetector.Error()
			} else {
				out.Metrics[name] = x.metric(kind, metric)
			}
		}
		for _, s := range x.baselines() {
			row := []string{string(kind), s.name}
			for _, metric := range metrics {
				v := x.interval(kind, x.statistic(s, metric))
				row = append(row, fmt.Sprintf("%.3f (%.3f to %.3f)", v.Value, v.Low, v.High))
			}
			table.Rows = append(table.Rows, append(row, fmt.Sprint(len(x.cases(kind)))))
		}
		chart := evals.Chart{Title: string(kind) + ": ROC", X: "false positive rate", Y: "true positive rate"}
		for _, s := range x.systems {
			chart.Curves = append(chart.Curves, measure.ROC(s.name, s.scores, x.positive, x.cases(kind)))
		}
		out.Charts = append(out.Charts, chart)
	}
	if x.heard != nil {
		out.Charts = append(out.Charts, x.histogram())
	}
	out.Tables = []evals.Table{table}
	out.Notes = x.notes()
	return out
}

// cases are the relevant searches and the irrelevant ones of a kind.
func (x exam) cases(of kind) []int {
	return x.all.where(func(i int) bool { return x.all[i].Kind == relevant || x.all[i].Kind == of })
}

func (x exam) baselines() []system { return x.systems[len(x.systems)-len(baselines):] }

// statistic is a metric of a system as a function of cases.
func (x exam) statistic(s system, metric string) func([]int) float64 {
	switch {
	case metric == auroc:
		return func(cases []int) float64 { return measure.AUROC(s.scores, x.positive, cases) }
	case x.model != nil:
		threshold := x.model.Thresholds[s.name]
		return func(cases []int) float64 { return measure.RateAbove(s.scores, x.positive, cases, threshold) }
	default:
		return func(cases []int) float64 { return measure.TPRAtFPR(s.scores, x.positive, cases, maxFPR) }
	}
}

// interval bootstraps a statistic on the relevant searches and those of a kind; what belongs to one context is drawn together.
func (x exam) interval(of kind, statistic func([]int) float64) evals.Interval {
	cases := x.cases(of)
	groups := make([]string, len(cases))
	for i, at := range cases {
		groups[i] = x.owners[at]
	}
	return measure.Bootstrap(x.env.Seed, len(cases), groups, func(drawn []int) float64 {
		picked := make([]int, len(drawn))
		for i, at := range drawn {
			picked[i] = cases[at]
		}
		return statistic(picked)
	})
}

func (x exam) metric(of kind, metric string) evals.Metric {
	own := x.statistic(x.systems[0], metric)
	v := x.interval(of, own)
	m := evals.Metric{
		Value: v.Value, Low: v.Low, High: v.High, N: len(x.cases(of)), Baselines: make(map[string]float64), Gains: make(map[string]evals.Interval),
	}
	for _, s := range x.baselines() {
		theirs := x.statistic(s, metric)
		m.Baselines[s.name] = theirs(x.cases(of))
		m.Gains[s.name] = x.interval(of, func(cases []int) float64 { return own(cases) - theirs(cases) })
	}
	return m
}

// histogram has the detector's p-values by kind of search.
func (x exam) histogram() evals.Chart {
	const decades, bins = 4, 30
	chart := evals.Chart{Title: "p-values by kind of search", X: "-log10 p", Y: "share of searches"}
	for _, kind := range []kind{relevant, easy, hard} {
		var values []float64
		for _, i := range x.all.where(func(i int) bool { return x.all[i].Kind == kind }) {
			values = append(values, x.heard[i].Score)
		}
		chart.Curves = append(chart.Curves, measure.Histogram(string(kind), values, 0, decades, bins))
	}
	return chart
}

func (x exam) notes() []string {
	out := []string{
		"Hard documents are those that BM25 takes for the best of the others, so that the baseline bm25 has its own mistakes among them.",
	}
	if x.model == nil {
		out = append(out, fmt.Sprintf("Cross-validated in %d folds by context: a pipeline has learnt the relevant searches of the other folds. "+
			"The threshold of the rate is that of the pooled scores.", folds))
	} else {
		out = append(out, "Frozen: the rate is that above the threshold that 1 % of the relevant searches exceeded where the model was fitted; nothing was learnt here. "+
			"Relevant searches above it: "+x.falseRates()+".")
		if x.model.Data == evals.Digest(x.all) {
			out = append(out, evals.Flattered)
		}
	}
	learning := 0
	for _, h := range x.heard {
		if h.Learning {
			learning++
		}
	}
	if learning > 0 {
		out = append(out, fmt.Sprintf("Of %d of %d searches the detector said that it was still learning; their raw scores order them.", learning, len(x.all)))
	}
	return out
}

// falseRates is what the frozen thresholds come to on the relevant searches.
func (x exam) falseRates() string {
	normal := x.all.where(func(i int) bool { return x.all[i].Kind == relevant })
	rates := make([]string, len(x.systems))
	for i, s := range x.systems {
		above := 0
		for _, at := range normal {
			if s.scores[at] > x.model.Thresholds[s.name] {
				above++
			}
		}
		rates[i] = fmt.Sprintf("%s %.3f", s.name, float64(above)/float64(len(normal)))
	}
	return strings.Join(rates, ", ")
}
