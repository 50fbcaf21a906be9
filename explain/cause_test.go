package explain

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func TestTypicalIncidentsGetTheirTrueCause(t *testing.T) {
	for _, s := range Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			causes := rank(s.Incident, s.Evidence)
			for _, c := range causes {
				t.Logf("%-16s %-26s score %.2f confidence %.2f coverage %.2f purity %.2f timing %.2f", c.Kind, c.Value, c.score, c.confidence, c.coverage, c.purity, c.timing)
			}
			require.Equal(t, s.Cause, causes[0].Subject)
			require.Greater(t, causes[0].confidence, 0.35)
		})
	}
}

// The same evidence in any order gives the same ranking, and confidences are a ranking inside [0, 0.95].
func TestRankingIsDeterministicAndCalibrated(t *testing.T) {
	for _, s := range Scenarios() {
		var sum float64
		causes := rank(s.Incident, s.Evidence)
		for i, c := range causes {
			sum += c.confidence
			if i > 0 {
				require.LessOrEqual(t, c.confidence, causes[i-1].confidence)
			}
		}
		require.LessOrEqual(t, sum, maxConfidence+1e-9)
		reversed := s.Evidence
		reversed.Slices = nil
		for i := range s.Evidence.Slices {
			reversed.Slices = append(reversed.Slices, s.Evidence.Slices[len(s.Evidence.Slices)-1-i])
		}
		for i, c := range rank(s.Incident, reversed) {
			require.Equal(t, causes[i].Subject, c.Subject)
			require.InDelta(t, causes[i].confidence, c.confidence, 1e-12)
		}
	}
}

