package screen

import (
	"bytes"
	"cmp"
	"encoding/gob"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/statistical"
)

// feature is one number of a model call, on the scale on which it depends on the others.
type feature struct {
	name   string
	kind   engine.AnomalyType // of a finding that it leads; "" where it only helps to know the others
	unit   string
	excess func(Config) float64 // least difference from what is expected, in its unit
	of     func(s *engine.Span) float64
	back   func(x float64) float64 // to its unit
}

// features are what the joint detector relates. What a call does not say is missing, which is NaN.
var features = [...]feature{
	{"duration", engine.LatencySpike, "s", leastSeconds, func(s *engine.Span) float64 { return logarithm(s.Duration().Seconds()) }, math.Exp},
	{"first token after", engine.LatencySpike, "s", leastSeconds, func(s *engine.Span) float64 { return logarithm(s.TimeToFirstChunk.Seconds()) }, math.Exp},
	{"input tokens", engine.TokenAbuse, "tokens", leastTokens, func(s *engine.Span) float64 { return math.Log1p(float64(s.Usage.Input)) }, math.Expm1},
	{"output tokens", engine.TokenAbuse, "tokens", leastTokens, func(s *engine.Span) float64 { return math.Log1p(float64(s.Usage.Output)) }, math.Expm1},
	{"reasoning tokens", engine.TokenAbuse, "tokens", leastTokens, func(s *engine.Span) float64 { return math.Log1p(float64(s.Usage.Reasoning)) }, math.Expm1},
	{"cached tokens", "", "tokens", leastTokens, func(s *engine.Span) float64 { return math.Log1p(float64(s.Usage.CacheRead)) }, math.Expm1},
	{"cost", engine.CostOverrun, "cost", func(c Config) float64 { return c.CallCostExcess }, func(s *engine.Span) float64 { return logarithm(s.Usage.Cost) }, math.Exp},
	{of: func(s *engine.Span) float64 { return math.Sin(hourAngle(s.End)) }},
	{of: func(s *engine.Span) float64 { return math.Cos(hourAngle(s.End)) }},
}

func leastSeconds(c Config) float64 { return c.LatencyExcess.Seconds() }
func leastTokens(c Config) float64  { return float64(c.JointTokenExcess) }

func logarithm(x float64) float64 {
	if !(x > 0) {
		return math.NaN()
	}
	return math.Log(x)
}

// hourAngle is the time of day on a circle.
func hourAngle(t time.Time) float64 {
	t = t.UTC()
	return 2 * math.Pi * (float64(t.Hour()) + float64(t.Minute())/60) / 24
}

// call is the features of one call.
type call [len(features)]float64

func callOf(s *engine.Span) (call, bool) {
	var x call
	if !s.Operation.IsModelCall() || s.Failed || s.Usage.Total() == 0 {
		return x, false
	}
	for i := range features {
		x[i] = features[i].of(s)
	}
	return x, true
}

// joint finds calls whose numbers do not go together though each may be ordinary: much written in no time, a long question and hardly an
// answer, a price that the tokens do not explain. What is normal is learnt a series at a time, from calm windows.
type joint struct {
	cfg    Config
	series *simplelru.LRU[engine.SeriesKey, *jointSeries]
}

type jointSeries struct {
	model   *statistical.Joint
	calm    *statistical.Conformal // the strangeness of calm calls, by the model of their time
	calls   samples[call]
	strange time.Time // since when its windows show something; zero when calm
}

// Bounds of what is kept of a series: the strangeness of so many calls, and how many must be known before a series speaks.
const (
	keptStrangeness = 512
	minStrangeness  = 200
)

func newJoint(cfg Config) *joint {
	j := &joint{cfg: cfg}
	j.series, _ = simplelru.NewLRU[engine.SeriesKey, *jointSeries](cfg.MaxCallSeries, nil) // its one error is a size that Validate refuses
	return j
}

func (j *joint) newSeries() *jointSeries {
	return &jointSeries{
		model: statistical.NewJoint(statistical.JointConfig{Dimensions: len(features), HalfLife: j.cfg.HalfLife, MinCount: 4 * j.cfg.MinSamples}),
		calm:  statistical.NewConformal(keptStrangeness, 1),
	}
}

