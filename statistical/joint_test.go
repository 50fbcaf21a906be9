package statistical

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"
)

func TestJointExpectsWhatTheOthersSay(t *testing.T) {
	r := seeded(61)
	j := NewJoint(JointConfig{Dimensions: 3})
	for i := range 2000 {
		x := r.NormFloat64()
		j.Add(start.Add(time.Duration(i)*time.Second), []float64{x, 3 - 2*x + 0.1*r.NormFloat64(), r.NormFloat64()})
	}
	var out [3]Deviation
	j.Deviations([]float64{1, 1, 0}, out[:])
	require.InDelta(t, 1, out[1].Expected, 0.05)
	require.InDelta(t, 0, out[1].Sigmas, 0.5)

	j.Deviations([]float64{1, 3, 0}, out[:]) // each of the two is ordinary by itself
	require.InDelta(t, 1, out[1].Expected, 0.05)
	require.Greater(t, out[1].Sigmas, 10.0)
	require.Greater(t, out[0].Sigmas, 10.0, "the other is just as far from what this one leads to expect")
	require.InDelta(t, 0, out[2].Sigmas, 1, "what has nothing to do with them is not blamed")
}

func TestJointLeavesOutWhatIsMissing(t *testing.T) {
	r := seeded(62)
	j := NewJoint(JointConfig{Dimensions: 2})
	var out [2]Deviation
	j.Deviations([]float64{1, 2}, out[:])
	require.Equal(t, [2]Deviation{}, out, "nothing is known")
	for range 500 {
		j.Add(time.Time{}, []float64{5 + r.NormFloat64(), math.NaN()})
	}
	j.Deviations([]float64{8, math.NaN()}, out[:])
	require.InDelta(t, 3, out[0].Sigmas, 0.4)
	require.True(t, math.IsNaN(out[1].Expected))
	require.Zero(t, out[1].Sigmas)
}

func TestJointFollowsWhatChanges(t *testing.T) {
	r := seeded(63)
	j := NewJoint(JointConfig{Dimensions: 2, HalfLife: time.Hour})
	for i := range 6000 {
		at, slope := start.Add(time.Duration(i)*10*time.Second), 1.0
		if i > 2000 {
			slope = -1
		}
		x := r.NormFloat64()
		j.Add(at, []float64{x, slope*x + 0.1*r.NormFloat64()})
	}
	var out [2]Deviation
	j.Deviations([]float64{1, -1}, out[:])
	require.InDelta(t, 0, out[1].Sigmas, 1)
}

func TestJointSurvivesNumbersThatDetermineEachOtherOrNeverChange(t *testing.T) {
	r := seeded(64)
	j := NewJoint(JointConfig{Dimensions: 3})
	for range 500 {
		x := r.NormFloat64()
		j.Add(time.Time{}, []float64{x, x, 7})
	}
	var out [3]Deviation
	j.Deviations([]float64{2, 2, 7}, out[:])
	for _, d := range out {
		require.Less(t, math.Abs(d.Sigmas), 1.0)
	}
	j.Deviations([]float64{math.Inf(1), -math.MaxFloat64, 9}, out[:])
	require.Greater(t, out[2].Sigmas, 10.0)
	require.False(t, math.IsNaN(out[0].Sigmas))
}

// calls simulates calls of a model: logarithms of duration, time to first token, input and output tokens, cost and cached tokens. Three
// kinds of work are mixed; duration and cost follow from the tokens.
type calls struct {
	r     *rand.Rand
	speed float64 // tokens a second
}

const callNumbers = 6

func (c calls) normal() []float64 {
	in, out := lognormal(c.r, 500, 0.7), lognormal(c.r, 180, 0.6)
	switch u := c.r.Float64(); {
	case u < 0.25: // with documents
		in, out = lognormal(c.r, 3500, 0.35), lognormal(c.r, 260, 0.5)
	case u < 0.4: // a tool is called
		in, out = lognormal(c.r, 900, 0.4), lognormal(c.r, 40, 0.4)
	}
	cached := 0.0
	if c.r.IntN(2) == 0 {
		cached = in * (0.3 + 0.5*c.r.Float64())
	}
	first := lognormal(c.r, 0.15+(in-0.9*cached)/8000, 0.3)
	return []float64{
		math.Log(first + out/lognormal(c.r, c.speed, 0.25)), math.Log(first), math.Log1p(in), math.Log1p(out),
		math.Log((in-0.9*cached)*2e-6 + out*8e-6), math.Log1p(cached),
	}
}

