package traces

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/evals"
)

// midnight is when the days of the tests begin.
var midnight = time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)

func at(minutes float64) time.Time {
	return midnight.Add(time.Duration(minutes * float64(time.Minute)))
}

// row is one span as the files have it, in a trace of its own.
func row(service string, minutes float64, took time.Duration) string {
	start := at(minutes).UnixNano()
	id := hex.EncodeToString(fmt.Appendf(nil, "%-8.8s%08x", service, uint32(minutes*1e4)))
	return fmt.Sprintf("%s,%s,root,%s-6f6c-h5m2n,GET /,%d,%d", id, id[16:], service, start, took.Microseconds())
}

// folderOf writes a day into a data folder.
func folderOf(t *testing.T, history, stream []string, faults string) string {
	t.Helper()
	data := t.TempDir()
	addDay(t, data, "2024-05-01", history, stream, faults)
	return data
}

func addDay(t *testing.T, data, name string, history, stream []string, faults string) {
	t.Helper()
	dir := filepath.Join(data, folder, name)
	require.NoError(t, os.MkdirAll(dir, 0o755))
	for file, rows := range map[string][]string{"normal_spans.csv.gz": history, "spans.csv.gz": stream} {
		var text bytes.Buffer
		z := gzip.NewWriter(&text)
		_, err := z.Write([]byte(columns + "\n" + strings.Join(rows, "\n") + "\n"))
		require.NoError(t, err)
		require.NoError(t, z.Close())
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), text.Bytes(), 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "faults.json"), []byte(faults), 0o600))
}

func faultAt(minutes float64, service, kind string) string {
	return fmt.Sprintf(`{"time": %q, "pod": "%s-6f6c-h5m2n", "type": %q}`, at(minutes).Format(time.RFC3339), service, kind)
}

// twoFaults is a day of two stretches of six minutes, each with a fault of the service pay after two of them. The first makes pay
// slow, the second shows in nothing.
func twoFaults(t *testing.T) string {
	var history, stream []string
	for i := range 20 {
		usual := 10*time.Millisecond + time.Duration(i%5)*time.Millisecond
		history = append(history, row("pay", 3+float64(i)/100, usual), row("shop", 3+float64(i)/100, usual))
	}
	for _, start := range []float64{100, 200} {
		for i := range 12 {
			minute := start + float64(i)/2
			took := 12 * time.Millisecond
			if start == 100 && i >= 4 && i < 10 {
				took = time.Second
			}
			stream = append(stream, row("pay", minute, took), row("shop", minute, 12*time.Millisecond), row("shop", minute+0.1, 12*time.Millisecond))
		}
	}
	return folderOf(t, history, stream, "["+faultAt(102, "pay", "slow")+",\n"+faultAt(202, "pay", "silent")+"]")
}

// fake remembers what it was played and gives the anomalies it was made with.
type fake struct {
	played    []engine.Span
	anomalies []engine.Anomaly
	incidents []engine.Incident
	closed    bool
}

func (f *fake) Play(_ context.Context, batches iter.Seq2[engine.Batch, error]) error {
	for b, err := range batches {
		if err != nil {
			return err
		}
		f.played = append(f.played, b.Spans...)
	}
	return nil
}
func (f *fake) Incidents(context.Context) ([]engine.Incident, error) { return f.incidents, nil }
func (f *fake) Anomalies(context.Context) ([]engine.Anomaly, error)  { return f.anomalies, nil }
func (f *fake) Close() error                                         { f.closed = true; return nil }

func (f *fake) parts() Parts {
	return Parts{Open: func(context.Context) (Pipeline, error) { return f, nil }}
}

func anomaly(minutes float64, long time.Duration, service string, score float64) engine.Anomaly {
	return engine.Anomaly{At: at(minutes), Window: long, Series: engine.SeriesKey{Service: service}, Score: score}
}

func run(t *testing.T, data string, parts Parts, frozen json.RawMessage) (evals.Result, []string) {
	t.Helper()
	var skipped []string
	env := evals.Env{
		Data: data, Seed: 1, Log: slog.New(slog.DiscardHandler), Steps: evals.NewSteps(""), Progress: func(int, int, string) {},
		Skip: func(file string, line int, reason error) error {
			skipped = append(skipped, fmt.Sprintf("%s:%d: %v", filepath.Base(file), line, reason))
			return nil
		},
	}
	result, err := New(parts).Run(t.Context(), env, frozen)
	require.NoError(t, err)
	return result, skipped
}

