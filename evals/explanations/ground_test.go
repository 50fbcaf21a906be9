package explanations

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

var noon = time.Date(2025, 10, 7, 12, 3, 20, 0, time.UTC)

// slow is an incident with evidence; its cause is a version of the model.
func slow() engine.Incident {
	id := engine.TraceID{0xab, 15: 1}
	return engine.Incident{
		ID: "inc-1", Fingerprint: "latency_spike|service:care-desk", Type: engine.LatencySpike, Services: []string{"care-desk"},
		Subject: engine.Subject{Kind: "service", Value: "care-desk"}, Onset: noon, LastSeen: noon.Add(40 * time.Minute),
		Anomalies: 212, Users: 57, Traces: []engine.TraceID{id}, Effect: engine.Effect{Baseline: 0.9134, Current: 3.4218, Unit: "s"},
		Evidence: &engine.Evidence{
			Digest: "d1", From: noon, To: noon.Add(40 * time.Minute), Before: noon.Add(-time.Hour),
			Changes: []engine.Change{{What: "latency", Series: "care-desk chat aurora-large", Effect: engine.Effect{Baseline: 812, Current: 12_345, Unit: "tokens"}}},
			Slices: []engine.Slice{{Subject: engine.Subject{Kind: "model_version", Value: "aurora-large-2025-09-15"},
				Abnormal: 198, AbnormalShare: 0.9995, Total: 235, BaselineShare: 0.0123, Rate: 0.8425, New: true, FirstSeen: noon}},
			Abnormal: &engine.Example{TraceID: id, SpanID: engine.SpanID{0xcd, 7: 1}, Text: "Say `hello`\n to   all 12 of them and then some"},
		},
	}
}

// What a note says must be in the evidence, in whatever unit and rounding it says it.
func TestUnsupported(t *testing.T) {
	in := slow()
	g, err := newGround(in, *in.Evidence)
	require.NoError(t, err)
	for _, c := range []struct {
		claim string
		want  []string
	}{
		{"Latency went from 0.913 s to 3.42 s (×3.75) [E1].", nil},
		{"It rose from 913 ms to 3,422 ms, 12345 tokens or 12,345.", nil},
		{"12 k tokens of 812.", nil},
		{"Model version `aurora-large-2025-09-15` holds 99.9 % of the abnormal and held 1.2 % before [E2] [E3].", nil},
		{"84 percent of its 235 are abnormal; 212 anomalies, affected users: 57.", nil},
		{"It began at 2025-10-07 12:03 UTC in `care-desk` and lasted until 12:43.", nil},
		{"An abnormal example: `Say 'hello' to all 12 of th…` Trace `ab000000000000000000000000000001`, span `cd00000000000001`.", nil},
		{"No single cause stands out.", nil},
		{"Latency went to 3.5 s.", []string{"3.5"}},
		{"It holds 43 % of the abnormal.", []string{"43"}},
		{"It holds 57 % of the abnormal, and 43 of them.", []string{"57", "43"}},
		{"Model version `aurora-large-2025-06-01` is to blame.", []string{"aurora-large-2025-06-01"}},
		{"Service `trip-desk` did it, on gpt-4.", []string{"trip-desk", "gpt-4"}},
		{"It began at 10:03.", []string{"10:03"}},
		{"See trace ab000000000000000000000000000002.", []string{"ab000000000000000000000000000002"}},
	} {
		require.Equal(t, c.want, g.unsupported(c.claim), c.claim)
	}
}

func TestClaimsAndCitations(t *testing.T) {
	e := engine.Explanation{
		Note:       "# Latency spike in `care-desk`\n\n## What happened\n\nIt went up 5 times [E1].\n\n- first\n- second\n",
		Summary:    "It went up [E1] [E2].",
		Hypotheses: []engine.Hypothesis{{Statement: "So it was [E2].", Citations: []string{"E2", "E3"}}},
		Recommendations: []engine.Recommendation{
			{Text: "Do it", Citations: []string{"E9"}},
		},
	}
	require.Equal(t, []string{"It went up 5 times [E1].", "first", "second"}, claims(e))
	require.Equal(t, []string{"E1", "E2", "E2", "E3", "E9"}, named(e))
}
