package agentruns

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
)

// judge is a pipeline whose verdicts are given.
type judge struct {
	verdict func(t engine.Trace) engine.Verdict
	learnt  map[string]bool // conversations
	closed  *int
}

func (j *judge) Learn(_ context.Context, spans []engine.Span) error {
	for _, s := range spans {
		j.learnt[s.Conversation] = true
	}
	return nil
}

func (j *judge) Score(_ context.Context, t engine.Trace) (engine.Verdict, error) {
	if j.learnt[t.Spans[0].Conversation] {
		return engine.Verdict{}, errors.New("was asked about a run that it had learnt")
	}
	return j.verdict(t), nil
}

func (j *judge) Save(context.Context) ([]byte, error) { return json.Marshal(j.learnt) }

func (j *judge) Close() error { *j.closed++; return nil }

// world counts the pipelines it makes.
type world struct {
	verdict         func(t engine.Trace) engine.Verdict
	fresh, restored int
	closed          int
	made            []*judge
	saved           []map[string]bool
}

func (w *world) parts() Parts {
	make1 := func() *judge {
		j := &judge{verdict: w.verdict, learnt: make(map[string]bool), closed: &w.closed}
		w.made = append(w.made, j)
		return j
	}
	return Parts{
		Fresh: func(context.Context) (Pipeline, error) { w.fresh++; return make1(), nil },
		Restore: func(_ context.Context, saved []byte) (Pipeline, error) {
			w.restored++
			var learnt map[string]bool
			err := json.Unmarshal(saved, &learnt)
			w.saved = append(w.saved, learnt)
			return make1(), err
		},
	}
}

// failures blames failed tool calls.
func failures(t engine.Trace) engine.Verdict {
	v := engine.Verdict{P: 1}
	for _, s := range t.Spans {
		if s.Failed {
			v.P, v.Anomalous = 1e-6, true
			v.Contributions = []engine.Contribution{{Finding: engine.Finding{Type: engine.ErrorRate, SpanID: s.SpanID}, Share: 1}}
		}
	}
	return v
}

// airline is a run of one agent that talks with a user.
func airline(id, task, outcome, failure string) run {
	return run{ID: id, Task: task, Source: "airline", Outcome: outcome, Steps: []step{
		{Agent: "customer", Kind: kindUser, Output: "please book a seat"},
		{Agent: "clerk", Kind: kindModel, Name: "m-1", Output: `[{"name":"book","arguments":"{\"seat\":1}"}]`},
		{Agent: "clerk", Kind: kindTool, Name: "book", Input: `{"seat":1}`, Output: "done", Error: failure},
		{Agent: "clerk", Kind: kindModel, Name: "m-1", Output: "booked"},
	}}
}

// team is a run of several agents; the writer is wrong at step 2, where its code fails.
func team(i int) run {
	wrong := 2
	return run{
		ID: fmt.Sprint("team-", i), Task: fmt.Sprint("puzzle ", i), Source: "team", Outcome: failed, MistakeStep: &wrong, MistakeAgent: "writer",
		Steps: []step{
			{Agent: "planner", Kind: kindModel, Name: "planner", Output: "the plan"},
			{Agent: "planner", Kind: kindModel, Name: "planner", Output: "the rest of the plan"},
			{Agent: "writer", Kind: kindTool, Name: "writer", Output: "exitcode: 1 (execution failed)\nnothing"},
			{Agent: "planner", Kind: kindModel, Name: "planner", Output: "DONE"},
		},
	}
}

// dataset has of each of n tasks a passed and a failed run, and n runs of a team.
func dataset(n int) []run {
	var out []run
	for i := range n {
		task := fmt.Sprint("trip ", i)
		out = append(out,
			airline(fmt.Sprint("p-", i), task, passed, ""), airline(fmt.Sprint("f-", i), task, failed, "no seats"), team(i))
	}
	return out
}

func write(t *testing.T, all []run, lines ...string) string {
	t.Helper()
	for _, r := range all {
		one, err := json.Marshal(r)
		require.NoError(t, err)
		lines = append(lines, string(one))
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "agent_runs.jsonl.gz"), []byte(strings.Join(lines, "\n")), 0o600))
	return dir
}

func options(dir string) evals.Options {
	return evals.Options{Data: dir, Seed: 1, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Progress: func(string, int, int, string) {}}
}

func measured(t *testing.T, parts Parts, opt evals.Options) evals.Report {
	t.Helper()
	report, err := evals.Run(t.Context(), []evals.Suite{New(parts)}, opt)
	require.NoError(t, err)
	return report
}