// Every figure of a small day can be worked out by hand.
func TestFigures(t *testing.T) {
	// Windows with spans: 100 to 105 and 200 to 205. Faulty ones: 102 to 104 and 202 to 204.
	f := &fake{
		anomalies: []engine.Anomaly{
			anomaly(100.5, 0, "shop", 2),             // false, in the window 100
			anomaly(103, time.Minute, "shop", 3),     // right, a minute after the first fault
			anomaly(104.5, 0, "pay", 2),              // right
			anomaly(106, time.Minute, "shop", 1.5),   // false, in the window 105
			anomaly(150, 2*time.Minute, "shop", 9),   // between the stretches: not looked at
			anomaly(201, time.Minute, "shop", 1.1),   // false, in the window 200
			anomaly(201.5, time.Second, "shop", 1.1), // false, and adjacent
		},
		incidents: []engine.Incident{{Onset: at(102), LastSeen: at(104), Score: 3}},
	}
	result, skipped := run(t, twoFaults(t), f.parts(), nil)
	require.Empty(t, skipped)
	require.Empty(t, result.Unavailable)
	require.True(t, f.closed)

	value := func(name string) float64 {
		m, ok := result.Metrics[name]
		require.True(t, ok, name)
		require.LessOrEqual(t, m.Low, m.Value, name)
		require.GreaterOrEqual(t, m.High, m.Value, name)
		return m.Value
	}
	require.InDelta(t, 2.0/6, value("detection.precision"), 1e-9)
	require.InDelta(t, 1.0/2, value("detection.recall"), 1e-9)
	require.InDelta(t, 2.0/5, value("detection.f1"), 1e-9)
	require.InDelta(t, 3.0/(12.0/60), value("false_alarms_per_hour"), 1e-9, "100, 105, and 200 with 201")
	require.InDelta(t, 60, value("median_delay_seconds"), 1e-9)
	require.Zero(t, value("localisation.as_at_1"), "shop was stranger")
	require.InDelta(t, 1.0/2, value("localisation.as_at_3"), 1e-9)
	require.InDelta(t, 1.0/2, value("localisation.as_at_5"), 1e-9)

	precision := result.Metrics["detection.precision"].Baselines
	require.InDelta(t, 6.0/12, precision[nameAlways], 1e-9)
	require.InDelta(t, 1, precision[nameSigma], 1e-9, "the slow windows are the fault")
	recall := result.Metrics["detection.recall"].Baselines
	require.InDelta(t, 1, recall[nameAlways], 1e-9)
	require.InDelta(t, 1.0/2, recall[nameSigma], 1e-9, "the second fault shows in nothing")
	first := result.Metrics["localisation.as_at_1"].Baselines
	require.InDelta(t, 1.0/2, first[nameSigma], 1e-9)
	require.InDelta(t, 1, first[nameFrequent], 1e-9, "the other fault was in the same service")
	require.Zero(t, first[nameBusiest], "shop has more spans")
	require.InDelta(t, 1.0/2, first[nameRandom], 1e-9)

	require.Equal(t, []string{"silent", "slow"}, result.Confusions[0].Rows)
	require.Equal(t, [][]int{{0, 1}, {1, 0}}, result.Confusions[0].Counts)
	require.Equal(t, [][]int{{0, 0, 0, 0, 1}, {0, 1, 0, 0, 0}}, result.Confusions[1].Counts)
	detection := result.Tables[0]
	require.Equal(t, []string{"33 %", "40 %"}, detection.Rows[0][6:], "by run one fault of two is met, and the runs at 100 and 200 meet none")
	require.Equal(t, []string{nameIncidents, "100 %", "50 %", "67 %", "0.0", "-", "100 %", "67 %"}, detection.Rows[1])
	for _, c := range result.Charts {
		for _, curve := range c.Curves {
			require.Len(t, curve.Y, len(curve.X), c.Title)
			require.Less(t, len(curve.X), 500, c.Title)
		}
	}
}

// What the pipeline gets is each span once, the fault-free minute first and well before the rest.
func TestWhatIsPlayed(t *testing.T) {
	early, late := row("pay", 100, time.Millisecond), row("pay", 101, time.Millisecond)
	calm, shared := row("shop", 99, time.Millisecond), row("shop", 100.5, time.Millisecond)
	f := &fake{}
	run(t, folderOf(t, []string{shared, calm}, []string{late, early, early, shared}, "["+faultAt(100, "pay", "slow")+"]"), f.parts(), nil)
	require.Len(t, f.played, 4)
	require.Equal(t, []string{"shop", "shop", "pay", "pay"}, []string{f.played[0].Service, f.played[1].Service, f.played[2].Service, f.played[3].Service})
	require.True(t, slices.IsSortedFunc(f.played, func(a, b engine.Span) int { return a.End.Compare(b.End) }))
	require.Equal(t, historyGap, f.played[2].Start.Sub(f.played[1].End))
	require.Equal(t, 90*time.Second, f.played[1].Start.Sub(f.played[0].Start), "history keeps its pace")
	require.True(t, f.played[2].Start.Equal(at(100)))
	require.Empty(t, f.played[2].Operation, "a span of a microservice is no model call")
	require.Equal(t, "GET /", string(f.played[2].Series().Operation))
}