// oddities are combinations that do not belong together.
var oddities = map[string]func(c calls, x []float64){
	"fast": func(c calls, x []float64) { x[0] -= math.Log(3 + 2*c.r.Float64()); x[1] = min(x[1], x[0]-0.5) },
	"slow": func(c calls, x []float64) { x[0] += math.Log(2.5 + 2*c.r.Float64()) },
	"dear": func(c calls, x []float64) { x[4] += math.Log(2 + c.r.Float64()) },
	"late start": func(c calls, x []float64) {
		x[1] += math.Log(3 + c.r.Float64())
		x[0] = max(x[0], x[1]+0.05)
	},
	"no answer": func(c calls, x []float64) { // to a long question
		in, out := lognormal(c.r, 3500, 0.3), 3+20*c.r.Float64()
		first := lognormal(c.r, 0.15+in/8000, 0.3)
		x[0], x[1], x[2], x[3] = math.Log(first+out/c.speed), math.Log(first), math.Log1p(in), math.Log1p(out)
		x[4], x[5] = math.Log(in*2e-6+out*8e-6), 0
	},
	"two mixed": func(c calls, x []float64) {
		for i, y := range c.normal() {
			if c.r.IntN(2) == 0 {
				x[i] = y
			}
		}
	},
}

// odd draws oddities until each number by itself is within bounds.
func (c calls) odd(change func(calls, []float64), low, high []float64) []float64 {
	for tries := 0; ; tries++ {
		x := c.normal()
		change(c, x)
		inside := true
		for i := range x {
			inside = inside && x[i] >= low[i] && x[i] <= high[i]
		}
		if inside || tries > 300 {
			return x
		}
	}
}

// What each number cannot show, the joint deviation shows, and better than the alternatives that cost as much or more. The figures that
// it logs are in docs/detectors/joint.md.
func TestJointFindsWhatNoNumberShows(t *testing.T) {
	const seeds, seen, judged = 4, 6000, 2000
	for name, setting := range map[string]struct{ contaminated, slower float64 }{"steady": {}, "contaminated": {contaminated: 0.02}, "drift": {slower: 0.7}} {
		t.Run(name, func(t *testing.T) {
			aurocs, found := map[string]float64{}, map[string]float64{}
			for seed := range uint64(seeds) {
				c := calls{seeded(seed + 70), 60}
				low, high := slices.Repeat([]float64{math.Inf(-1)}, callNumbers), slices.Repeat([]float64{math.Inf(1)}, callNumbers)
				pilot := make([][]float64, 3000)
				for i := range pilot {
					pilot[i] = c.normal()
				}
				for i := range callNumbers {
					slices.SortFunc(pilot, func(a, b []float64) int { return int(math.Copysign(1, a[i]-b[i])) })
					low[i], high[i] = pilot[30][i], pilot[len(pilot)-31][i]
				}
				kinds := slices.Sorted(func(yield func(string) bool) {
					for k := range oddities {
						if !yield(k) {
							return
						}
					}
				})

				j := NewJoint(JointConfig{Dimensions: callNumbers, HalfLife: time.Hour})
				var history [][]float64
				for i := range seen {
					c.speed = 60 * math.Exp(-setting.slower*float64(i)/seen)
					x := c.normal()
					if c.r.Float64() < setting.contaminated {
						x = c.odd(oddities[kinds[c.r.IntN(len(kinds))]], low, high)
					}
					j.Add(start.Add(time.Duration(i)*2*time.Second), x)
					history = append(history, x)
				}
				detectors := alternatives(c.r, history[seen-2048:])
				var deviations [callNumbers]Deviation
				detectors["joint"] = func(x []float64) float64 {
					j.Deviations(x, deviations[:])
					largest := 0.0
					for _, d := range deviations {
						largest = max(largest, math.Abs(d.Sigmas))
					}
					return largest
				}
				var normal [][]float64
				for range judged {
					normal = append(normal, c.normal())
				}
				for _, k := range kinds {
					var odd [][]float64
					for range 200 {
						odd = append(odd, c.odd(oddities[k], low, high))
					}
					for d, score := range detectors {
						auroc, share := rank(normal, odd, score)
						aurocs[d] += auroc / float64(len(kinds)*seeds)
						found[d] += share / float64(len(kinds)*seeds)
					}
				}
			}
			for _, d := range []string{"forest", "reconstruction", "largest single"} {
				require.Greater(t, aurocs["joint"], aurocs[d], d)
				require.Greater(t, found["joint"], found[d], d)
			}
			require.Greater(t, aurocs["joint"], 0.9)
			for d, x := range aurocs {
				t.Logf("%s: mean AUROC %.3f, found at 1 %% false alarms %.2f", d, x, found[d])
			}
		})
	}
}

// rank returns the probability that an odd observation scores above a normal one, and the share of the odd that score above all but one
// in a hundred of the normal ones.
func rank(normal, odd [][]float64, score func([]float64) float64) (auroc, found float64) {
	scores := make([]float64, len(normal))
	for i, x := range normal {
		scores[i] = score(x)
	}
	slices.Sort(scores)
	for _, x := range odd {
		below := lowerBound(scores, score(x))
		auroc += float64(below) / float64(len(scores)*len(odd))
		if 100*below > 99*len(scores) {
			found += 1 / float64(len(odd))
		}
	}
	return auroc, found
}

