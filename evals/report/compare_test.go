package report

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/evals"
)

func one(m evals.Metric) evals.Report {
	return evals.Report{Suites: map[string]map[string]evals.Metric{"s": {"m": m}}}
}

func TestCompareFindsFallsBeyondTheInterval(t *testing.T) {
	high := evals.Metric{Value: 0.9, Low: 0.85, High: 0.95}
	low := evals.Metric{Value: 0.1, Low: 0.05, High: 0.15, Lower: true}
	fast := evals.Metric{Value: 10, Low: 9, High: 11, Unit: "ms", Lower: true, Speed: true}
	at := func(m evals.Metric, value float64) evals.Report {
		m.Value, m.Low, m.High = value, value, value
		return one(m)
	}
	for name, test := range map[string]struct {
		old, now evals.Report
		want     string // "" when nothing fell
		passes   bool
	}{
		"unchanged":                  {old: one(high), now: one(high)},
		"worse, within the interval": {old: one(high), now: at(high, 0.85)},
		"worse, beyond the interval": {
			old: one(high), now: at(high, 0.849), want: "s.m: was 0.900, 95 % interval 0.850 to 0.950, is 0.849",
		},
		"better": {old: one(high), now: at(high, 1)},
		"lower is better, higher within the interval": {old: one(low), now: at(low, 0.15)},
		"lower is better, higher beyond it": {
			old: one(low), now: at(low, 0.16), want: "s.m: was 0.100, 95 % interval 0.050 to 0.150, is 0.160",
		},
		"lower is better, lower": {old: one(low), now: at(low, 0)},
		"the direction changed":  {old: one(low), now: at(high, 0.9), want: "s.m: was 0.100, 95 % interval 0.050 to 0.150, is 0.900"},
		"slower": {
			old: one(fast), now: at(fast, 20), passes: true,
			want: "s.m: was 10.00 ms, 95 % interval 9.000 to 11.00, is 20.00 ms (a matter of the machine)",
		},
		"missing": {old: one(high), want: "s.m: was 0.900, 95 % interval 0.850 to 0.950, is missing: it was not measured"},
		"unavailable": {
			old: one(high), now: evals.Report{Unavailable: map[string]string{"s.m": "no such detector"}},
			want: "s.m: was 0.900, 95 % interval 0.850 to 0.950, is missing: no such detector",
		},
		"suite unavailable": {
			old: one(high), now: evals.Report{Unavailable: map[string]string{"s": "no data"}},
			want: "s.m: was 0.900, 95 % interval 0.850 to 0.950, is missing: no data",
		},
		"new": {now: one(high)},
	} {
		t.Run(name, func(t *testing.T) {
			falls := Compare(test.old, test.now)
			if test.want == "" {
				require.Empty(t, falls)
				return
			}
			require.Len(t, falls, 1)
			require.Equal(t, test.want, falls[0].String())
			require.Equal(t, !test.passes, falls[0].Fails())
			if test.passes {
				require.Empty(t, Failures(test.now, falls))
			} else {
				require.Equal(t, []string{test.want}, Failures(test.now, falls))
			}
		})
	}
}

func TestFallsAreInOrder(t *testing.T) {
	old := evals.Report{Suites: map[string]map[string]evals.Metric{"b": {"y": {}, "x": {}}, "a": {"z": {}}}}
	var got []string
	for _, f := range Compare(old, evals.Report{}) {
		got = append(got, f.Suite+"."+f.Metric)
	}
	require.Equal(t, []string{"a.z", "b.x", "b.y"}, got)
}

func TestAnUnmetRequirementFailsTheRun(t *testing.T) {
	bound := 0.5
	for name, test := range map[string]struct {
		metric evals.Metric
		want   []string
	}{
		"nothing required": {metric: evals.Metric{Value: 0.1}},
		"met exactly":      {metric: evals.Metric{Value: 0.5, Required: &bound}},
		"below":            {metric: evals.Metric{Value: 0.4, Required: &bound}, want: []string{"s.m: is 0.400, required is at least 0.500"}},
		"lower is better":  {metric: evals.Metric{Value: 0.4, Lower: true, Required: &bound}},
		"above where lower is better": {
			metric: evals.Metric{Value: 0.6, Lower: true, Required: &bound}, want: []string{"s.m: is 0.600, required is at most 0.500"},
		},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, test.want, Failures(one(test.metric), nil)) })
	}
}

func TestStandingAgainstTheBestBaseline(t *testing.T) {
	base := map[string]float64{"a": 0.7, "b": 0.8}
	for name, test := range map[string]struct {
		metric evals.Metric
		want   standing
	}{
		"no baseline":         {metric: evals.Metric{Value: 1, Low: 1, High: 1}},
		"above":               {metric: evals.Metric{Value: 0.9, Low: 0.85, High: 0.95, Baselines: base}, want: better},
		"around":              {metric: evals.Metric{Value: 0.8, Low: 0.75, High: 0.85, Baselines: base}, want: unclear},
		"below":               {metric: evals.Metric{Value: 0.6, Low: 0.5, High: 0.65, Baselines: base}, want: worse},
		"lower is better":     {metric: evals.Metric{Value: 0.6, Low: 0.5, High: 0.65, Lower: true, Baselines: base}, want: better},
		"lower, but not less": {metric: evals.Metric{Value: 0.9, Low: 0.85, High: 0.95, Lower: true, Baselines: base}, want: worse},
		"the paired gain is sharper": {
			metric: evals.Metric{Value: 0.85, Low: 0.75, High: 0.95, Baselines: base, Gains: map[string]evals.Interval{"b": {Low: 0.02, High: 0.08}}},
			want:   better,
		},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, test.want, stand(test.metric)) })
	}
}