// A fault that nothing noticed has no delay, and no alarm at all is no precision.
func TestSilence(t *testing.T) {
	result, _ := run(t, twoFaults(t), (&fake{}).parts(), nil)
	require.Zero(t, result.Metrics["detection.precision"].Value)
	require.Zero(t, result.Metrics["detection.recall"].Value)
	require.Zero(t, result.Metrics["detection.f1"].Value)
	require.Zero(t, result.Metrics["false_alarms_per_hour"].Value)
	require.Zero(t, result.Metrics["localisation.as_at_5"].Value)
	require.Contains(t, result.Unavailable, "median_delay_seconds")
}

// A pipeline that is not there is no reason to hide what it would have to beat.
func TestWithoutPipeline(t *testing.T) {
	result, _ := run(t, twoFaults(t), Parts{}, nil)
	require.Empty(t, result.Metrics)
	require.Len(t, result.Unavailable, 8)
	require.Equal(t, nameSigma, result.Tables[0].Rows[0][0])
	require.Equal(t, nameAlways, result.Tables[0].Rows[1][0])
	require.Equal(t, nameSigma, result.Tables[1].Rows[0][0])
}

// Nothing is learnt from faults: a model changes no figure, and two runs agree.
func TestFrozenIsTheSame(t *testing.T) {
	data := twoFaults(t)
	frozen, err := New(Parts{}).Fit(t.Context(), evals.Env{Data: data})
	require.NoError(t, err)
	require.Nil(t, frozen)
	f := &fake{anomalies: []engine.Anomaly{anomaly(103, time.Minute, "pay", 3)}}
	free, _ := run(t, data, f.parts(), nil)
	bound, _ := run(t, data, f.parts(), json.RawMessage("null"))
	require.Equal(t, free, bound)
}

// All days count, each played to a pipeline of its own.
func TestDays(t *testing.T) {
	data := twoFaults(t)
	var stream []string
	for i := range 6 {
		stream = append(stream, row("shop", 300+float64(i), time.Millisecond))
	}
	addDay(t, data, "2024-05-02", stream[:1], stream, "["+faultAt(302, "shop", "slow")+"]")
	require.NoError(t, os.WriteFile(filepath.Join(data, folder, "README"), []byte("no day"), 0o600))
	opened := 0
	result, _ := run(t, data, Parts{Open: func(context.Context) (Pipeline, error) {
		opened++
		return &fake{anomalies: []engine.Anomaly{anomaly(303, time.Minute, "shop", 3)}}, nil
	}}, nil)
	require.Equal(t, 2, opened)
	require.InDelta(t, 1.0/3, result.Metrics["detection.recall"].Value, 1e-9)
	require.InDelta(t, 1.0/3, result.Metrics["localisation.as_at_1"].Value, 1e-9)
	require.Equal(t, 3, result.Metrics["detection.recall"].N)
}

func TestMalformed(t *testing.T) {
	good := row("pay", 100, time.Millisecond)
	field := func(i int, value string) string {
		f := strings.Split(good, ",")
		f[i] = value
		return strings.Join(f, ",")
	}
	for name, c := range map[string]struct{ line, reason string }{
		"trace":     {field(0, "12"), "trace_id"},
		"span":      {field(1, strings.Repeat("0", 16)), "span_id"},
		"parent":    {field(2, "none"), "parent_id"},
		"pod":       {field(3, ""), "pod"},
		"operation": {field(4, ""), "operation"},
		"start":     {field(5, "yesterday"), "start_unix_nano"},
		"duration":  {field(6, "-1"), "duration_us"},
		"fields":    {"a,b", "fields"},
	} {
		t.Run(name, func(t *testing.T) {
			_, skipped := run(t, folderOf(t, nil, []string{good, c.line}, "["+faultAt(100, "pay", "slow")+"]"), Parts{}, nil)
			require.Len(t, skipped, 1)
			require.Contains(t, skipped[0], "spans.csv.gz:3: ")
			require.Contains(t, skipped[0], c.reason)
		})
	}
	for name, c := range map[string]struct{ fault, reason string }{
		"time":    {`{"pod": "pay-a-b", "type": "slow"}`, "time is missing"},
		"no time": {`{"time": "noon", "pod": "pay-a-b", "type": "slow"}`, "noon"},
		"pod":     {`{"time": "2024-05-01T00:00:00Z", "type": "slow"}`, "pod is missing"},
		"type":    {`{"time": "2024-05-01T00:00:00Z", "pod": "pay-a-b"}`, "type is missing"},
		"before":  {faultAt(90, "pay", "slow"), "no span is of 2024-05-01 "},
		"behind":  {faultAt(101, "pay", "slow"), "no span is of 2024-05-01 "},
		"number":  {"5", "cannot unmarshal number"},
	} {
		t.Run("fault "+name, func(t *testing.T) {
			_, skipped := run(t, folderOf(t, nil, []string{good}, "[\n"+faultAt(100, "pay", "slow")+",\n"+c.fault+"]"), Parts{}, nil)
			require.Len(t, skipped, 1)
			require.Contains(t, skipped[0], "faults.json:3: ")
			require.Contains(t, skipped[0], c.reason)
		})
	}
}

