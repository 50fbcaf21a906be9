package engine

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// trouble brings about one incident and returns it.
func (x *plant) trouble() Incident {
	x.t.Helper()
	for range 20 {
		x.consume(x.trace("hello", failed))
		pass(30 * time.Second)
	}
	pass(settled)
	list := x.store.list()
	require.Len(x.t, list, 1)
	return list[0]
}

func TestPeopleLookAfterIncidents(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.screener.score = abnormal
		x.run()
		id := x.trouble().ID

		in, err := x.Acknowledge(t.Context(), id, "ada", "looking")
		require.NoError(t, err)
		require.Equal(t, StatusAcknowledged, in.Status)
		require.Equal(t, in, x.store.list()[0])
		x.consume(x.trace("hello", failed))
		pass(settled)
		require.Equal(t, StatusAcknowledged, x.store.list()[0].Status, "more of the same changes nothing about that")

		asked := len(x.explainer.asked)
		in, err = x.Explain(t.Context(), id)
		require.NoError(t, err)
		require.NotNil(t, in.Explanation)
		require.Greater(t, len(x.explainer.asked), asked)

		in, err = x.Resolve(t.Context(), id, "ada", "rolled back")
		require.NoError(t, err)
		require.Equal(t, StatusResolved, in.Status)
		require.Equal(t, TimelineEntry{At: *in.ResolvedAt, Event: "resolved", By: "ada", Note: "rolled back"}, in.Timeline[len(in.Timeline)-1])
		require.Equal(t, in, x.store.list()[0])

		for _, again := range []func() (Incident, error){
			func() (Incident, error) { return x.Acknowledge(t.Context(), id, "", "") },
			func() (Incident, error) { return x.Resolve(t.Context(), id, "", "") },
			func() (Incident, error) { return x.Explain(t.Context(), id) },
			func() (Incident, error) { return x.Explain(t.Context(), "no such thing") },
		} {
			_, err = again()
			require.Equal(t, CodeNotFound, ErrorCode(err))
		}
		require.Subset(t, x.observer.changes(), []string{"raised", "explained", "acknowledged", "resolved"})
		ids := make(map[string]string)
		for _, a := range x.observer.alerts {
			if earlier, known := ids[a.ID]; known {
				require.Equal(t, earlier, a.Change, "an alert's id stands for one change")
			}
			ids[a.ID] = a.Change
		}
	})
}

func TestWordThatCannotBeStoredIsAnError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.screener.score = abnormal
		x.run()
		id := x.trouble().ID
		x.store.fail(Permanent(errors.New("disk full")))
		_, err := x.Acknowledge(t.Context(), id, "ada", "")
		require.Equal(t, CodeUnavailable, ErrorCode(err))
	})
}

func TestWhatWasLearntOutlivesTheProcess(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		answer := func(o Observation, d *detector) ([]Finding, error) {
			f := material(SemanticNovelty, 0.6)
			f.TraceID, f.At, f.Effect.Baseline = o.Trace.ID, o.Trace.End(), float64(len(d.learnt))
			return []Finding{f}, nil
		}
		x.semantic.score = func(o Observation) ([]Finding, error) { return answer(o, x.semantic) }
		x.run()
		for range 50 {
			x.consume(x.trace("hello"))
			pass(time.Minute)
		}
		x.mu.Lock()
		x.alphas.alerted("shop", time.Now())
		x.mu.Unlock()
		require.NoError(t, x.stop())
		require.Less(t, len(x.semantic.learnt), 100, "what was held back is dropped: it may be the beginning of an incident")

		y := x.restart()
		y.semantic.score = func(o Observation) ([]Finding, error) { return answer(o, y.semantic) }
		y.run()
		pass(time.Second)
		require.Equal(t, x.semantic.learnt, y.semantic.learnt)
		require.Equal(t, x.workflow.learnt, y.workflow.learnt)
		require.Equal(t, x.screener.seen(), y.screener.seen())
		require.Equal(t, x.Services(), y.Services())
		s := x.trace("hello")
		trace := NewTrace(s.TraceID, []Span{s})
		before, err := x.Score(t.Context(), trace)
		require.NoError(t, err)
		after, err := y.Score(t.Context(), trace)
		require.NoError(t, err)
		require.Equal(t, before, after)
	})
}

