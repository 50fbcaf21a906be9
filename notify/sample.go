package notify

import (
	"fmt"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Sample is an alert that looks like a real one and says that it is a test. Its id follows from at, so that two tests are
// two alerts.
func Sample(at time.Time) engine.Alert {
	at = at.UTC()
	onset := at.Add(-5 * time.Minute)
	key := fmt.Sprintf("%d", at.UnixNano())
	return engine.Alert{
		ID:     "test-" + key + "-1-raised",
		Change: engine.ChangeRaised,
		Incident: engine.Incident{
			ID: "test-" + key, Fingerprint: "latency_spike|service:sentinel-test", Type: engine.LatencySpike,
			Severity: engine.SeverityHigh, Status: engine.StatusOpen,
			Title:    "Test of LLM-Sentinel: nothing is wrong",
			Subject:  engine.Subject{Kind: engine.SubjectService, Value: "sentinel-test"},
			Services: []string{"sentinel-test"},
			Onset:    onset, LastSeen: at, DetectedAt: at, Raised: 1,
			Score: 1.8, Alpha: 1e-4, Effect: engine.Effect{Baseline: 1.2, Current: 4.5, Unit: "s"}, Anomalies: 7,
			Traces: []engine.TraceID{{15: 1}}, Users: 3,
			Explanation: &engine.Explanation{
				Summary: "This is a test: somebody asked LLM-Sentinel to send an alert to this receiver.",
				Hypotheses: []engine.Hypothesis{{
					Cause:     engine.Subject{Kind: engine.SubjectModelVersion, Value: "test-model-2"},
					Statement: "A test was asked for.", Confidence: 1, Citations: []string{"E1"},
				}},
				Recommendations: []engine.Recommendation{{Text: "Nothing has to be done.", Citations: []string{"E1"}}},
				Citations:       []engine.Citation{{ID: "E1", Text: "Latency of sentinel-test went from 1.2 s to 4.5 s in this example."}},
				Author:          "deterministic", At: at,
			},
			Timeline: []engine.TimelineEntry{{At: at, Event: engine.ChangeRaised}},
		},
	}
}