// Strict runs end at the first malformed line; a file with other columns is not guessed at; without data there is no suite.
func TestWhatEndsARun(t *testing.T) {
	env := evals.Env{Seed: 1, Progress: func(int, int, string) {}, Skip: func(_ string, _ int, reason error) error { return reason }}
	fails := func(data string) error {
		env.Data = data
		_, err := New(Parts{}).Run(t.Context(), env, nil)
		require.Error(t, err)
		return err
	}
	good, one := row("pay", 100, time.Millisecond), "["+faultAt(100, "pay", "slow")+"]"
	require.ErrorContains(t, fails(folderOf(t, nil, []string{"a,b"}, one)), "fields")
	require.ErrorContains(t, fails(folderOf(t, nil, []string{good}, `{}`)), "array")
	require.ErrorContains(t, fails(folderOf(t, nil, []string{good}, `[{"time": `)), "EOF")

	data := folderOf(t, nil, []string{good}, one)
	require.NoError(t, os.WriteFile(filepath.Join(data, folder, "2024-05-01", "spans.csv.gz"), []byte("a,b\n"+good), 0o600))
	require.ErrorContains(t, fails(data), "first line")

	require.ErrorIs(t, fails(t.TempDir()), evals.ErrUnavailable)
	require.ErrorIs(t, fails(folderOf(t, nil, []string{good}, `[]`)), evals.ErrUnavailable)
	require.NoError(t, os.Remove(filepath.Join(data, folder, "2024-05-01", "normal_spans.csv.gz")))
	require.ErrorIs(t, fails(data), evals.ErrUnavailable)
}

func TestService(t *testing.T) {
	for pod, service := range map[string]string{
		"ts-order-service-5b67c48447-mv5hb": "ts-order-service", "checkout-5b67c48447-mv5hb": "checkout", "solo": "solo", "a-b": "a",
	} {
		require.Equal(t, service, serviceOf(pod))
	}
}

// A trace is blamed on the services of its abnormal spans, not on the one it began at.
func TestBlame(t *testing.T) {
	share := func(service string, score float64) engine.Contribution {
		return engine.Contribution{Finding: engine.Finding{Series: engine.SeriesKey{Service: service}}, Score: score}
	}
	a := alarmOf(&engine.Anomaly{
		At: at(1), Service: "gateway", Series: engine.SeriesKey{Service: "pay"}, Score: 2,
		Shares: []engine.Contribution{share("pay", 1.8), share("stock", 1.2), share("shop", 0.4)},
	})
	b := alarmOf(&engine.Anomaly{At: at(2), Series: engine.SeriesKey{Service: "user"}, Score: 1.2})
	require.Equal(t, []string{"pay", "stock", "user"}, rank([]alarm{a, b}))
}

// The development data is what docs/evals/traces.md describes.
func TestDevelopmentData(t *testing.T) {
	data := filepath.Join("..", "..", "..", "shared", "data", "dev")
	if _, err := os.Stat(filepath.Join(data, folder)); err != nil {
		if os.Getenv("SENTINEL_REQUIRE_STACK") == "1" {
			t.Fatal(err)
		}
		t.Skip("no development data: ", err)
	}
	f := &fake{}
	result, skipped := run(t, data, f.parts(), nil)
	require.Empty(t, skipped)
	env := evals.Env{Data: data, Skip: func(_ string, _ int, reason error) error { return reason }}
	days, err := load(env)
	require.NoError(t, err)
	require.Equal(t, "2023-01-29", days[0].name)
	require.Len(t, days[0].history, 4890)
	require.Len(t, days[0].faults, 28)
	require.InDelta(t, 81_133, len(days[0].stream), 200)
	require.Len(t, f.played, len(days[0].history)+len(days[0].stream))
	require.InDelta(t, 1, result.Metrics["detection.recall"].Baselines[nameAlways], 1e-9)
	require.InDelta(t, 0.62, result.Metrics["detection.precision"].Baselines[nameAlways], 0.01)
	for name, m := range result.Metrics {
		require.False(t, math.IsNaN(m.Value), name)
	}
	kinds := result.Confusions[0].Rows
	require.True(t, slices.IsSortedFunc(kinds, cmp.Compare[string]))
	require.Contains(t, kinds, "cpu_contention")
}
