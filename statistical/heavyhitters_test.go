package statistical

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestHeavyHittersKeepTheirErrorBound(t *testing.T) {
	r := seeded(20)
	keys := rand.NewZipf(r, 1.2, 1, 5000)
	h := NewHeavyHitters(HeavyHittersConfig{Capacity: 100, HalfLife: 10 * time.Minute})
	exact := map[string]float64{}
	const n = 50_000
	for i := range n {
		age := float64(n-1-i) / 600 // one a second
		key, amount := fmt.Sprint(keys.Uint64()), lognormal(r, 500, 1)
		h.Add(start.Add(time.Duration(i)*time.Second), key, amount)
		exact[key] += amount * math.Exp2(-age)
	}
	total := 0.0
	for _, amount := range exact {
		total += amount
	}
	require.Equal(t, 100, h.Len())
	for key := range exact {
		heavy, ok := h.Get(key)
		if !ok {
			continue
		}
		require.GreaterOrEqual(t, heavy.Amount, exact[heavy.Key]*(1-1e-9))
		require.LessOrEqual(t, heavy.Amount-heavy.Error, exact[heavy.Key]*(1+1e-9))
		require.LessOrEqual(t, heavy.Error, total/100)
	}
	for key, amount := range exact {
		if amount > total/100 {
			heavy, ok := h.Get(key)
			require.True(t, ok, "key %s holds %.1f %%", key, 100*amount/total)
			require.InDelta(t, amount, heavy.Amount, total/100)
		}
	}
}

func TestHeavyHittersDecay(t *testing.T) {
	h := NewHeavyHitters(HeavyHittersConfig{Capacity: 4, HalfLife: time.Hour})
	h.Add(start, "b", 10)
	h.Add(start, "a", 10)
	h.Add(start, "c", 40)
	h.Add(start.Add(time.Hour), "d", 1)
	for key, amount := range map[string]float64{"a": 5, "b": 5, "c": 20, "d": 1} {
		heavy, ok := h.Get(key)
		require.True(t, ok)
		require.Equal(t, Heavy{Key: key, Amount: amount}, heavy)
	}
	h.Add(start, "a", 2) // an hour late
	a, ok := h.Get("a")
	require.True(t, ok)
	require.InDelta(t, 6, a.Amount, 1e-9)
	_, ok = h.Get("e")
	require.False(t, ok)

	h.Add(start.AddDate(1, 0, 0), "e", 3)
	e, ok := h.Get("e")
	require.True(t, ok)
	require.InDelta(t, 3, e.Amount, 1e-9, "a year is many half-lives")
}

func TestHeavyHittersIgnoreWhatCannotBe(t *testing.T) {
	h := NewHeavyHitters(HeavyHittersConfig{Capacity: math.MaxInt})
	for _, amount := range []float64{0, -1, math.NaN(), math.Inf(1)} {
		h.Add(start, "a", amount)
	}
	require.Zero(t, h.Len())
	long := strings.Repeat("x", 1000)
	h.Add(start, long, math.MaxFloat64)
	h.Add(start, long, math.MaxFloat64)
	heavy, ok := h.Get(long)
	require.True(t, ok)
	require.Len(t, heavy.Key, maxKeyBytes)
	require.False(t, math.IsInf(heavy.Amount, 0))
}

func BenchmarkHeavyHittersAdd(b *testing.B) {
	r := seeded(1)
	zipf := rand.NewZipf(r, 1.2, 1, 100_000)
	keys := make([]string, 4096)
	for i := range keys {
		keys[i] = fmt.Sprint("user-", zipf.Uint64())
	}
	h := NewHeavyHitters(DefaultHeavyHittersConfig())
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		h.Add(start.Add(time.Duration(i)*time.Millisecond), keys[i%len(keys)], 500)
		i++
	}
}
