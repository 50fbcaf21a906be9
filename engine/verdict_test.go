package engine

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func material(kind AnomalyType, p float64) Finding {
	return Finding{Type: kind, Detector: string(kind), P: p, Material: true, Reason: string(kind) + " is odd", Subject: Subject{SubjectService, "shop"}}
}

func TestVerdictIsAnomalousExactlyAboveOne(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 0))
	anomalous := 0
	for range 2_000 {
		findings := make([]Finding, rng.IntN(6))
		for i := range findings {
			findings[i] = material(LatencySpike, math.Pow(10, -8*rng.Float64()))
			findings[i].Material, findings[i].Learning = rng.IntN(4) > 0, rng.IntN(6) == 0
		}
		alpha := math.Pow(10, -1-6*rng.Float64())
		v := judge(traceID(1), findings, alpha, DefaultSeverity())
		require.Equal(t, v.Score > 1, v.Anomalous)
		require.Equal(t, v.P < alpha, v.Anomalous, "p %v, alpha %v", v.P, alpha)
		require.Equal(t, v.Anomalous, v.Type != "" && v.Severity != "")
		require.Equal(t, alpha, v.Alpha)
		require.Len(t, findings, len(v.Contributions)+len(v.Learning))
		var shares, scores float64
		for i, c := range v.Contributions {
			shares += c.Share
			scores += c.Score
			require.False(t, c.Learning)
			if !c.Material {
				require.Zero(t, c.Score)
			}
			if i > 0 {
				require.LessOrEqual(t, c.Score, v.Contributions[i-1].Score, "strongest first")
			}
		}
		if scores > 0 {
			require.InDelta(t, 1, shares, 1e-9)
		}
		if v.Anomalous {
			anomalous++
		}
	}
	require.Greater(t, anomalous, 100)
}

func TestLearningAndImmaterialFindingsWeighNothing(t *testing.T) {
	t.Parallel()
	learning, slight := material(Jailbreak, 1e-12), material(ErrorRate, 1e-12)
	learning.Learning, slight.Material = true, false
	v := judge(traceID(1), []Finding{learning, slight}, 1e-4, DefaultSeverity())
	require.False(t, v.Anomalous)
	require.Equal(t, []string{"jailbreak"}, v.Learning)
	require.Equal(t, "within what is normal", v.Reason)

	alone := judge(traceID(1), []Finding{material(LatencySpike, 1e-6)}, 1e-4, DefaultSeverity())
	require.InEpsilon(t, 1.5, alone.Score, 0.01, "of one detector it is log p over log alpha")
	with := judge(traceID(1), []Finding{material(LatencySpike, 1e-6), learning}, 1e-4, DefaultSeverity())
	require.Equal(t, alone.Score, with.Score)

	require.Equal(t, "nothing to compare with yet", judge(traceID(1), []Finding{learning}, 1e-4, DefaultSeverity()).Reason)
	require.NotNil(t, judge(traceID(1), nil, 1e-4, DefaultSeverity()).Contributions, "an empty list is a list in JSON")
}

func TestVerdictIsNamedByTheCauseRatherThanTheStrongest(t *testing.T) {
	t.Parallel()
	v := judge(traceID(1), []Finding{material(LatencySpike, 1e-40), material(Jailbreak, 1e-6), material(SemanticNovelty, 0.2)}, 1e-4, DefaultSeverity())
	require.True(t, v.Anomalous)
	require.Equal(t, Jailbreak, v.Type)
	require.Equal(t, LatencySpike, v.Contributions[0].Type)
	require.Equal(t, "latency_spike is odd; jailbreak is odd", v.Reason)

	// Where no detector is abnormal alone, the strongest names what all are together.
	v = judge(traceID(1), []Finding{material(Jailbreak, 2e-4), material(LatencySpike, 1.05e-4), material(ErrorRate, 1.1e-4)}, 1e-4, DefaultSeverity())
	if v.Anomalous {
		require.Equal(t, LatencySpike, v.Type)
	}
}

func TestNumbersThatAreNoneDoNoHarm(t *testing.T) {
	t.Parallel()
	for _, p := range []float64{math.NaN(), 0, -1, 2, math.Inf(1)} {
		v := judge(traceID(1), []Finding{material(LatencySpike, p), material(ErrorRate, 0.5)}, 1e-4, DefaultSeverity())
		require.False(t, math.IsNaN(v.Score), "%v", p)
		require.False(t, math.IsNaN(v.P), "%v", p)
	}
	require.Zero(t, Effect{Current: 3}.Ratio())
}

func TestFlagging(t *testing.T) {
	t.Parallel()
	learning, slight := material(Jailbreak, 1e-12), material(ErrorRate, 1e-12)
	learning.Learning, slight.Material = true, false
	require.False(t, flagged([]Finding{learning, slight, material(LatencySpike, 0.02)}, 0.01))
	require.True(t, flagged([]Finding{learning, material(LatencySpike, 0.009)}, 0.01))
}
