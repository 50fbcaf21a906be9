package statistical

import (
	"encoding"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// learner is what all stateful values of the package have in common, for tests.
type learner interface {
	encoding.BinaryMarshaler
	encoding.BinaryUnmarshaler
}

// kind is how to make a learner, to teach it its i-th observation, and to ask it everything.
type kind struct {
	name  string
	make  func() learner
	teach func(l learner, i int)
	ask   func(l learner) []float64
}

func kinds() []kind {
	at := func(i int) time.Time { return start.Add(time.Duration(i) * 7 * time.Minute) }
	value := func(i int) float64 { return math.Exp(3 * math.Sin(float64(i*i))) }
	return []kind{
		{
			name:  "quantity",
			make:  func() learner { return NewQuantity(QuantityConfig{}) },
			teach: func(l learner, i int) { l.(*Quantity).Add(at(i), value(i)) },
			ask: func(l learner) []float64 {
				q := l.(*Quantity)
				return []float64{q.Count(), float64(q.Seen()), q.Median(), q.Quantile(0.99), q.Level(), q.UpperP(3), q.UpperP(1e6)}
			},
		},
		{
			name:  "proportion",
			make:  func() learner { return NewProportion(ProportionConfig{}) },
			teach: func(l learner, i int) { l.(*Proportion).Add(at(i), i%5, 20+i%30) },
			ask: func(l learner) []float64 {
				p := l.(*Proportion)
				return []float64{p.Rate(), p.Count(), p.UpperP(9, 50), p.UpperP(900, 50_000)}
			},
		},
		{
			name:  "rate",
			make:  func() learner { return NewRate(RateConfig{Window: 7 * time.Minute}) },
			teach: func(l learner, i int) { l.(*Rate).Add(at(i), int(10*value(i))) },
			ask: func(l learner) []float64 {
				r := l.(*Rate)
				answers := []float64{}
				for hour := range 24 {
					window := start.Add(time.Duration(hour) * time.Hour)
					answers = append(answers, r.Expected(window), r.UpperP(window, 100), r.LowerP(window, 1))
				}
				return answers
			},
		},
		{
			name:  "heavy hitters",
			make:  func() learner { return NewHeavyHitters(HeavyHittersConfig{Capacity: 20}) },
			teach: func(l learner, i int) { l.(*HeavyHitters).Add(at(i), fmt.Sprint("key ", i*i%71), value(i)) },
			ask: func(l learner) []float64 {
				h := l.(*HeavyHitters)
				answers := []float64{float64(h.Len())}
				for i := range 71 {
					held, _ := h.Get(fmt.Sprint("key ", i))
					answers = append(answers, held.Amount, held.Error)
				}
				return answers
			},
		},
		{
			name: "two samples",
			make: func() learner { return NewTwoSample(TwoSampleConfig{}) },
			teach: func(l learner, i int) {
				t := l.(*TwoSample)
				t.AddA(value(i))
				t.AddB(1.2 * value(i+1))
			},
			ask: func(l learner) []float64 {
				c := l.(*TwoSample).Compare()
				return []float64{c.P, c.Effect, float64(c.N1), float64(c.N2)}
			},
		},
		{
			name:  "sample",
			make:  func() learner { s := NewSample(24); return &s },
			teach: func(l learner, i int) { l.(*Sample).Add(value(i)) },
			ask: func(l learner) []float64 {
				s := l.(*Sample)
				if s.Count() == 0 {
					return nil
				}
				return []float64{float64(s.Count()), s.Quantile(0.1), s.Quantile(0.5), s.Quantile(1)}
			},
		},
		{
			name: "alpha",
			make: func() learner {
				a, err := NewAlpha(AlphaConfig{PerDay: 2, Initial: 1e-4, Min: 1e-8, Max: 1e-2, Gain: 0.2})
				if err != nil {
					panic(err)
				}
				return a
			},
			teach: func(l learner, i int) {
				a := l.(*Alpha)
				a.Tick(at(i))
				if i%100 == 0 {
					a.Alert(at(i))
				}
			},
			ask: func(l learner) []float64 { return []float64{l.(*Alpha).Value()} },
		},
		{
			name:  "conformal",
			make:  func() learner { return NewConformal(100, 7) },
			teach: func(l learner, i int) { l.(*Conformal).Add(value(i)) },
			ask: func(l learner) []float64 {
				c := l.(*Conformal)
				return []float64{float64(c.Len()), c.UpperP(-1), c.UpperP(3), c.UpperP(30), c.UpperP(1e9)}
			},
		},
		{
			name: "joint",
			make: func() learner { return NewJoint(JointConfig{Dimensions: 3}) },
			teach: func(l learner, i int) {
				missing := value(i + 1)
				if i%3 == 0 {
					missing = math.NaN()
				}
				l.(*Joint).Add(at(i), []float64{value(i), 2 * value(i), missing})
			},
			ask: func(l learner) []float64 {
				j := l.(*Joint)
				var out [3]Deviation
				j.Deviations([]float64{1, -1, 5}, out[:])
				return []float64{j.Count(), out[0].Expected, out[0].Sigmas, out[1].Sigmas, out[2].Expected, out[2].Sigmas}
			},
		},
	}
}

// A restart must not change a single answer, now or later.
func TestSnapshotIsExact(t *testing.T) {
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			for _, n := range []int{0, 1, 10, 700, 5_000} {
				original, restored := k.make(), k.make()
				for i := range n {
					k.teach(original, i)
				}
				k.teach(restored, 12345) // is replaced
				data, err := original.MarshalBinary()
				require.NoError(t, err)
				require.NoError(t, restored.UnmarshalBinary(data))

				for i := n; i < n+500; i++ {
					a, b := k.ask(original), k.ask(restored)
					for j := range a {
						if math.Float64bits(a[j]) != math.Float64bits(b[j]) {
							require.Equal(t, a[j], b[j], "answer %d after %d", j, i)
						}
					}
					k.teach(original, i)
					k.teach(restored, i)
				}
				data, err = original.MarshalBinary()
				require.NoError(t, err)
				again, err := restored.MarshalBinary()
				require.NoError(t, err)
				require.Equal(t, data, again)
			}
		})
	}
}

