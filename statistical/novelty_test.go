package statistical

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// surprises plays a series through a fresh Novelty.
func surprises(n int, at func(i int) float64) []float64 {
	novelty, out := NewNovelty(), make([]float64, n)
	for i := range out {
		out[i] = novelty.Next(at(i))
	}
	return out
}

// alarms are the points with at least NoveltyAlarm.
func alarms(surprises []float64) []int {
	var out []int
	for i, s := range surprises {
		if s >= NoveltyAlarm {
			out = append(out, i)
		}
	}
	return out
}

// daily is a noisy rhythm of the day in steps of five minutes.
func daily(seed uint64) func(i int) float64 {
	r := seeded(seed)
	return func(i int) float64 { return 50 + 20*math.Sin(2*math.Pi*float64(i)/288) + 2*r.NormFloat64() }
}

func TestNoveltyFinds(t *testing.T) {
	const from = 3000
	for name, change := range map[string]func(i int, x float64) float64{
		"a spike": func(i int, x float64) float64 {
			if i == from {
				return 150
			}
			return x
		},
		"a value in a gap that was never taken": func(i int, x float64) float64 {
			switch {
			case i == from:
				return 50
			case i%2 == 0:
				return x + 60
			default:
				return x - 60
			}
		},
		"a new level":           func(i int, x float64) float64 { return x + 40*step(i >= from) },
		"silence of the noise":  func(i int, x float64) float64 { return x*step(i < from) + 50*step(i >= from) },
		"a noise of other size": func(i int, x float64) float64 { return x + 25*step(i >= from)*math.Cos(3*float64(i*i%101)) },
	} {
		t.Run(name, func(t *testing.T) {
			usual := daily(3)
			found := alarms(surprises(4000, func(i int) float64 { return change(i, usual(i)) }))
			hits := 0
			for _, i := range found {
				if i >= from && i < from+60 {
					hits++
				}
			}
			require.NotZero(t, hits, "alarms at %v", found)
			require.LessOrEqual(t, len(found), 15, "an anomaly that goes on is not a storm: %v", found)
		})
	}
}

func step(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// Novelty wears off: over eight seeds of each kind, chance alarms seldom and less and less.
func TestNoveltyIsQuietInNormalSeries(t *testing.T) {
	for name, make := range map[string]func(seed uint64) func(i int) float64{
		"rhythm": daily,
		"noise": func(seed uint64) func(int) float64 {
			r := seeded(seed)
			return func(int) float64 { return r.NormFloat64() }
		},
		"counts": func(seed uint64) func(int) float64 {
			r := seeded(seed)
			return func(int) float64 { return math.Floor(lognormal(r, 20, 0.7)) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			early, late := 0, 0
			for seed := range uint64(8) {
				for _, i := range alarms(surprises(3500, make(seed))) {
					switch {
					case i >= 2000:
						late++
					case i >= 500:
						early++
					}
				}
			}
			t.Logf("alarms in 8 × 1,500 points: %d early, %d late", early, late)
			require.LessOrEqual(t, late, 16, "two in each")
			require.LessOrEqual(t, late, early+5)
		})
	}
}

func TestNoveltyOfSeriesWithoutVariety(t *testing.T) {
	require.Empty(t, alarms(surprises(2000, func(int) float64 { return 7 })))
	found := alarms(surprises(2000, func(i int) float64 { return 7 + step(i == 1500) }))
	require.Contains(t, found, 1500, "the first value that is different")
	for _, x := range []float64{math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64} {
		for i, s := range surprises(1000, func(i int) float64 { return x * float64(i%3) / 2 }) {
			require.False(t, math.IsNaN(s) || math.IsInf(s, 0), "%v at %d of multiples of %v", s, i, x)
		}
	}
}

// Milliseconds are as surprising as seconds.
func TestNoveltyDoesNotDependOnUnits(t *testing.T) {
	spiky := func(seed uint64) func(i int) float64 {
		usual := daily(seed)
		return func(i int) float64 { return usual(i) + 90*step(i%700 == 650) }
	}
	seconds, milliseconds := spiky(5), spiky(5)
	require.Equal(t, alarms(surprises(3000, seconds)), alarms(surprises(3000, func(i int) float64 { return 1024 * milliseconds(i) })))
}

func TestNoveltyPassesOverWhatIsNoNumber(t *testing.T) {
	usual, n := daily(9), NewNovelty()
	for i := range 500 {
		n.Next(usual(i))
	}
	before, err := n.MarshalBinary()
	require.NoError(t, err)
	for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		require.Zero(t, n.Next(x))
	}
	after, err := n.MarshalBinary()
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.EqualValues(t, 500, n.Seen())
}