func TestCrossValidation(t *testing.T) {
	w := &world{verdict: failures}
	report := measured(t, w.parts(), options(write(t, dataset(20))))
	require.Equal(t, 2*folds, w.fresh)
	require.Equal(t, w.fresh, w.closed)
	for i, j := range w.made {
		require.Len(t, j.learnt, 16, "four of five folds; the fake refuses runs that it has learnt")
		for id := range j.learnt {
			if i < folds {
				require.Contains(t, id, "p-", "only passed runs are normal")
			} else {
				require.Contains(t, id, "team-", "each system is learnt alone")
			}
		}
	}
	require.Empty(t, report.Unavailable)
	metrics := report.Suites["agent-runs"]
	require.Len(t, metrics, 3)

	outcome := metrics[outcomeAUROC]
	require.Equal(t, 1.0, outcome.Value)
	require.Equal(t, 40, outcome.N)
	require.Equal(t, 0.5, outcome.Baselines[runLength], "all runs have one length")
	require.Equal(t, evals.Interval{Value: 0.5, Low: 0.5, High: 0.5}, outcome.Gains[runLength])
	require.Equal(t, [][]int{{20, 0}, {0, 20}}, report.Results[0].Confusions[0].Counts)

	steps := metrics[stepAccuracy]
	require.Equal(t, 1.0, steps.Value)
	require.Equal(t, map[string]float64{alwaysStep1: 0, firstStep: 0}, steps.Baselines)
	agents := metrics[agentAccuracy]
	require.Equal(t, 1.0, agents.Value)
	require.Equal(t, map[string]float64{mostFrequentAgent: 0, alwaysStep1: 0, firstStep: 0}, agents.Baselines)
	require.Equal(t, 1.0, agents.Gains[mostFrequentAgent].Value)
}

func table(t *testing.T, report evals.Report, title string) evals.Table {
	t.Helper()
	for _, x := range report.Results[0].Tables {
		if x.Title == title {
			return x
		}
	}
	require.Fail(t, "no table", title)
	return evals.Table{}
}

func TestVerdictsThatBlameNoStepAreWrong(t *testing.T) {
	w := &world{verdict: func(t engine.Trace) engine.Verdict {
		return engine.Verdict{P: 1e-3, Contributions: []engine.Contribution{
			{Finding: engine.Finding{Type: engine.LatencySpike, SpanID: rootSpan}, Share: 0.9}, {Finding: engine.Finding{Type: engine.Traffic}, Share: 0.1},
		}}
	}}
	report := measured(t, w.parts(), options(write(t, dataset(10))))
	require.Zero(t, report.Suites["agent-runs"][stepAccuracy].Value)
	require.Zero(t, report.Suites["agent-runs"][agentAccuracy].Value)
	require.Equal(t, 0.5, report.Suites["agent-runs"][outcomeAUROC].Value)
	rows := table(t, report, "Which step and agent made the run fail").Rows
	require.Equal(t, []string{"engine", "0.000 (0.000 to 0.000)", "0.000 (0.000 to 0.000)", "0.000 (0.000 to 0.000)", "1.000 (1.000 to 1.000)"}, rows[0])
	require.Equal(t, alwaysStep1, rows[1][0])
	require.Equal(t, "1.000 (1.000 to 1.000)", rows[1][2], "step 1 is next to the mistake")
	require.Equal(t, [][]string{{"none", "10", "0", "0"}}, table(t, report, "Runs by the anomaly type that blames a step").Rows)
}

func TestJudgeTakesTheLargestContributionThatPointsAtAStep(t *testing.T) {
	r := team(0)
	contribution := func(kind engine.AnomalyType, id engine.SpanID, share float64) engine.Contribution {
		return engine.Contribution{Finding: engine.Finding{Type: kind, SpanID: id}, Share: share}
	}
	v := engine.Verdict{P: 0.01, Anomalous: true, Contributions: []engine.Contribution{
		contribution(engine.LatencySpike, rootSpan, 0.5), contribution(engine.TokenAbuse, stepSpan(3), 0.2),
		contribution(engine.ErrorRate, stepSpan(2), 0.3), contribution(engine.Jailbreak, stepSpan(99), 1), contribution(engine.Traffic, engine.SpanID{}, 1),
	}}
	require.Equal(t, judgement{P: 0.01, Anomalous: true, Step: 2, Type: engine.ErrorRate}, r.judge(v))
	require.InDelta(t, 2, r.judge(v).anomaly(), 1e-12)

	v.Contributions = []engine.Contribution{contribution(engine.ErrorRate, stepSpan(0), 0)}
	require.Equal(t, none, r.judge(v).Step, "what has no share blames nothing")
}

