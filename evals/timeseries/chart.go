package timeseries

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/llm-sentinel/llm-sentinel/evals"
	"github.com/llm-sentinel/llm-sentinel/evals/timeseries/nab"
)

const (
	curvePoints  = 300 // at most, a curve
	lowestShown  = -50 // NAB score
	shownSeries  = 4
	highestShown = 2 // score in units of the threshold
)

// draw adds the charts and the table of series.
func (f *field) draw(result *evals.Result) {
	for _, p := range nab.Profiles() {
		result.Charts = append(result.Charts, f.byThreshold(p))
	}
	shown := f.systems[0]
	threshold := shown.best()["standard"]
	result.Tables = append(result.Tables, f.bySeries(shown, threshold))
	var labelled []int
	for k, s := range f.corpus {
		if len(s.windows) > 0 {
			labelled = append(labelled, k)
		}
	}
	count := min(shownSeries, len(labelled))
	for i := range count {
		result.Charts = append(result.Charts, f.overTime(shown, threshold, labelled[i*len(labelled)/count]))
	}
}

// byThreshold is the score of all systems by the false detections that a threshold brings, since raw scores have no common scale.
func (f *field) byThreshold(p nab.Profile) evals.Chart {
	rows := 0
	for _, s := range f.corpus {
		rows += len(s.values)
	}
	chart := evals.Chart{
		Title: "NAB score by threshold, profile " + p.Name,
		X:     "log10(1 + false detections in 1,000 rows)", Y: "score",
	}
	for _, sys := range f.systems {
		c := evals.Curve{Name: sys.name}
		for _, i := range sys.curve.Thin(curvePoints) {
			t := sys.curve.Tallies[i]
			if score := p.Score(p.Above(t), t.Windows); score >= lowestShown {
				c.X = append(c.X, math.Log10(1+1000*float64(t.Alarms)/float64(rows)))
				c.Y = append(c.Y, score)
			}
		}
		chart.Curves = append(chart.Curves, c)
	}
	return chart
}

// overTime is one series with its windows and what a system said, all brought to a common height.
func (f *field) overTime(sys *system, threshold float64, k int) evals.Chart {
	s := f.corpus[k]
	unit := cmp.Or(threshold, 1)
	chart := evals.Chart{
		Title: fmt.Sprintf("%s: %s", sys.name, s.name), X: "row",
		Y: fmt.Sprintf("value from 0 to 1; score in thresholds, at most %d", highestShown),
	}
	low, high := slices.Min(s.values), slices.Max(s.values)
	middle := slices.Sorted(slices.Values(s.values))[len(s.values)/2]
	anomalous := s.anomalous()
	value, score, window := evals.Curve{Name: "value"}, evals.Curve{Name: "score"}, evals.Curve{Name: "window"}
	step := (len(s.values) + curvePoints - 1) / curvePoints
	for from := 0; from < len(s.values); from += step {
		to := min(from+step, len(s.values))
		farthest, inside := s.values[from], 0.0
		for i := from; i < to; i++ {
			if math.Abs(s.values[i]-middle) > math.Abs(farthest-middle) {
				farthest = s.values[i]
			}
			if anomalous[i] {
				inside = 1
			}
		}
		if high > low {
			farthest = (farthest - low) / (high - low)
		}
		x := float64(from)
		value.X, value.Y = append(value.X, x), append(value.Y, farthest)
		score.X, score.Y = append(score.X, x), append(score.Y, min(slices.Max(sys.scores[k][from:to])/unit, highestShown))
		window.X, window.Y = append(window.X, x), append(window.Y, inside)
	}
	chart.Curves = []evals.Curve{value, score, window}
	return chart
}

// bySeries is what a system did on each series at one threshold.
func (f *field) bySeries(sys *system, threshold float64) evals.Table {
	table := evals.Table{
		Title:   fmt.Sprintf("Series: %s at the best threshold of the standard profile, %.4g", sys.name, threshold),
		Columns: []string{"series", "rows", "windows", "found", "false detections"},
	}
	for k, s := range f.corpus {
		t := sys.tally[k].At([]float64{threshold})[0]
		table.Rows = append(table.Rows, []string{
			s.name, fmt.Sprint(len(s.values)), fmt.Sprint(t.Windows), fmt.Sprint(t.Windows - t.Missed), fmt.Sprint(t.Alarms),
		})
	}
	return table
}