func TestNoveltyLearnsFirst(t *testing.T) {
	n, usual := NewNovelty(), daily(1)
	for i := range 100 {
		require.True(t, n.Learning())
		require.Less(t, n.Next(usual(i)), NoveltyAlarm)
	}
	n.Next(usual(100))
	require.False(t, n.Learning())
}

// An alarm is followed by quiet, and the next one takes more for a while.
func TestNoveltyIsSlowerAfterAnAlarm(t *testing.T) {
	usual := daily(4)
	got := surprises(3000, func(i int) float64 {
		return usual(i) + 100*step(i == 2500) + 130*step(i == 2500+noveltyHush) + 400*step(i == 2600)
	})
	require.GreaterOrEqual(t, got[2500], NoveltyAlarm)
	for i := range noveltyHush {
		require.Zero(t, got[2501+i])
	}
	fresh := daily(4)
	alone := surprises(3000, func(i int) float64 { return fresh(i) + 400*step(i == 2600) })
	require.Less(t, got[2600], alone[2600])
	require.GreaterOrEqual(t, got[2600], NoveltyAlarm)

	small, soon := daily(4), 2505
	got = surprises(3000, func(i int) float64 { return small(i) + 20*step(i == 2500) + 4000*step(i == soon) })
	require.GreaterOrEqual(t, got[2500], NoveltyAlarm)
	require.Greater(t, got[soon], got[2500]+noveltyBeyond, "a small alarm does not hide a large one")
}

// To judge a point is to say what learning it would, and leaves no trace.
func TestNoveltyJudgesWithoutLearning(t *testing.T) {
	judging, learning, usual := NewNovelty(), NewNovelty(), daily(5)
	for i := range 3000 {
		x := usual(i) + 90*step(i%700 == 650)
		for _, other := range []float64{x, 1e6, -3, math.NaN()} {
			judging.Judge(other)
		}
		judged := judging.Judge(x)
		require.Equal(t, judged, learning.Next(x))
		require.Equal(t, judged, judging.Next(x))
	}
	a, err := judging.MarshalBinary()
	require.NoError(t, err)
	b, err := learning.MarshalBinary()
	require.NoError(t, err)
	require.Equal(t, b, a)
}

// Calm series surprise about as often as NoveltyP says, or less.
func TestNoveltyP(t *testing.T) {
	require.Equal(t, 1.0, NoveltyP(0))
	require.Equal(t, 1.0, NoveltyP(-1))
	require.InDelta(t, 0.003, NoveltyP(NoveltyAlarm), 1e-9)
	require.Less(t, NoveltyP(40), 1e-5)
	for name, make := range map[string]func(seed uint64) func(i int) float64{
		"rhythm": daily,
		"counts under a rhythm": func(seed uint64) func(int) float64 {
			r := seeded(seed)
			return func(i int) float64 {
				return float64(negativeBinomial(r, 20+15*math.Sin(2*math.Pi*float64(i)/288), 0.02))
			}
		},
		"sums of heavy tails": func(seed uint64) func(int) float64 {
			r := seeded(seed)
			return func(int) float64 {
				total := 0.0
				for range 30 {
					total += lognormal(r, 1, 1)
				}
				return total
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			const series, points, learning = 12, 4000, 576
			var all []float64
			for seed := range uint64(series) {
				all = append(all, surprises(points, make(seed))[learning:]...)
			}
			for _, surprise := range []float64{1, 1.8, 3, 6} {
				above := 0
				for _, s := range all {
					if s >= surprise {
						above++
					}
				}
				expected := NoveltyP(surprise) * float64(len(all))
				require.LessOrEqual(t, float64(above), 1.5*expected+4*math.Sqrt(expected), "points with a surprise of %v", surprise)
			}
		})
	}
}

