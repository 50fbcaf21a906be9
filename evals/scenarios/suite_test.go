package scenarios

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
	"github.com/llm-sentinel/llm-sentinel/evals/scenario"
)

func minutes(n int) time.Time { return start.Add(time.Duration(n) * time.Minute) }

func incident(id string, kind engine.AnomalyType, subject engine.Subject, from, to, told int, causes ...engine.Subject) engine.Incident {
	in := engine.Incident{
		ID: id, Type: kind, Subject: subject, Onset: minutes(from), LastSeen: minutes(to), Services: []string{"care-desk"},
		Timeline: []engine.TimelineEntry{{At: minutes(told), Event: "raised"}, {At: minutes(to), Event: "resolved"}},
	}
	if len(causes) > 0 {
		in.Explanation = &engine.Explanation{}
		for _, c := range causes {
			in.Explanation.Hypotheses = append(in.Explanation.Hypotheses, engine.Hypothesis{Cause: c})
		}
	}
	return in
}

// ones is a day with four incidents, of which three are found, and a control with a false alarm.
func ones() ([]Day, []Played) {
	truth := func(id string, kind scenario.Kind, subject string, cause scenario.Cause, from, to int) scenario.Truth {
		return scenario.Truth{ID: id, Type: string(kind), Subject: subject, Cause: cause, Services: []string{"care-desk"}, Onset: minutes(from), End: minutes(to)}
	}
	version, user := engine.Subject{Kind: "model_version", Value: "v2"}, engine.Subject{Kind: "user", Value: "u-1"}
	key, service := engine.Subject{Kind: "api_key", Value: "k-1"}, engine.Subject{Kind: "service", Value: "care-desk"}
	days := Days(1, 3)[1:]
	days[0].Config.Duration, days[1].Config.Duration = 24*time.Hour, 12*time.Hour
	return days, []Played{
		{
			Truths: []scenario.Truth{
				truth("t1", scenario.LatencySpike, "care-desk", scenario.Cause{Kind: "model_version", Subject: "v2"}, 600, 660),
				truth("t2", scenario.TokenAbuse, "u-1", scenario.Cause{Kind: "user", Subject: "u-1"}, 700, 760),
				truth("t3", scenario.Jailbreak, "k-1", scenario.Cause{Kind: "api_key", Subject: "k-1"}, 800, 860),
				truth("t4", scenario.ErrorRate, "boreal", scenario.Cause{Kind: "provider", Subject: "boreal"}, 1000, 1060),
			},
			Incidents: []engine.Incident{
				incident("a", engine.LatencySpike, service, 600, 655, 610, version),
				incident("b", engine.TokenAbuse, user, 700, 755, 730, service, user),
				incident("c", engine.SemanticNovelty, service, 805, 850, 830, service), // the wrong word for t3
			},
			Alarms: []alarm{{Metric: "latency p95", At: minutes(605), Found: scenario.Found{
				Type: "latency_spike", Subject: "care-desk", CauseKind: "service", CauseSubject: "care-desk", Start: minutes(600), End: minutes(605)}}},
		},
		{Incidents: []engine.Incident{incident("d", engine.Traffic, key, 300, 330, 320)}},
	}
}

func measured(days []Day, played []Played) report {
	product, thresholds := judge(days, played)
	r := report{Result: evals.NewResult("scenarios"), seed: 1, window: 5 * time.Minute, days: days, product: product, thresholds: thresholds}
	r.notes()
	r.metrics()
	r.tables()
	r.delays()
	r.confusion()
	return r
}