func TestSnapshotThatIsDamagedChangesNothing(t *testing.T) {
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			l := k.make()
			for i := range 300 {
				k.teach(l, i)
			}
			data, err := l.MarshalBinary()
			require.NoError(t, err)
			damaged := [][]byte{nil, append(data[:len(data):len(data)], 0), append([]byte{'?'}, data[1:]...),
				append([]byte{data[0], 99}, data[2:]...)}
			for n := range data {
				damaged = append(damaged, data[:n])
			}
			for i, d := range damaged {
				require.ErrorContains(t, l.UnmarshalBinary(d), "statistical: restore", "damage %d", i)
			}
			after, err := l.MarshalBinary()
			require.NoError(t, err)
			require.Equal(t, data, after)
		})
	}
}

func TestSnapshotFitsASmallerReceiver(t *testing.T) {
	large := NewHeavyHitters(HeavyHittersConfig{Capacity: 50})
	calibration := NewConformal(1000, 1)
	for i := range 1000 {
		large.Add(start, fmt.Sprint("key ", i%50), float64(i%50+1))
		calibration.Add(float64(i))
	}
	data, err := large.MarshalBinary()
	require.NoError(t, err)
	small := NewHeavyHitters(HeavyHittersConfig{Capacity: 5})
	require.NoError(t, small.UnmarshalBinary(data))
	require.Equal(t, 5, small.Len())
	for i := 45; i < 50; i++ {
		kept, ok := small.Get(fmt.Sprint("key ", i))
		require.True(t, ok, "the largest are kept")
		held, _ := large.Get(kept.Key)
		require.Equal(t, held, kept)
	}

	data, err = calibration.MarshalBinary()
	require.NoError(t, err)
	fewer := NewConformal(100, 1)
	require.NoError(t, fewer.UnmarshalBinary(data))
	require.Equal(t, 100, fewer.Len())
	require.InDelta(t, 0.5, fewer.UpperP(500), 0.2)
}

func TestSnapshotRestoresIntoAZeroValue(t *testing.T) {
	r := seeded(34)
	q := learned(500, func() float64 { return lognormal(r, 1, 0.5) })
	data, err := q.MarshalBinary()
	require.NoError(t, err)
	var restored Quantity
	require.NoError(t, restored.UnmarshalBinary(data))
	require.Equal(t, q.UpperP(4), restored.UpperP(4))
	require.Error(t, new(Alpha).UnmarshalBinary(data), "an Alpha has no bounds without its configuration")
}

// Whatever the bytes, restoring returns, and what was restored goes on to answer and to learn.
func FuzzRestore(f *testing.F) {
	for i, k := range kinds() {
		for _, n := range []int{0, 3, 200} {
			l := k.make()
			for j := range n {
				k.teach(l, j)
			}
			data, err := l.MarshalBinary()
			require.NoError(f, err)
			f.Add(uint8(i), data)
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		all := kinds()
		k := all[int(which)%len(all)]
		l := k.make()
		if l.UnmarshalBinary(data) != nil {
			return
		}
		k.ask(l)
		for i := range 5 {
			k.teach(l, 1000+i)
		}
		k.ask(l)
		if _, err := l.MarshalBinary(); err != nil {
			t.Fatal(err)
		}
	})
}