func (j *joint) name() string { return "joint" }

func (j *joint) observe(span *engine.Span, closedUntil time.Time) {
	start := span.End.Truncate(j.cfg.Window)
	if !start.Add(j.cfg.Window).After(closedUntil) {
		return
	}
	c, ok := callOf(span)
	if !ok {
		return
	}
	key := span.Series()
	x, ok := j.series.Get(key)
	if !ok {
		x = j.newSeries()
		j.series.Add(key, x)
	}
	x.calls.add(start, c)
}

// advance learns from the windows that ended, and finds nothing: what a window shows, its traces do.
func (j *joint) advance(until time.Time) []engine.Finding {
	for _, x := range j.series.Values() {
		for _, w := range x.calls.due(until, j.cfg.Window) {
			j.learn(x, w)
		}
	}
	return nil
}

// learn takes in a window unless more of its calls than chance allows are strange. A strange call that is alone counts for how strange
// calm calls are, but the model does not learn from it.
func (j *joint) learn(x *jointSeries, w sample[call]) {
	learning, known := x.model.Learning(), x.known()
	looks := make([]look, len(w.Values))
	for i := range w.Values {
		looks[i] = look{call: &w.Values[i]}
		looks[i].at(x.model)
	}
	slices.SortStableFunc(looks, func(a, b look) int { return cmp.Compare(b.strangeness, a.strangeness) })
	odd := 0
	for known && odd < len(looks) && x.calm.UpperP(looks[odd].strangeness) < notLearnt {
		odd++
	}
	const few = 3
	strange := odd >= few && statistical.BinomialUpperP(odd, len(looks), notLearnt) < notLearnt
	if !learns(&x.strange, strange, w.Start.Add(j.cfg.Window), j.cfg.AdoptAfter) {
		return
	}
	for i := range looks {
		if !learning && !looks[i].beyond {
			x.calm.Add(looks[i].strangeness)
		}
		if strange || i >= odd {
			x.model.Add(w.Start, looks[i].call[:])
		}
	}
}

// known reports whether enough was seen to judge.
func (x *jointSeries) known() bool { return !x.model.Learning() && x.calm.Len() >= minStrangeness }

// extreme is how many of its own standard deviations a number may lie off. Farther out the relation of the numbers is not known, and the
// number is for the detector that watches it.
const extreme = 3

// look is how a call relates to what is normal: its strangeness is the largest deviation of a feature from what the others lead to
// expect.
type look struct {
	call        *call
	deviations  [len(features)]statistical.Deviation
	strangeness float64
	beyond      bool // some number is extreme by itself
}

func (l *look) at(model *statistical.Joint) {
	model.Deviations(l.call[:], l.deviations[:])
	for i, d := range l.deviations {
		if features[i].name != "" { // the hour helps to expect, it is no behaviour
			l.strangeness = max(l.strangeness, math.Abs(d.Sigmas))
			l.beyond = l.beyond || math.Abs(d.Alone) > extreme
		}
	}
}

// contributes reports whether a feature has part in a call's strangeness.
func (l *look) contributes(i int) bool {
	return features[i].name != "" && 2*math.Abs(l.deviations[i].Sigmas) >= l.strangeness
}

// lead is the feature that a finding is told as: of those that contribute, the one that lies farthest above what the others lead to
// expect by enough to matter; -1 when there is none, since less than expected harms nobody.
func (j *joint) lead(l *look) (best int, effect engine.Effect) {
	best = -1
	if l.beyond {
		return best, effect
	}
	for i := range features {
		if features[i].kind == "" || !l.contributes(i) || best >= 0 && l.deviations[i].Sigmas <= l.deviations[best].Sigmas {
			continue
		}
		f := &features[i]
		e := engine.Effect{Baseline: max(0, f.back(l.deviations[i].Expected)), Current: f.back(l.call[i]), Unit: f.unit}
		if e.Current >= j.cfg.JointRatio*e.Baseline && e.Current-e.Baseline >= f.excess(j.cfg) {
			best, effect = i, e
		}
	}
	return best, effect
}