func TestFrozenLearnsNothing(t *testing.T) {
	w := &world{verdict: failures}
	model, _, err := evals.Fit(t.Context(), []evals.Suite{New(w.parts())}, options(write(t, dataset(6))))
	require.NoError(t, err)
	require.Equal(t, 2, w.fresh)
	require.Equal(t, 2, w.closed)

	w.fresh, w.made = 0, nil
	opt := options(write(t, dataset(4)))
	opt.Model = &model
	report := measured(t, w.parts(), opt)
	require.Zero(t, w.fresh)
	require.Equal(t, 2, w.restored)
	require.Len(t, w.saved[0], 6, "the passed runs")
	require.Len(t, w.saved[1], 6, "the runs of the team")
	for _, j := range w.made {
		require.Empty(t, j.learnt)
	}
	require.Equal(t, 1.0, report.Suites["agent-runs"][outcomeAUROC].Value)
	require.Equal(t, 8, report.Suites["agent-runs"][outcomeAUROC].N)
	require.Contains(t, report.Results[0].Notes[0], "frozen")
	require.NotContains(t, report.Results[0].Notes, evals.Flattered)

	same := options(write(t, dataset(6)))
	same.Model = &model
	require.Contains(t, measured(t, w.parts(), same).Results[0].Notes, evals.Flattered)
}

func TestModelThatLacksAHalf(t *testing.T) {
	w := &world{verdict: failures}
	model, _, err := evals.Fit(t.Context(), []evals.Suite{New(w.parts())}, options(write(t, []run{team(1), team(2)})))
	require.NoError(t, err)
	opt := options(write(t, dataset(4)))
	opt.Model = &model
	report := measured(t, w.parts(), opt)
	require.Contains(t, report.Unavailable["agent-runs."+outcomeAUROC], "fitted without")
	require.Equal(t, 1.0, report.Suites["agent-runs"][stepAccuracy].Value)
}

func TestWithoutPipelineTheBaselinesAreShown(t *testing.T) {
	opt := options(write(t, dataset(8)))
	report := measured(t, Parts{}, opt)
	require.Empty(t, report.Suites["agent-runs"])
	require.Len(t, report.Unavailable, 3)
	require.Equal(t, [][]string{{runLength, "0.500 (0.500 to 0.500)"}}, table(t, report, "AUROC of the outcome").Rows)
	require.Len(t, table(t, report, "Which step and agent made the run fail").Rows, 3)
	_, _, err := evals.Fit(t.Context(), []evals.Suite{New(Parts{})}, opt)
	require.ErrorIs(t, err, evals.ErrUnavailable)
}

func TestMalformedLines(t *testing.T) {
	opt := options(write(t, dataset(5), "[]",
		`{"id":"x","task":"t","outcome":"lost","steps":[{"kind":"llm"}]}`,
		`{"id":"x","task":"t","outcome":"fail","steps":[{"kind":"llm"}],"mistake_step":1,"mistake_agent":"a"}`,
		`{"id":"x","task":"t","outcome":"fail","steps":[{"kind":"thought"}]}`,
		`{"id":"x","task":"t","outcome":"fail","steps":[]}`,
		`{"id":"x","task":"t","outcome":"fail","steps":[`+strings.Repeat(`{"kind":"llm"},`, maxSteps)+`{"kind":"llm"}]}`))
	report := measured(t, (&world{verdict: failures}).parts(), opt)
	require.Len(t, report.Skipped, 6)
	for i, field := range []string{"", "outcome", "mistake_step", "steps[0].kind", "steps", "more than 2000"} {
		require.Equal(t, i+1, report.Skipped[i].Line)
		require.Contains(t, report.Skipped[i].Reason, field)
	}
	require.Equal(t, 5, report.Suites["agent-runs"][stepAccuracy].N)
	opt.Strict = true
	_, err := evals.Run(t.Context(), []evals.Suite{New(Parts{})}, opt)
	require.ErrorContains(t, err, "agent_runs.jsonl.gz:1")
}

func TestDataThatCannotBeMeasured(t *testing.T) {
	report := measured(t, Parts{}, options(t.TempDir()))
	require.Contains(t, report.Unavailable["agent-runs"], "there is no")
	w := &world{verdict: failures}
	report = measured(t, w.parts(), options(write(t, []run{airline("a", "t", passed, "")})))
	require.Contains(t, report.Unavailable["agent-runs."+outcomeAUROC], "both")
	require.Contains(t, report.Unavailable["agent-runs."+agentAccuracy], "no such")
}

func TestRunsAreRepeatableAndResume(t *testing.T) {
	opt := options(write(t, dataset(10)))
	opt.Steps = t.TempDir()
	w := &world{verdict: failures}
	first := measured(t, w.parts(), opt)
	made := w.fresh
	again := measured(t, w.parts(), opt)
	require.Equal(t, made, w.fresh, "nothing is done twice")
	opt.Steps = ""
	anew := measured(t, w.parts(), opt)
	require.Equal(t, first.Results, again.Results)
	require.Equal(t, first.Results, anew.Results)
}