// What is said of a point does not depend on any later one, nor on anything but the points.
func TestNoveltyDoesNotLookAhead(t *testing.T) {
	first, second := daily(2), daily(2)
	a := surprises(2000, first)
	b := surprises(3000, func(i int) float64 {
		if i >= 2000 {
			return 1e9
		}
		return second(i)
	})
	require.Equal(t, a, b[:2000])
}

func TestNoveltySnapshotIsExact(t *testing.T) {
	for _, n := range []int{0, 1, 23, 150, 900, 9000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			r, original := seeded(8), NewNovelty()
			for range n {
				original.Next(lognormal(r, 1, 2))
			}
			data, err := original.MarshalBinary()
			require.NoError(t, err)
			for _, restored := range []*Novelty{NewNovelty(), new(Novelty)} {
				for range 50 {
					restored.Next(3) // is replaced
				}
				require.NoError(t, restored.UnmarshalBinary(data))
				again, err := restored.MarshalBinary()
				require.NoError(t, err)
				require.Equal(t, data, again)
			}
			restored := new(Novelty)
			require.NoError(t, restored.UnmarshalBinary(data))
			for range 1500 {
				x := lognormal(r, 1, 2)
				require.Equal(t, original.Next(x), restored.Next(x))
			}
		})
	}
}

func TestNoveltySnapshotThatIsDamaged(t *testing.T) {
	n, usual := NewNovelty(), daily(6)
	for i := range 400 {
		n.Next(usual(i))
	}
	data, err := n.MarshalBinary()
	require.NoError(t, err)
	for size := 0; size < len(data); size += 29 {
		require.ErrorContains(t, n.UnmarshalBinary(data[:size]), "statistical: restore novelty")
	}
	require.Error(t, n.UnmarshalBinary(append(data[:len(data):len(data)], 0)))
	forged := append([]byte(nil), data...)
	for i := 2; i < 10; i++ {
		forged[i] = 0xff
	}
	require.ErrorContains(t, n.UnmarshalBinary(forged), "points")
	after, err := n.MarshalBinary()
	require.NoError(t, err)
	require.Equal(t, data, after)
}

// Values that never repeat fill every memory; from then on nothing grows.
func TestNoveltyIsBounded(t *testing.T) {
	n, r := NewNovelty(), seeded(7)
	x := 0.0
	next := func() { x = 1.001*x + r.NormFloat64(); n.Next(x) }
	for range 12_000 {
		next()
	}
	for i := range n.numbers {
		require.Len(t, n.numbers[i].sorted, noveltyNumbers)
		require.Equal(t, noveltyNumbers, cap(n.numbers[i].sorted))
	}
	require.Len(t, n.pattern.items, noveltyPatterns)
	require.Zero(t, testing.AllocsPerRun(1000, next))
	data, err := n.MarshalBinary()
	require.NoError(t, err)
	require.Less(t, len(data), 32<<10, "the bound of what it takes in memory, too")
}

func FuzzNoveltyRestore(f *testing.F) {
	n, r := NewNovelty(), seeded(1)
	for i := range 300 {
		if i%120 == 0 {
			data, err := n.MarshalBinary()
			require.NoError(f, err)
			f.Add(data)
		}
		n.Next(r.NormFloat64())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n := NewNovelty()
		if n.UnmarshalBinary(data) != nil {
			return
		}
		for i := range 5 {
			if s := n.Next(float64(i * i)); !(s >= 0) || math.IsInf(s, 0) {
				t.Fatal(s)
			}
		}
		if _, err := n.MarshalBinary(); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkNovelty(b *testing.B) {
	for name, usual := range map[string]func(i int) float64{"rhythm": daily(1), "walk": walk(1)} {
		b.Run(name, func(b *testing.B) {
			n := NewNovelty()
			for i := range 20_000 {
				n.Next(usual(i))
			}
			b.ReportAllocs()
			i := 20_000
			for b.Loop() {
				n.Next(usual(i))
				i++
			}
		})
	}
}

// walk is a random walk, in which most points are new.
func walk(seed uint64) func(i int) float64 {
	r, x := seeded(seed), 0.0
	return func(int) float64 { x += r.NormFloat64(); return x }
}