// score says how improbable the combinations of a trace's calls are. Where none matters nothing is said: it must not dilute what
// others say.
func (j *joint) score(t *engine.Trace) []engine.Finding {
	f := engine.Finding{Detector: "joint", At: t.End(), TraceID: t.ID, P: 1}
	var ps []float64
	least := 1.0
	for n := range t.Spans {
		span := &t.Spans[n]
		c, ok := callOf(span)
		if !ok {
			continue
		}
		x, ok := j.series.Peek(span.Series())
		if !ok || !x.known() {
			f.Learning = true
			continue
		}
		l := look{call: &c}
		l.at(x.model)
		lead, effect := j.lead(&l)
		if lead < 0 {
			ps = append(ps, 1)
			continue
		}
		p := x.calm.UpperP(l.strangeness)
		ps = append(ps, p)
		if p < conspicuous && len(f.Spans) < maxTraces {
			f.Spans = append(f.Spans, span.SpanID)
		}
		if p < least {
			least = p
			f.Type, f.Effect, f.SpanID, f.Series, f.Material = features[lead].kind, effect, span.SpanID, span.Series(), true
			f.Raw, f.Reason = l.strangeness, l.reason(span.Name)
		}
	}
	f.Subject = ofService(t.Lead())
	if len(ps) > 0 {
		f.Learning, f.P = false, statistical.Cauchy(ps, nil)
	} else if f.Learning {
		f.Type = engine.LatencySpike // the first that it may become
	}
	if !f.Material && !f.Learning {
		return nil
	}
	return []engine.Finding{f}
}

// reason names the features that contribute most, each with what the others lead to expect.
func (l *look) reason(name string) string {
	var part []int
	for i := range features {
		if l.contributes(i) {
			part = append(part, i)
		}
	}
	slices.SortStableFunc(part, func(a, b int) int {
		return cmp.Compare(math.Abs(l.deviations[b].Sigmas), math.Abs(l.deviations[a].Sigmas))
	})
	const most = 3
	var words []string
	for _, i := range part[:min(len(part), most)] {
		f := &features[i]
		words = append(words, fmt.Sprintf("%s %s instead of %s", f.name, f.words(l.call[i]), f.words(l.deviations[i].Expected)))
	}
	return fmt.Sprintf("the numbers of %s do not go together: %s", name, strings.Join(words, ", "))
}

// words renders a value for a reader.
func (f *feature) words(x float64) string {
	x = max(0, f.back(x))
	switch f.unit {
	case "s":
		return seconds(x)
	case "tokens":
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.3g", x)
}

// jointState is what a snapshot holds of a series; a snapshot is a list of them, least recently used first.
type jointState struct {
	Key         engine.SeriesKey
	Model, Calm []byte
	Calls       samples[call]
	Strange     time.Time
}

// MarshalBinary returns what was learnt and the open windows.
func (j *joint) MarshalBinary() ([]byte, error) {
	out := make([]jointState, 0, j.series.Len())
	for _, key := range j.series.Keys() {
		x, _ := j.series.Peek(key)
		parts, err := write([]learner{x.model, x.calm})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		out = append(out, jointState{key, parts[0], parts[1], x.calls, x.strange})
	}
	var buf bytes.Buffer
	err := gob.NewEncoder(&buf).Encode(out)
	return buf.Bytes(), err
}

// UnmarshalBinary replaces what was learnt; what today's configuration has no room for is left out. On an error nothing changes.
func (j *joint) UnmarshalBinary(data []byte) error {
	var in []jointState
	if err := gob.NewDecoder(bytes.NewReader(data)).Decode(&in); err != nil {
		return err
	}
	restored := newJoint(j.cfg)
	for _, state := range in {
		x := j.newSeries()
		if err := read([][]byte{state.Model, state.Calm}, []learner{x.model, x.calm}); err != nil {
			return fmt.Errorf("%s: %w", state.Key, err)
		}
		if err := state.Calls.check(func(call) bool { return true }); err != nil {
			return fmt.Errorf("%s: %w", state.Key, err)
		}
		x.calls, x.strange = state.Calls, state.Strange
		restored.series.Add(state.Key, x)
	}
	*j = *restored
	return nil
}