// alternatives are fitted to a history: the largest deviation of a single number, the error of reconstruction from the principal
// components with 90 % of the variance, and an isolation forest (Liu, Ting and Zhou, ICDM 2008) over all of them, whitened, which it
// does better on than on the numbers themselves.
func alternatives(r *rand.Rand, history [][]float64) map[string]func([]float64) float64 {
	d, n := len(history[0]), float64(len(history))
	mean, scale := make([]float64, d), make([]float64, d)
	for i := range d {
		for _, x := range history {
			mean[i] += x[i] / n
		}
		for _, x := range history {
			scale[i] += (x[i] - mean[i]) * (x[i] - mean[i]) / n
		}
		scale[i] = math.Sqrt(scale[i])
	}
	correlation := mat.NewSymDense(d, nil)
	for i := range d {
		for k := range i + 1 {
			sum := 0.0
			for _, x := range history {
				sum += (x[i] - mean[i]) / scale[i] * (x[k] - mean[k]) / scale[k] / n
			}
			correlation.SetSym(i, k, sum)
		}
	}
	var eigen mat.EigenSym
	eigen.Factorize(correlation, true)
	values, vectors := eigen.Values(nil), mat.NewDense(d, d, nil) // ascending
	eigen.VectorsTo(vectors)
	minor, left := 0, 0.1*float64(d)
	for left -= values[0]; left > 0; left -= values[minor] {
		minor++
	}
	component := func(x []float64, k int) float64 {
		sum := 0.0
		for i := range d {
			sum += vectors.At(i, k) * (x[i] - mean[i]) / scale[i]
		}
		return sum
	}
	whitened := func(x []float64) []float64 {
		out := make([]float64, d)
		for k := range d {
			out[k] = component(x, k) / math.Sqrt(max(values[k], 1e-3))
		}
		return out
	}
	points := make([][]float64, len(history))
	for i, x := range history {
		points[i] = whitened(x)
	}
	const trees, sample, depth = 64, 256, 10
	forest := make([]*isolation, trees)
	for i := range forest {
		drawn := make([][]float64, sample)
		for k := range drawn {
			drawn[k] = points[r.IntN(len(points))]
		}
		forest[i] = isolate(r, drawn, depth)
	}
	return map[string]func([]float64) float64{
		"largest single": func(x []float64) float64 {
			largest := 0.0
			for i := range x {
				largest = max(largest, math.Abs(x[i]-mean[i])/scale[i])
			}
			return largest
		},
		"reconstruction": func(x []float64) float64 {
			sum := 0.0
			for k := range minor {
				sum += component(x, k) * component(x, k)
			}
			return sum
		},
		"forest": func(x []float64) float64 {
			sum, point := 0.0, whitened(x)
			for _, tree := range forest {
				sum -= tree.path(point)
			}
			return sum
		},
	}
}

// isolation is a node of an isolation tree.
type isolation struct {
	number      int
	at          float64
	below, rest *isolation
	points      int
}

func isolate(r *rand.Rand, points [][]float64, depth int) *isolation {
	node := &isolation{points: len(points)}
	if len(points) < 2 || depth == 0 {
		return node
	}
	node.number = r.IntN(len(points[0]))
	low, high := math.Inf(1), math.Inf(-1)
	for _, x := range points {
		low, high = min(low, x[node.number]), max(high, x[node.number])
	}
	node.at = low + r.Float64()*(high-low)
	var below, rest [][]float64
	for _, x := range points {
		if x[node.number] < node.at {
			below = append(below, x)
		} else {
			rest = append(rest, x)
		}
	}
	node.below, node.rest = isolate(r, below, depth-1), isolate(r, rest, depth-1)
	return node
}

// path is the length of the path to x, with what the points that were not split further would add on average.
func (n *isolation) path(x []float64) float64 {
	length := 0.0
	for ; n.below != nil; length++ {
		if x[n.number] < n.at {
			n = n.below
		} else {
			n = n.rest
		}
	}
	if n.points < 2 {
		return length
	}
	m := float64(n.points)
	return length + 2*(math.Log(m-1)+0.5772) - 2*(m-1)/m
}

func BenchmarkJointDeviations(b *testing.B) {
	c := calls{seeded(1), 60}
	j := NewJoint(JointConfig{Dimensions: callNumbers})
	for range 1000 {
		j.Add(time.Time{}, c.normal())
	}
	x := c.normal()
	var out [callNumbers]Deviation
	b.ReportAllocs()
	for b.Loop() {
		j.Deviations(x, out[:])
	}
}

func BenchmarkJointAdd(b *testing.B) {
	c := calls{seeded(1), 60}
	j := NewJoint(JointConfig{Dimensions: callNumbers})
	x := c.normal()
	b.ReportAllocs()
	for b.Loop() {
		j.Add(time.Time{}, x)
	}
}