func TestMetricsOfKnownOutcome(t *testing.T) {
	r := measured(ones())
	require.Equal(t, 0.5, r.Metrics["recall"].Value)
	require.Equal(t, 4, r.Metrics["recall"].N)
	require.Equal(t, 0.25, r.Metrics["recall"].Baselines["threshold"])
	require.Equal(t, 0.25, r.Metrics["recall"].Gains["threshold"].Value)

	require.InDelta(t, 2/1.5, r.Metrics["false_per_day"].Value, 1e-9, "a day and a half with two false ones")
	require.True(t, r.Metrics["false_per_day"].Lower)
	require.Equal(t, 0.0, r.Metrics["false_per_day"].Baselines["threshold"])

	require.Equal(t, 4.0, r.Metrics["median_delay_windows"].Value, "10 and 30 minutes")
	require.Equal(t, 1.0, r.Metrics["median_delay_windows"].Baselines["threshold"])
	require.Equal(t, 0.5, r.Metrics["cause.top1"].Value)
	require.Equal(t, 1.0, r.Metrics["cause.top3"].Value)
	require.Equal(t, map[string]float64{"subject": 0.5, "threshold": 0}, r.Metrics["cause.top1"].Baselines)
	require.Empty(t, r.Unavailable)

	cell := func(row, column string) int {
		c := r.Confusions[0]
		return c.Counts[slices.Index(c.Rows, row)][slices.Index(c.Columns, column)]
	}
	require.Equal(t, 1, cell("latency_spike", "latency_spike"))
	require.Equal(t, 1, cell("jailbreak", "semantic_novelty"))
	require.Equal(t, 1, cell("error_rate", "missed"))
	require.Equal(t, 1, cell("no incident", "traffic"))
	require.Equal(t, 0, cell("no incident", "semantic_novelty"), "it is counted where it stands in")

	ours := r.Charts[0].Curves[0]
	require.Equal(t, []float64{0, 2, 6}, ours.X)
	require.Equal(t, []float64{0, 0.25, 0.5}, ours.Y)
	require.Contains(t, r.Tables[len(r.Tables)-1].Rows, []string{days(r)[0], "missed", "error_rate", "boreal", "Tue 14:40", "Tue 15:40", ""})
}

func days(r report) (out []string) {
	for _, d := range r.days {
		out = append(out, d.Name())
	}
	return out
}

// Nothing found is a recall of zero, and no figure is made up for what then cannot be measured.
func TestNothingFound(t *testing.T) {
	days, played := ones()
	for i := range played {
		played[i].Incidents, played[i].Alarms = nil, nil
	}
	r := measured(days, played)
	require.Zero(t, r.Metrics["recall"].Value)
	require.Zero(t, r.Metrics["false_per_day"].Value)
	for _, name := range []string{"median_delay_windows", "cause.top1", "cause.top3"} {
		require.NotContains(t, r.Metrics, name)
		require.Equal(t, "no incident was found", r.Unavailable[name])
	}
}

func TestFound(t *testing.T) {
	cause := engine.Subject{Kind: "user", Value: "u-1"}
	in := incident("a", engine.TokenAbuse, cause, 10, 50, 20, cause)
	require.Equal(t, scenario.Found{ID: "a", Type: "token_abuse", Subject: "u-1", CauseKind: "user", CauseSubject: "u-1", Start: minutes(10), End: minutes(50)}, Found(in))
	in.Explanation = nil
	require.Empty(t, Found(in).CauseKind)

	in.Timeline = append(in.Timeline, engine.TimelineEntry{At: minutes(90), Event: "raised again"})
	require.Equal(t, minutes(20), raised(in, minutes(10)))
	require.Equal(t, minutes(90), raised(in, minutes(60)), "what was told long before does not count for what came back")
	require.Equal(t, minutes(95), raised(in, minutes(95)), "it was open already")
}

// fake is a pipeline that counts what it is given.
type fake struct {
	batches, markers, spans int
	fail                    error
	closed                  bool
}

func (f *fake) Play(_ context.Context, batches iter.Seq2[engine.Batch, error]) error {
	for b, err := range batches {
		if err != nil {
			return err
		}
		f.batches++
		f.markers += len(b.Markers)
		f.spans += len(b.Spans)
	}
	return f.fail
}

func (f *fake) Incidents(context.Context) ([]engine.Incident, error) {
	return []engine.Incident{incident("a", engine.Traffic, engine.Subject{Kind: "service", Value: "care-desk"}, 1, 2, 2)}, nil
}

