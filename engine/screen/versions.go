package screen

import (
	"fmt"
	"math"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/statistical"
)

// versions compares a new version in a series with the one that was there before, by a test that holds however often one
// looks (statistical.TwoSample). The version is that of what answers: the model, the agent, or the service.
type versions struct {
	Current    string   // the version the baseline consists of
	Recent     []recent // its latest latencies, to start a comparison with; none while there is one
	Challenger string
	test       *statistical.TwoSample // set while there is a challenger
	Seen       int                    // spans of the challenger
	Fresh      int                    // of them, since the last comparison
	Traces     []engine.TraceID       // its latest
	LastSeen   time.Time              // when Challenger was
}

// recent is a latency to within 0.25 %: the number of steps of 0.5 % between a second and it.
type recent int16

const recentStep = 0.005

func newRecent(seconds float64) recent {
	return recent(min(max(math.Round(math.Log(seconds)/recentStep), math.MinInt16), math.MaxInt16)) // 1e-71 s to 1e71 s
}

func (r recent) seconds() float64 { return math.Exp(float64(r) * recentStep) }

const (
	recentKept        = 128
	comparisonBuckets = 24    // an arm; medians within 8 % while latencies span a factor of 45
	challengerLimit   = 2_000 // spans after which a challenger that the test does not object to is the current version
)

// comparison is what comparisons are made like.
var comparison = statistical.NewTwoSample(statistical.TwoSampleConfig{Buckets: comparisonBuckets})

// versionOf names the version of what a span is served by, and as what kind of subject.
func versionOf(s *engine.Span) engine.Subject {
	switch {
	case s.ResponseModel != "" && s.Operation.IsModelCall():
		return engine.Subject{Kind: engine.SubjectModelVersion, Value: s.ResponseModel}
	case s.Agent.Version != "" && s.Operation == engine.OpInvokeAgent:
		return engine.Subject{Kind: engine.SubjectAgentVersion, Value: s.Agent.Name + "@" + s.Agent.Version}
	case s.ServiceVersion != "":
		return engine.Subject{Kind: engine.SubjectServiceVersion, Value: s.Service + "@" + s.ServiceVersion}
	}
	return engine.Subject{}
}

func (v *versions) add(s *engine.Span, window time.Duration) {
	version, seconds := versionOf(s), s.Duration().Seconds()
	if version.Value == "" || s.Failed || seconds == 0 {
		return
	}
	name := version.Kind + "|" + version.Value
	switch name {
	case v.Current:
		switch {
		case v.test != nil:
			v.test.AddA(seconds)
		case len(v.Recent) < recentKept:
			v.Recent = append(v.Recent, newRecent(seconds))
		default:
			v.Recent[int(seconds*1e9)%recentKept] = newRecent(seconds) // any fixed choice will do
		}
		return
	case v.Challenger:
		v.Seen++
		v.Fresh++
		v.LastSeen = s.End
		v.test.AddB(seconds)
		if len(v.Traces) >= maxSlow {
			v.Traces = v.Traces[:copy(v.Traces, v.Traces[1:])]
		}
		v.Traces = append(v.Traces, s.TraceID)
		return
	}
	if v.Current == "" {
		v.Current = name
		return
	}
	// Of several beside the current one, the first is watched as long as it is served.
	if v.Challenger != "" && s.End.Sub(v.LastSeen) < window {
		return
	}
	v.Challenger, v.Seen, v.Fresh, v.Traces = name, 0, 0, nil
	if v.test != nil {
		v.test.Again()
		return
	}
	v.test = comparison.Fresh()
	for _, x := range v.Recent {
		v.test.AddA(x.seconds())
	}
	v.Recent = nil
}

// compare says what the test shows at the end of a window.
func (v *versions) compare(cfg Config, key engine.SeriesKey, at time.Time) (engine.Finding, bool) {
	if v.test == nil || v.Fresh == 0 {
		return engine.Finding{}, false // what is no longer served is not worse any more
	}
	v.Fresh = 0
	c := v.test.Compare()
	f := engine.Finding{
		Type: engine.ModelRegression, Detector: "versions", At: at, Window: cfg.Window, Series: key,
		P: c.P, Learning: c.N1 < cfg.MinSamples || c.N2 < cfg.MinSamples, Traces: append([]engine.TraceID(nil), v.Traces...),
		Effect:   engine.Effect{Baseline: 1, Current: c.Effect, Unit: "ratio"},
		Material: c.Effect >= cfg.RegressionRatio,
	}
	f.Subject.Kind, f.Subject.Value = splitVersion(v.Challenger)
	_, before := splitVersion(v.Current)
	f.Reason = fmt.Sprintf("%s takes %.1f times as long as %s over %d spans", f.Subject.Value, c.Effect, before, c.N2)
	if v.Seen > challengerLimit && !f.Material {
		v.Current, v.Challenger, v.test, v.Recent, v.Seen, v.Traces = v.Challenger, "", nil, nil, 0, nil
	}
	return f, true
}

func splitVersion(s string) (kind, value string) {
	for i := range s {
		if s[i] == '|' {
			return s[:i], s[i+1:]
		}
	}
	return "", s
}
