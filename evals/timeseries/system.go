package timeseries

import (
	"math"
	"math/rand/v2"

	"github.com/llm-sentinel/llm-sentinel/evals/measure"
	"github.com/llm-sentinel/llm-sentinel/evals/timeseries/nab"
)

const (
	// grid is how many thresholds of the sweep are looked at again on each resample and each half.
	grid = 1000
	// halvings is how often the corpus is halved when thresholds are cross-validated: a few are a matter of luck.
	halvings = 100
	// longestBuffer of VUS-PR, in rows on both sides of a window together.
	longestBuffer = 100
)

// system is a detector with what it said of the corpus.
type system struct {
	name       string
	scores     [][]float64 // by series
	tally      []nab.Series
	curve      nab.Curve // of the corpus
	thresholds []float64 // those of the curve on the grid, and each profile's best
	byGrid     [][]nab.Tally
	volumes    []float64 // VUS-PR of the series with windows, in their order
}

func newSystem(name string, corpus []series, scores [][]float64) (*system, error) {
	sys := &system{name: name, scores: scores, tally: make([]nab.Series, len(corpus))}
	for k, s := range corpus {
		var err error
		if sys.tally[k], err = nab.NewSeries(scores[k], s.windows); err != nil {
			return nil, err
		}
		if volume := measure.VUSPR(scores[k], s.anomalous(), longestBuffer); !math.IsNaN(volume) {
			sys.volumes = append(sys.volumes, volume)
		}
	}
	sys.curve = nab.Sweep(sys.tally)
	at := make(map[int]bool, grid)
	for _, i := range sys.curve.Thin(grid) {
		at[i] = true
	}
	for _, p := range nab.Profiles() {
		at[sys.curve.Best(p)] = true
	}
	for i, threshold := range sys.curve.Thresholds {
		if at[i] {
			sys.thresholds = append(sys.thresholds, threshold)
		}
	}
	sys.byGrid = make([][]nab.Tally, len(corpus))
	for k, s := range sys.tally {
		sys.byGrid[k] = s.At(sys.thresholds)
	}
	return sys, nil
}

// best is each profile's best threshold on the corpus.
func (s *system) best() map[string]float64 {
	out := make(map[string]float64)
	for _, p := range nab.Profiles() {
		out[p.Name] = s.curve.Thresholds[s.curve.Best(p)]
	}
	return out
}

// gains are a series' worth to a profile by threshold of the grid.
func (s *system) gains(p nab.Profile) [][]float64 {
	out := make([][]float64, len(s.byGrid))
	for k, tallies := range s.byGrid {
		out[k] = make([]float64, len(tallies))
		for g, t := range tallies {
			out[k][g] = p.Above(t)
		}
	}
	return out
}

func (s *system) windows(k int) int { return s.byGrid[k][0].Windows }

// swept is the score of some series at the threshold that suits just them best.
func (s *system) swept(p nab.Profile) func(cases []int) float64 {
	gains := s.gains(p)
	return func(cases []int) float64 {
		above, windows := s.sum(gains, cases)
		best := above[0]
		for _, x := range above {
			best = max(best, x)
		}
		return p.Score(best, windows)
	}
}

// sum is what series are worth together by threshold of the grid, and their number of windows.
func (s *system) sum(gains [][]float64, cases []int) (above []float64, windows int) {
	above = make([]float64, len(s.thresholds))
	for _, k := range cases {
		windows += s.windows(k)
		for g, x := range gains[k] {
			above[g] += x
		}
	}
	return above, windows
}

// frozen is the score of some series at a threshold that was given.
func (s *system) frozen(p nab.Profile, threshold float64) func(cases []int) float64 {
	above := make([]float64, len(s.tally))
	for k, series := range s.tally {
		above[k] = p.Above(series.At([]float64{threshold})[0])
	}
	return s.total(p, above)
}

// crossValidated is the score of some series at the thresholds that suit the other half of the corpus best, the mean over halvings.
func (s *system) crossValidated(p nab.Profile, halves [][2][]int) func(cases []int) float64 {
	gains := s.gains(p)
	above := make([]float64, len(s.tally))
	for _, pair := range halves {
		for side, fitted := range pair {
			sums, _ := s.sum(gains, fitted)
			best := 0
			for g, x := range sums {
				if x > sums[best] {
					best = g
				}
			}
			for _, k := range pair[1-side] {
				above[k] += gains[k][best] / float64(len(halves))
			}
		}
	}
	return s.total(p, above)
}

// total is the score of some series of which each has a worth of its own.
func (s *system) total(p nab.Profile, above []float64) func(cases []int) float64 {
	return func(cases []int) float64 {
		var sum float64
		windows := 0
		for _, k := range cases {
			sum += above[k]
			windows += s.windows(k)
		}
		return p.Score(sum, windows)
	}
}

// volume is the mean VUS-PR of some of the series with windows.
func (s *system) volume(cases []int) float64 {
	var sum float64
	for _, k := range cases {
		sum += s.volumes[k]
	}
	return sum / float64(len(cases))
}

// halve splits the corpus into halves, as often as halvings says, so that each category is in both.
func halve(seed uint64, corpus []series) [][2][]int {
	source := rand.New(rand.NewPCG(seed, halvings))
	out := make([][2][]int, halvings)
	for h := range out {
		side := 0
		for from := 0; from < len(corpus); {
			to := from
			for to < len(corpus) && corpus[to].category() == corpus[from].category() {
				to++
			}
			for _, k := range source.Perm(to - from) {
				out[h][side] = append(out[h][side], from+k)
				side = 1 - side
			}
			from = to
		}
	}
	return out
}