// A crash leaves what the store holds: incidents as they were told, baselines at most an interval old.
func TestCrashCostsAtMostAnInterval(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.screener.score = abnormal
		x.run()
		in := x.trouble()
		pass(x.cfg.SnapshotEvery)
		_, err := x.Acknowledge(t.Context(), in.ID, "ada", "")
		require.NoError(t, err)
		in = x.store.list()[0]
		seen := x.screener.seen()
		crashed := x.store.copy()
		require.NoError(t, x.stop())

		y := x.restart()
		y.store = crashed
		y.build()
		y.run()
		pass(time.Second)
		require.Equal(t, seen, y.screener.seen())
		require.Equal(t, in, crashed.list()[0])
		for range 5 {
			y.consume(y.trace("hello", failed))
			pass(30 * time.Second)
		}
		pass(settled)
		list := crashed.list()
		require.Len(t, list, 1, "the same trouble is the same incident")
		require.Equal(t, in.ID, list[0].ID)
		require.Equal(t, StatusAcknowledged, list[0].Status)
		require.Greater(t, list[0].Anomalies, in.Anomalies)
		require.NotContains(t, y.observer.changes(), "raised")
		pass(time.Hour)
		require.Equal(t, StatusResolved, crashed.list()[0].Status)

		// What was resolved lately is raised again under its old name.
		z := y.restart()
		z.run()
		pass(time.Second)
		again := z.trouble()
		require.Equal(t, in.ID, again.ID)
		require.Equal(t, 2, again.Raised)
	})
}

func TestSnapshotsAreTakenWhileTheEngineWorks(t *testing.T) {
	t.Parallel()
	x := newPlant(t, func(c *Config) { c.SnapshotEvery = time.Millisecond })
	x.screener.score = abnormal
	x.run()
	var wg sync.WaitGroup
	for source := range 2 {
		wg.Go(func() {
			for n := range 300 {
				s := span(1+source*1000+n, 1, 0, time.Now().Add(-time.Hour+time.Duration(n)*time.Minute))
				s.Service = []string{"a", "b", "c", "d"}[n%4]
				s.Failed = n%2 == 0
				for ErrorCode(x.Consume(t.Context(), Batch{Spans: []Span{s}})) == CodeFull {
					x.Services()
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, x.stop())
	require.NotEmpty(t, x.store.snapshots[snapshotAlphas])
}

func TestUnreadableSnapshotStartsThatPartAnewAndSaysSo(t *testing.T) {
	t.Parallel()
	for _, name := range []string{snapshotScreener, snapshotAlphas, snapshotServices, snapshotDetector + "semantic"} {
		x := newPlant(t)
		x.store.snapshots[name] = []byte("no")
		ctx, stop := context.WithCancel(t.Context())
		stop()
		require.NoError(t, x.Run(ctx))
		require.Len(t, x.Health().Degraded, 1)
		require.Equal(t, "snapshot "+name, x.Health().Degraded[0].Part)
	}
}

func TestStoreThatDoesNotAnswerStopsTheStart(t *testing.T) {
	t.Parallel()
	x := newPlant(t)
	x.store.err = errors.New("disk gone")
	require.ErrorIs(t, x.Run(t.Context()), x.store.err)
}

func TestLogsHoldNoTexts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		var logged bytes.Buffer
		x.screener.score = abnormal
		x.semantic.failing = errors.New("memory gone")
		x.log = slog.New(slog.NewJSONHandler(&logged, nil))
		x.run()
		for range 20 {
			x.consume(x.trace("a very private prompt", failed))
			pass(30 * time.Second)
		}
		x.store.fail(Permanent(errors.New("disk full")))
		x.consume(x.trace("a very private prompt", failed))
		pass(settled)
		_ = x.stop()
		require.Contains(t, logged.String(), "semantic detector failed")
		require.NotContains(t, logged.String(), "private")
	})
}

func TestOfflineUseSettlesWhatIsHeldBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.run()
		x.consume(x.trace("hello"))
		pass(time.Second)
		require.NoError(t, x.stop())
		require.NoError(t, x.Settle(t.Context()))
		require.Equal(t, 1, x.workflow.knows())
		require.True(t, x.screener.last.After(time.Now()), "open windows are ended")
	})
}
