package traces

import (
	"slices"
	"time"

	"github.com/llm-sentinel/llm-sentinel/evals"
	"github.com/llm-sentinel/llm-sentinel/evals/measure"
)

// timelines are, for each day, the strongest anomaly of each window above the faults. Scores are cut at most, to keep 1 in sight.
func (r *report) timelines() []evals.Chart {
	const most = 5
	var out []evals.Chart
	for _, d := range r.days {
		faults, scores := evals.Curve{Name: "fault"}, evals.Curve{Name: "score of the strongest anomaly"}
		for _, s := range r.engine.stretches {
			if s.day != d.name {
				continue
			}
			step(&faults, s.stretch, func(i int) float64 {
				if s.stretch.faulty[i] {
					return 1
				}
				return 0
			})
			step(&scores, s.stretch, func(i int) float64 { return min(most, s.scores[i]) })
		}
		out = append(out, evals.Chart{
			Title: "Alarms against faults, " + d.name, X: "hour of the day (UTC)", Y: "score, above 1 is anomalous",
			Curves: []evals.Curve{faults, scores},
		})
	}
	return out
}

// step draws the windows of a stretch as stairs that stand on 0. Stairs of one height are one.
func step(c *evals.Curve, s stretch, height func(i int) float64) {
	point := func(at time.Time, y float64) {
		c.X, c.Y = append(c.X, at.Sub(at.Truncate(24*time.Hour)).Hours()), append(c.Y, y)
	}
	point(s.windows[0], 0)
	for i := range s.windows {
		if i == 0 || height(i) != height(i-1) {
			if i > 0 {
				point(s.windows[i], height(i-1))
			}
			point(s.windows[i], height(i))
		}
	}
	point(s.end(), height(len(s.windows)-1))
	point(s.end(), 0)
}

// delays is the share of faults that were detected within a time.
func (r *report) delays() evals.Chart {
	chart := evals.Chart{Title: "Faults detected within a time", X: "seconds after the injection", Y: "share of faults"}
	for _, x := range []named{{nameEngine, &r.engine}, {nameSigma, &r.sigma}, {nameAlways, &r.always}} {
		c := x.outcome.count(measure.All(len(x.outcome.stretches)), 0)
		slices.Sort(c.delays)
		curve := evals.Curve{Name: x.name, X: []float64{0}, Y: []float64{0}}
		for i, seconds := range c.delays {
			curve.X, curve.Y = append(curve.X, seconds, seconds), append(curve.Y, ratio(i, c.faults), ratio(i+1, c.faults))
		}
		chart.Curves = append(chart.Curves, curve)
	}
	return chart
}

// tradeOff is precision against recall as alarms below a score are left out.
func (r *report) tradeOff() evals.Chart {
	chart := evals.Chart{Title: "Precision by window against recall by fault", X: "recall", Y: "precision"}
	for _, x := range []named{{nameEngine, &r.engine}, {nameSigma, &r.sigma}, {nameAlways, &r.always}} {
		thresholds := []float64{0}
		for _, s := range x.outcome.stretches {
			thresholds = append(thresholds, s.scores...)
		}
		slices.Sort(thresholds)
		curve := evals.Curve{Name: x.name}
		for _, t := range slices.Compact(thresholds) {
			if c := x.outcome.count(measure.All(len(x.outcome.stretches)), t); c.alarmed > 0 {
				curve.X, curve.Y = append(curve.X, c.recall()), append(curve.Y, c.precision())
			}
		}
		chart.Curves = append(chart.Curves, curve)
	}
	return chart
}