func (f *fake) Close() error { f.closed = true; return nil }

// pipelines opens fakes and remembers them.
type pipelines struct {
	mu     sync.Mutex
	opened []*fake
	fail   error
}

func (p *pipelines) open(context.Context) (Pipeline, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := &fake{fail: p.fail}
	p.opened = append(p.opened, f)
	return f, nil
}

func decode(at time.Time, traces ptrace.Traces, _ plog.Logs) engine.Batch {
	return engine.Batch{Spans: make([]engine.Span, traces.SpanCount())}
}

func environment(dir string) evals.Env {
	var mu sync.Mutex
	last := 0
	return evals.Env{Seed: 3, Log: slog.New(slog.DiscardHandler), Steps: evals.NewSteps(dir), Progress: func(done, _ int, _ string) {
		mu.Lock()
		defer mu.Unlock()
		if done <= last && done != 1 {
			panic("progress goes back")
		}
		last = done
	}}
}

// A day is long, so it is played once: in a process, and over an interruption.
func TestRunnerPlaysEachDayOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "steps")
	var p pipelines
	runner, err := NewRunner(Parts{Open: p.open, Decode: decode, Window: 5 * time.Minute, Days: 3})
	require.NoError(t, err)
	env := environment(dir)
	days, played, err := runner.Play(t.Context(), env)
	require.NoError(t, err)
	require.Len(t, p.opened, 3)
	for i, f := range p.opened {
		require.True(t, f.closed)
		require.Greater(t, f.spans, 40_000, "pipeline %d", i)
		require.Positive(t, f.markers)
	}
	for i, d := range days {
		s, err := scenario.New(d.Config)
		require.NoError(t, err)
		require.Len(t, played[i].Truths, len(s.Truth()))
	}

	_, again, err := runner.Play(t.Context(), env)
	require.NoError(t, err)
	require.Equal(t, played, again)
	require.Len(t, p.opened, 3)

	resumed, err := NewRunner(Parts{Open: p.open, Decode: decode, Window: 5 * time.Minute, Days: 3})
	require.NoError(t, err)
	s, err := New(resumed)
	require.NoError(t, err)
	require.Equal(t, "scenarios", s.Name())
	result, err := s.Run(t.Context(), env, nil)
	require.NoError(t, err)
	require.Len(t, p.opened, 3)
	require.Zero(t, result.Metrics["recall"].Value)
	require.Equal(t, 1.0, result.Metrics["false_per_day"].Value)

	frozen, err := s.Fit(t.Context(), env)
	require.NoError(t, err)
	require.Nil(t, frozen)
}

func TestRunnerNamesTheDayThatFailed(t *testing.T) {
	p := pipelines{fail: errors.New("out of disk")}
	runner, err := NewRunner(Parts{Open: p.open, Decode: decode, Window: 5 * time.Minute, Days: 1})
	require.NoError(t, err)
	_, _, err = runner.Play(t.Context(), environment(""))
	require.ErrorContains(t, err, "seed 1003000, usual")
	require.ErrorContains(t, err, "out of disk")
	require.True(t, p.opened[0].closed)
}

func TestUnavailableWithoutPipeline(t *testing.T) {
	runner, err := NewRunner(Parts{Window: time.Minute})
	require.NoError(t, err)
	s, err := New(runner)
	require.NoError(t, err)
	_, err = s.Run(t.Context(), environment(""), nil)
	require.ErrorIs(t, err, evals.ErrUnavailable)
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	var p pipelines
	for want, parts := range map[string]Parts{
		"no decoder": {Open: p.open, Window: time.Minute},
		"days":       {Open: p.open, Decode: decode, Window: time.Minute, Days: -1},
		"window":     {Open: p.open, Decode: decode},
	} {
		_, err := NewRunner(parts)
		require.ErrorContains(t, err, want)
	}
	_, err := New(nil)
	require.ErrorContains(t, err, "no runner")
}