func TestRankingTellsLookAlikesApart(t *testing.T) {
	latency := incident(engine.LatencySpike, engine.Subject{Kind: engine.SubjectService, Value: "assistant"}, "assistant")
	errors := incident(engine.ErrorRate, engine.Subject{Kind: engine.SubjectService, Value: "assistant"}, "assistant")
	byProvider := incident(engine.ErrorRate, engine.Subject{Kind: engine.SubjectProvider, Value: "nimbus"}, "assistant")
	jailbreak := incident(engine.Jailbreak, engine.Subject{}, "assistant")
	tokens := incident(engine.TokenAbuse, engine.Subject{}, "assistant")
	loop := incident(engine.AgentTrajectory, engine.Subject{}, "assistant")
	novelty := incident(engine.SemanticNovelty, engine.Subject{}, "assistant")
	deployment := func(at time.Time, version string) engine.ChangeMarker {
		return engine.ChangeMarker{At: at, Kind: engine.MarkerDeployment, Service: "assistant", Version: version}
	}
	for _, tc := range []struct {
		name    string
		in      engine.Incident
		fill    func(t *traffic)
		markers []engine.ChangeMarker
		want    engine.Subject
	}{
		{"one model of several fails: the model, not its provider", errors, func(t *traffic) {
			t.slice(engine.SubjectProvider, "nimbus", 100, 320, 0.3)
			t.slice(engine.SubjectModel, "nimbus-pro", 100, 170, 0.2)
		}, nil, engine.Subject{Kind: engine.SubjectModel, Value: "nimbus-pro"}},
		{"a provider with a single model fails: the provider", errors, func(t *traffic) {
			t.slice(engine.SubjectProvider, "nimbus", 100, 170, 0.2)
			t.slice(engine.SubjectModel, "nimbus-pro", 100, 170, 0.2)
			t.slice(engine.SubjectModelVersion, "nimbus-pro-1", 100, 170, 0.2)
		}, nil, engine.Subject{Kind: engine.SubjectProvider, Value: "nimbus"}},
		{"a new model version without a marker", latency, func(t *traffic) {
			t.slice(engine.SubjectProvider, "nimbus", 100, 120, 0.2)
			t.slice(engine.SubjectModel, "aurora", 100, 120, 0.2)
			t.appeared(engine.SubjectModelVersion, "aurora-2", 100, 120, noon.Add(-4*time.Minute))
		}, nil, engine.Subject{Kind: engine.SubjectModelVersion, Value: "aurora-2"}},
		{"a deployment that slows its service", latency, func(t *traffic) {
			t.slice(engine.SubjectService, "assistant", 100, 240, 0.25)
			t.slice(engine.SubjectModelVersion, "aurora-1", 90, 400, 0.42)
			t.appeared(engine.SubjectServiceVersion, "1.9.0", 100, 120, noon.Add(-5*time.Minute))
		}, []engine.ChangeMarker{deployment(noon.Add(-5*time.Minute), "1.9.0")}, engine.Subject{Kind: engine.SubjectServiceVersion, Value: "1.9.0"}},
		{"a deployment after the onset is not blamed", latency, func(t *traffic) {
			t.slice(engine.SubjectProvider, "nimbus", 100, 220, 0.2)
			t.appeared(engine.SubjectServiceVersion, "1.9.0", 70, 200, noon.Add(30*time.Minute))
		}, []engine.ChangeMarker{deployment(noon.Add(30*time.Minute), "1.9.0")}, engine.Subject{Kind: engine.SubjectProvider, Value: "nimbus"}},
		{"a deployment whose version is calm is not blamed", errors, func(t *traffic) {
			t.slice(engine.SubjectTool, "search", 100, 200, 0.2)
			t.appeared(engine.SubjectServiceVersion, "1.9.0", 3, 220, noon.Add(-time.Minute))
		}, []engine.ChangeMarker{deployment(noon.Add(-time.Minute), "1.9.0")}, engine.Subject{Kind: engine.SubjectTool, Value: "search"}},
		{"an attacker with several keys: the user", jailbreak, func(t *traffic) {
			t.slice(engine.SubjectUser, "u-1", 100, 110, 0.02)
			t.slice(engine.SubjectAPIKey, "k-1", 55, 60, 0.01)
			t.slice(engine.SubjectAPIKey, "k-2", 45, 50, 0.01)
		}, nil, engine.Subject{Kind: engine.SubjectUser, Value: "u-1"}},
		{"a campaign by one key of which little is caught: the key, not the user whose attacks were caught most often", jailbreak, func(t *traffic) {
			t.abnormal, t.total = 5, 104
			t.slice(engine.SubjectAPIKey, "k-1", 5, 48, 0.07)
			t.slice(engine.SubjectUser, "u-1", 3, 10, 0.01)
		}, nil, engine.Subject{Kind: engine.SubjectAPIKey, Value: "k-1"}},
		{"an attacker with one key: the key", jailbreak, func(t *traffic) {
			t.slice(engine.SubjectTenant, "globex", 100, 110, 0.02)
			t.slice(engine.SubjectUser, "u-1", 100, 110, 0.02)
			t.slice(engine.SubjectAPIKey, "k-1", 100, 110, 0.02)
		}, nil, engine.Subject{Kind: engine.SubjectAPIKey, Value: "k-1"}},
		{"a shared key of whose users one consumes: the user", tokens, func(t *traffic) {
			t.slice(engine.SubjectUser, "u-1", 98, 110, 0.02)
			t.slice(engine.SubjectAPIKey, "k-1", 100, 180, 0.1)
		}, nil, engine.Subject{Kind: engine.SubjectUser, Value: "u-1"}},
		{"a looping agent version that ran before", loop, func(t *traffic) {
			t.slice(engine.SubjectAgentVersion, "planner@2", 100, 110, 0.1)
			t.slice(engine.SubjectAgent, "planner", 100, 110, 0.1)
			t.slice(engine.SubjectTool, "search", 100, 160, 0.2)
		}, nil, engine.Subject{Kind: engine.SubjectAgentVersion, Value: "planner@2"}},
		{"odd questions of one user: the user, not a topic", novelty, func(t *traffic) {
			t.slice(engine.SubjectService, "assistant", 100, 500, 0.5)
			t.slice(engine.SubjectUser, "u-1", 97, 110, 0.02)
		}, nil, engine.Subject{Kind: engine.SubjectUser, Value: "u-1"}},
		{"the provider of nearly all calls, as the detector has it", byProvider, func(t *traffic) {
			t.slice(engine.SubjectProvider, "nimbus", 99, 990, 0.99)
			t.slice(engine.SubjectService, "assistant", 100, 1000, 1)
			t.slice(engine.SubjectModel, "nimbus-pro", 60, 600, 0.6)
		}, nil, engine.Subject{Kind: engine.SubjectProvider, Value: "nimbus"}},
		{"one abnormal call among the few outside a new model version", latency, func(t *traffic) {
			t.abnormal, t.total = 74, 82
			t.slice(engine.SubjectProvider, "nimbus", 74, 81, 0.87)
			t.slice(engine.SubjectModel, "aurora", 74, 81, 0.87)
			t.appeared(engine.SubjectModelVersion, "aurora-2", 73, 77, noon.Add(3*time.Minute))
		}, nil, engine.Subject{Kind: engine.SubjectModelVersion, Value: "aurora-2"}},
		{"a region", latency, func(t *traffic) {
			t.slice(engine.SubjectRegion, "eu-west-1", 100, 260, 0.25)
			t.slice(engine.SubjectProvider, "nimbus", 60, 500, 0.5)
		}, nil, engine.Subject{Kind: engine.SubjectRegion, Value: "eu-west-1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tr := &traffic{abnormal: 100, total: 1000}
			tc.fill(tr)
			ev := evidence(tr)
			ev.Markers = tc.markers
			causes := rank(tc.in, ev)
			require.Equal(t, tc.want, causes[0].Subject)
		})
	}
}

