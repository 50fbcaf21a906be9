package agentruns

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/llm-sentinel/llm-sentinel/evals"
	"github.com/llm-sentinel/llm-sentinel/evals/measure"
)

// The metrics.
const (
	outcomeAUROC  = "outcome.auroc"
	stepAccuracy  = "step.accuracy"
	agentAccuracy = "agent.accuracy"
)

// exam measures judgements of runs, one a run; without any it shows the baselines alone.
type exam struct {
	seed   uint64
	runs   runs
	judged []judgement
	result *evals.Result
}

func figure(v evals.Interval) string {
	return fmt.Sprintf("%.3f (%.3f to %.3f)", v.Value, v.Low, v.High)
}

// outcome measures whether failed runs are more anomalous than passed ones. why says why there are no judgements.
func (x exam) outcome(why string) {
	positive, tasks, every := x.runs.failed(), x.runs.tasks(), measure.All(len(x.runs))
	if !slices.Contains(positive, true) || !slices.Contains(positive, false) {
		x.result.Unavailable[outcomeAUROC] = cmp.Or(why, "the data needs both passed and failed runs")
		return
	}
	length := make([]float64, len(x.runs))
	for i, r := range x.runs {
		length[i] = float64(len(r.Steps))
	}
	statistic := func(scores []float64) func([]int) float64 {
		return func(cases []int) float64 { return measure.AUROC(scores, positive, cases) }
	}
	bootstrap := func(scores []float64) evals.Interval {
		return measure.Bootstrap(x.seed, len(x.runs), tasks, statistic(scores))
	}
	rows := [][]string{{runLength, figure(bootstrap(length))}}
	curves := []evals.Curve{measure.ROC(runLength, length, positive, every)}
	if x.judged == nil {
		x.result.Unavailable[outcomeAUROC] = why
	} else {
		scores := make([]float64, len(x.runs))
		for i, j := range x.judged {
			scores[i] = j.anomaly()
		}
		v := bootstrap(scores)
		x.result.Metrics[outcomeAUROC] = evals.Metric{
			Value: v.Value, Low: v.Low, High: v.High, N: len(x.runs), Baselines: map[string]float64{runLength: statistic(length)(every)},
			Gains: map[string]evals.Interval{
				runLength: measure.Paired(x.seed, len(x.runs), tasks, statistic(scores), statistic(length)),
			},
		}
		rows = append([][]string{{"engine", figure(v)}}, rows...)
		curves = append([]evals.Curve{measure.ROC("engine", scores, positive, every)}, curves...)
		x.outcomePictures(scores)
	}
	x.result.Charts = append(x.result.Charts, evals.Chart{
		Title: "Failed against passed runs: ROC", X: "false positive rate", Y: "true positive rate", Curves: curves,
	})
	x.result.Tables = append(x.result.Tables, evals.Table{
		Title: "AUROC of the outcome", Columns: []string{"system", "AUROC"}, Rows: rows,
	})
}

func (x exam) outcomePictures(scores []float64) {
	const decades, bins = 6, 30
	chart := evals.Chart{Title: "p-values of verdicts by outcome", X: "-log10 p", Y: "share of runs"}
	confusion := evals.Confusion{
		Title: "Verdict by outcome", Rows: []string{passed, failed}, Columns: []string{"normal", "anomalous"}, Counts: [][]int{{0, 0}, {0, 0}},
	}
	for row, outcome := range confusion.Rows {
		var values []float64
		for i, r := range x.runs {
			if r.Outcome != outcome {
				continue
			}
			values = append(values, scores[i])
			column := 0
			if x.judged[i].Anomalous {
				column = 1
			}
			confusion.Counts[row][column]++
		}
		chart.Curves = append(chart.Curves, measure.Histogram(outcome, values, 0, decades, bins))
	}
	x.result.Charts = append(x.result.Charts, chart)
	x.result.Confusions = append(x.result.Confusions, confusion)
}

// answer is the step and agent that a system blames for a run's failure.
type answer struct {
	step  int
	agent string
}

// system answers for each run.
type system struct {
	name    string
	answers []answer
}

func (x exam) system(name string, of func(i int, r run) answer) system {
	s := system{name, make([]answer, len(x.runs))}
	for i, r := range x.runs {
		s.answers[i] = of(i, r)
	}
	return s
}

// blames is a system that always blames the step with one index, and whoever took it.
func (x exam) blames(name string, step int) system {
	return x.system(name, func(_ int, r run) answer { return r.answer(step) })
}

func (r run) answer(step int) answer {
	if step < 0 || step >= len(r.Steps) {
		return answer{step: none}
	}
	return answer{step, r.Steps[step].Agent}
}

// right counts, for each run, what holds of the answer.
func (x exam) right(s system, holds func(r run, a answer) bool) []float64 {
	out := make([]float64, len(x.runs))
	for i, r := range x.runs {
		if holds(r, s.answers[i]) {
			out[i] = 1
		}
	}
	return out
}

func rightStep(r run, a answer) bool { return a.step == *r.MistakeStep }

func nearStep(r run, a answer) bool {
	return a.step != none && a.step >= *r.MistakeStep-1 && a.step <= *r.MistakeStep+1
}