func TestErrorsOfThePipelineEndTheRun(t *testing.T) {
	broken := errors.New("broken")
	parts := Parts{Fresh: func(context.Context) (Pipeline, error) { return nil, broken }}
	opt := options(write(t, dataset(5)))
	_, err := evals.Run(t.Context(), []evals.Suite{New(parts)}, opt)
	require.ErrorIs(t, err, broken)
	_, _, err = evals.Fit(t.Context(), []evals.Suite{New(parts)}, opt)
	require.ErrorIs(t, err, broken)
}

func TestTraceOfOneAgent(t *testing.T) {
	r := airline("a", "the user's secret wish", failed, "no seats")
	trace := r.trace(evals.JudgedAt)
	require.Len(t, trace.Spans, 4, "what a user says has no span")
	root := trace.Lead()
	require.Equal(t, engine.OpInvokeAgent, root.Operation)
	require.Equal(t, "clerk", root.Agent.Name)
	require.Equal(t, 4*stepTime, root.Duration())

	first, tool, last := trace.Spans[1], trace.Spans[2], trace.Spans[3]
	require.Equal(t, "chat m-1", first.Name)
	require.Equal(t, "m-1", first.Model)
	require.Len(t, first.Input, 1)
	require.Equal(t, "please book a seat", first.Input[0].Text(), "the task is not shown to the agent")
	require.Equal(t, engine.Part{Kind: engine.PartToolCall, Name: "book", Text: `{"seat":1}`}, first.Output[0].Parts[0])
	require.Equal(t, engine.OpExecuteTool, tool.Operation)
	require.Equal(t, `{"seat":1}`, tool.Tool.Arguments)
	require.True(t, tool.Failed)
	require.Equal(t, "no seats", tool.ErrorMessage)
	require.Len(t, last.Input, 3, "the conversation so far")
	require.Equal(t, "booked", last.Output[0].Text())

	at, ok := r.stepOf(tool.SpanID)
	require.True(t, ok)
	require.Equal(t, 2, at)
	_, ok = r.stepOf(root.SpanID)
	require.False(t, ok)
}

func TestTraceOfSeveralAgents(t *testing.T) {
	r := team(1)
	r.Steps[3].Agent = "checker"
	trace := r.trace(evals.JudgedAt)
	require.Len(t, trace.Spans, 5)
	require.Equal(t, engine.OpInvokeWorkflow, trace.Lead().Operation)
	require.Empty(t, trace.Lead().Agent.Name)
	require.Equal(t, "puzzle 1", trace.Spans[1].Input[0].Text(), "the task was typed in")
	require.Empty(t, trace.Spans[1].Model, "the name of an agent is no model")
	require.True(t, trace.Spans[3].Failed, "code that exits with an error has failed")
	require.Equal(t, "exitcode: 1 (execution failed)", trace.Spans[3].ErrorMessage)
	require.Empty(t, step{Kind: kindTool, Output: "exitcode: 0 (execution succeeded)"}.failure())
	require.Empty(t, step{Kind: kindModel, Output: "exitcode: 1"}.failure())
}

func TestMostFrequentAgent(t *testing.T) {
	r := run{Steps: []step{
		{Agent: "terminal", Kind: kindTool}, {Agent: "a", Kind: kindModel}, {Agent: "terminal", Kind: kindTool}, {Agent: "b", Kind: kindModel},
		{Agent: "terminal", Kind: kindTool}, {Agent: "b", Kind: kindModel}, {Agent: "a", Kind: kindModel},
	}}
	require.Equal(t, "a", r.mostFrequent(), "tools are no agents, the first to speak wins")
	require.Empty(t, run{}.mostFrequent())
}

// TestSharedData checks the loader and the baselines on the development data, whose README names their figures.
func TestSharedData(t *testing.T) {
	const dir = "../../../shared/data/dev"
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("SENTINEL_REQUIRE_STACK") == "1" {
			t.Fatal(err)
		}
		t.Skip("no shared data")
	}
	report := measured(t, Parts{}, options(dir))
	require.Empty(t, report.Skipped)
	rows := table(t, report, "Which step and agent made the run fail").Rows
	require.True(t, strings.HasPrefix(rows[0][1], "0.270 "), "always step 1: %v", rows[0])
	require.True(t, strings.HasPrefix(rows[2][3], "0.540 "), "the most frequent agent: %v", rows[2])
}

func FuzzRun(f *testing.F) {
	for _, r := range dataset(1) {
		line, err := json.Marshal(r)
		require.NoError(f, err)
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var r run
		if json.Unmarshal(line, &r) != nil || r.check() != nil {
			return
		}
		trace := r.trace(evals.JudgedAt)
		require.NotEmpty(t, trace.Spans)
		for i := range trace.Spans {
			at, ok := r.stepOf(trace.Spans[i].SpanID)
			require.Equal(t, i != 0, ok)
			require.Less(t, at, len(r.Steps))
		}
		r.mostFrequent()
	})
}