func TestNothingStandsOut(t *testing.T) {
	spread := &traffic{abnormal: 100, total: 1000}
	spread.slice(engine.SubjectService, "assistant", 52, 500, 0.5)
	spread.slice(engine.SubjectService, "search", 48, 500, 0.5)
	spread.slice(engine.SubjectProvider, "nimbus", 40, 380, 0.4)
	spread.slice(engine.SubjectUser, "u-1", 2, 20, 0.02)
	for name, ev := range map[string]engine.Evidence{
		"evenly spread": evidence(spread),
		"no evidence":   {},
		"an unreadable slice": {Slices: []engine.Slice{{Subject: engine.Subject{Kind: engine.SubjectProvider, Value: "nimbus"},
			AbnormalShare: nan, BaselineShare: nan, Rate: nan, RestRate: nan, Abnormal: -4}}},
	} {
		t.Run(name, func(t *testing.T) {
			in := incident(engine.LatencySpike, engine.Subject{Kind: engine.SubjectService, Value: "assistant"}, "assistant")
			causes := rank(in, ev)
			require.Equal(t, engine.Subject{Kind: engine.SubjectService, Value: "assistant"}, causes[0].Subject)
			require.LessOrEqual(t, causes[0].confidence, 0.2)
			require.True(t, causes[0].vague)
			require.Contains(t, write(in, ev).explanation().Summary, "No single cause stands out")
		})
	}
}

// A single observation cannot single anything out with confidence, however pure its slices are.
func TestOneObservationGivesLittleConfidence(t *testing.T) {
	one := &traffic{abnormal: 1, total: 1000}
	one.slice(engine.SubjectProvider, "nimbus", 1, 300, 0.3)
	one.slice(engine.SubjectUser, "u-1", 1, 3, 0.002)
	causes := rank(incident(engine.ErrorRate, engine.Subject{}, "assistant"), evidence(one))
	require.Less(t, causes[0].confidence, 0.35)
}

// What the detector names is believed as far as the evidence has nothing to say about it.
func TestDetectorsSubjectStandsInForAMissingSlice(t *testing.T) {
	in := incident(engine.TokenAbuse, engine.Subject{Kind: engine.SubjectUser, Value: "u-1"}, "assistant")
	causes := rank(in, engine.Evidence{})
	require.Equal(t, in.Subject, causes[0].Subject)
	require.Less(t, causes[0].confidence, 0.6)
}
