package statistical

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPeerPFindsTheAbuser(t *testing.T) {
	r := seeded(21)
	peers := make([]float64, 200)
	for i := range peers {
		peers[i] = lognormal(r, 1000, 0.5)
	}
	p, ratio := PeerP(50_000, peers)
	require.Less(t, p, 1e-4)
	require.InDelta(t, 50, ratio, 10)
	p, ratio = PeerP(1000, peers)
	require.InDelta(t, 0.5, p, 0.1)
	require.InDelta(t, 1, ratio, 0.2)

	peers[0] = 1e12 // another abuser must not hide this one
	p, _ = PeerP(50_000, peers)
	require.Less(t, p, 1e-3)
}

func TestPeerPIsCalibrated(t *testing.T) {
	r := seeded(22)
	for name, draw := range map[string]func() float64{
		"lognormal": func() float64 { return lognormal(r, 10, 1) },
		"power law": func() float64 { return math.Exp(r.ExpFloat64()) },
		"equal":     func() float64 { return 7 },
	} {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{8, 20, 100} {
				var ps []float64
				for range 10_000 {
					peers := make([]float64, n)
					for i := range peers {
						peers[i] = draw()
					}
					p, _ := PeerP(draw(), peers)
					ps = append(ps, p)
				}
				for _, alpha := range []float64{0.1, 0.01, 1e-3} {
					requireConservative(t, ps, alpha)
				}
			}
		})
	}
}

func TestPeerPWithTooLittle(t *testing.T) {
	p, ratio := PeerP(100, []float64{1, 1, 1, 1, 1, 1, 1, math.NaN(), 0, -1, math.Inf(1)})
	require.Equal(t, 1.0, p)
	require.InDelta(t, 100, ratio, 1e-9)
	for _, x := range []float64{0, -1, math.NaN()} {
		p, ratio = PeerP(x, []float64{1, 2, 3, 4, 5, 6, 7, 8, 9})
		require.Equal(t, 1.0, p)
		require.Equal(t, 1.0, ratio)
	}
	p, ratio = PeerP(3, nil)
	require.Equal(t, 1.0, p)
	require.Equal(t, 1.0, ratio)
}

func TestPeerPMonotone(t *testing.T) {
	r := seeded(23)
	peers := make([]float64, 40)
	for i := range peers {
		peers[i] = math.Ceil(lognormal(r, 5, 1))
	}
	last := 1.0
	for x := 0.5; x < 1e5; x *= 1.01 {
		p, _ := PeerP(x, peers)
		require.LessOrEqual(t, p, last)
		last = p
	}
}

func BenchmarkPeerP(b *testing.B) {
	r := seeded(1)
	peers := make([]float64, 256)
	for i := range peers {
		peers[i] = lognormal(r, 1000, 1)
	}
	b.ReportAllocs()
	for b.Loop() {
		PeerP(50_000, peers)
	}
}