func rightAgent(r run, a answer) bool { return a.agent == r.MistakeAgent }

func noStep(_ run, a answer) bool { return a.step == none }

// mistake measures whether the step and the agent are found that made runs fail. why says why there are no judgements.
func (x exam) mistake(why string) {
	if len(x.runs) == 0 {
		x.result.Unavailable[stepAccuracy], x.result.Unavailable[agentAccuracy] = why, why
		return
	}
	step1, first := x.blames(alwaysStep1, 1), x.blames(firstStep, 0)
	frequent := x.system(mostFrequentAgent, func(_ int, r run) answer { return answer{none, r.mostFrequent()} })
	systems := []system{step1, first, frequent}
	if x.judged == nil {
		x.result.Unavailable[stepAccuracy], x.result.Unavailable[agentAccuracy] = why, why
	} else {
		engine := x.system("engine", func(i int, r run) answer { return r.answer(x.judged[i].Step) })
		x.accuracy(stepAccuracy, rightStep, engine, step1, first)
		x.accuracy(agentAccuracy, rightAgent, engine, frequent, step1, first)
		x.blamed(engine)
		systems = append([]system{engine}, systems...)
	}
	tasks := x.runs.tasks()
	table := evals.Table{
		Title: "Which step and agent made the run fail", Columns: []string{"system", "step", "within one step", "agent", "no step blamed"},
	}
	for _, s := range systems {
		row := []string{s.name}
		for _, holds := range []func(run, answer) bool{rightStep, nearStep, rightAgent, noStep} {
			row = append(row, figure(measure.Mean(x.seed, x.right(s, holds), tasks)))
		}
		table.Rows = append(table.Rows, row)
	}
	x.result.Tables = append(x.result.Tables, table)
	x.steps(systems)
}

// accuracy adds a metric; the gain is over the first baseline.
func (x exam) accuracy(metric string, holds func(run, answer) bool, engine system, baselines ...system) {
	tasks := x.runs.tasks()
	own := x.right(engine, holds)
	v := measure.Mean(x.seed, own, tasks)
	m := evals.Metric{Value: v.Value, Low: v.Low, High: v.High, N: len(x.runs), Baselines: make(map[string]float64)}
	for _, b := range baselines {
		m.Baselines[b.name] = measure.MeanOf(x.right(b, holds))(measure.All(len(x.runs)))
	}
	m.Gains = map[string]evals.Interval{
		baselines[0].name: measure.Paired(x.seed, len(x.runs), tasks, measure.MeanOf(own), measure.MeanOf(x.right(baselines[0], holds))),
	}
	x.result.Metrics[metric] = m
}

// blamed adds a table of which anomaly type blamed a step, and how often rightly.
func (x exam) blamed(engine system) {
	type count struct{ runs, step, agent int }
	counts := make(map[string]*count)
	for i, r := range x.runs {
		kind := cmp.Or(string(x.judged[i].Type), "none")
		c, ok := counts[kind]
		if !ok {
			c = &count{}
			counts[kind] = c
		}
		c.runs++
		if rightStep(r, engine.answers[i]) {
			c.step++
		}
		if rightAgent(r, engine.answers[i]) {
			c.agent++
		}
	}
	table := evals.Table{Title: "Runs by the anomaly type that blames a step", Columns: []string{"type", "runs", "step right", "agent right"}}
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		c := counts[kind]
		table.Rows = append(table.Rows, []string{kind, fmt.Sprint(c.runs), fmt.Sprint(c.step), fmt.Sprint(c.agent)})
	}
	x.result.Tables = append(x.result.Tables, table)
}

// steps draws where mistakes are and where they are looked for.
func (x exam) steps(systems []system) {
	const shown = 20
	at := func(name string, step func(i int) int) evals.Curve {
		var values []float64
		for i := range x.runs {
			if s := step(i); s != none {
				values = append(values, float64(s))
			}
		}
		return measure.Histogram(name, values, -0.5, shown-0.5, shown)
	}
	chart := evals.Chart{Title: "Where mistakes are, by index of the step", X: "step", Y: "share of runs"}
	chart.Curves = append(chart.Curves, at("labelled", func(i int) int { return *x.runs[i].MistakeStep }))
	if x.judged != nil {
		chart.Curves = append(chart.Curves, at("engine", func(i int) int { return systems[0].answers[i].step }))
	}
	x.result.Charts = append(x.result.Charts, chart)
}

func notes(frozen bool) []string {
	how := "Each run is judged by a pipeline that has learnt the other folds: passed runs for the outcome, whole runs for steps and agents; a task's runs share a fold."
	if frozen {
		how = "Each run is judged by a pipeline that was frozen beforehand; nothing was learnt from these runs."
	}
	return []string{
		how,
		"No run with a labelled mistake has passed, so that what is usual among other failed runs stands for normal.",
		"Steps are numbered from 0, as in the data: always_step_1 is the second message of a run, first_step the first.",
		"A run of which the verdict blames no step counts as wrong; the table has their share.",
		"Recorded times are unknown: every step takes a second, so that latency says only how long a run is.",
	}
}
