package nab

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Quiet is a threshold that no score reaches.
const Quiet = 1.1

// Window is an interval of rows in which something was wrong, both ends inside.
type Window struct{ First, Last int }

// Probation is how many of the first rows of a series do not count: 15 %, at most 750.
func Probation(rows int) int { return min(int(0.15*float64(rows)), 750) }

// Series is the scores of one series, each with what a detection there would bring, by falling score.
type Series struct {
	points  []point
	windows int
}

// point is one row past probation.
type point struct {
	score  float64
	window int     // -1 outside
	weight float64 // reward inside, cost outside; in (0, 1]
}

// NewSeries takes one score a row, in [0, 1], and the windows in order. Windows that end in probation do not count.
func NewSeries(scores []float64, windows []Window) (Series, error) {
	end := -1
	for _, w := range windows {
		if w.First <= end || w.Last < w.First || w.Last >= len(scores) {
			return Series{}, fmt.Errorf("nab: window of rows %d to %d is out of order or beyond the %d rows", w.First, w.Last, len(scores))
		}
		end = w.Last
	}
	s := Series{points: make([]point, 0, len(scores))}
	probation := Probation(len(scores))
	next, window := 0, -1 // next: the window that a row may be in; window: its number among those that count
	for row, score := range scores {
		if !(score >= 0 && score <= 1) {
			return Series{}, fmt.Errorf("nab: score %v of row %d is not within [0, 1]", score, row)
		}
		if next < len(windows) && row > windows[next].Last {
			next++
		}
		if row < probation {
			continue
		}
		if next == len(windows) || row < windows[next].First {
			s.points = append(s.points, point{score, -1, cost(row, windows[:next])})
			continue
		}
		if row == windows[next].First || row == probation {
			window++
		}
		s.points = append(s.points, point{score, window, reward(row, windows[next])})
	}
	s.windows = window + 1
	slices.SortStableFunc(s.points, func(a, b point) int { return cmp.Compare(b.score, a.score) })
	return s, nil
}

// reward is that of a detection within a window.
func reward(row int, w Window) float64 {
	width := float64(w.Last - w.First + 1)
	return sigmoid(-float64(w.Last-row+1)/width) / sigmoid(-1)
}

// cost is that of a detection behind the windows given and before the next.
func cost(row int, before []Window) float64 {
	if len(before) == 0 {
		return 1
	}
	w := before[len(before)-1]
	at := float64(row-w.Last) / float64(max(w.Last-w.First, 1))
	if at >= 3 {
		return 1
	}
	return -sigmoid(at)
}

// sigmoid is the scaled sigmoid: 0.987 at -1, the left edge of a window, 0 at its right edge and -1 far behind.
func sigmoid(x float64) float64 { return 2/(1+math.Exp(5*x)) - 1 }

// At is the tally at each of some thresholds, which must fall.
func (s Series) At(thresholds []float64) []Tally {
	out := make([]Tally, len(thresholds))
	run := newRun(s.windows)
	next := 0
	for k, threshold := range thresholds {
		for ; next < len(s.points) && s.points[next].score >= threshold; next++ {
			run.take(s.points[next])
		}
		out[k] = run.tally
	}
	return out
}

// run takes points by falling score and keeps the tally.
type run struct {
	best  []float64 // reward of each window so far, 0 when it is missed
	tally Tally
}

func newRun(windows int) *run {
	return &run{best: make([]float64, windows), tally: Tally{Windows: windows, Missed: windows}}
}

func (r *run) take(p point) {
	if p.window < 0 {
		r.tally.Alarms++
		r.tally.False += p.weight
		return
	}
	best := &r.best[p.window]
	if *best == 0 {
		r.tally.Missed--
	}
	if p.weight > *best {
		r.tally.Found += p.weight - *best
		*best = p.weight
	}
}
