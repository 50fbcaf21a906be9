package engine

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

var errDown = errors.New("connection refused")

func (s *store) failNext(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures = n
}

// requireNoAlertTwice checks that what was committed has one id a change, and the incident's latest state counts them.
func requireNoAlertTwice(t *testing.T, s *store) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make(map[string]bool)
	latest := make(map[string]int)
	for _, a := range s.alerts {
		require.False(t, ids[a.ID], a.ID)
		ids[a.ID] = true
		require.Equal(t, latest[a.Incident.ID]+1, a.Incident.Changes, "the changes of an incident are told in their order, none left out")
		latest[a.Incident.ID] = a.Incident.Changes
	}
	for id, n := range latest {
		require.Equal(t, n, s.incidents[id].Changes)
	}
}

func TestAlertIsPartOfTheTransactionOfItsIncident(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.screener.score = abnormal
		x.run()
		id := x.trouble().ID
		_, err := x.Acknowledge(t.Context(), id, "ada", "")
		require.NoError(t, err)
		_, err = x.Resolve(t.Context(), id, "ada", "")
		require.NoError(t, err)
		told := x.store.told()
		require.Equal(t, ChangeRaised, told[0])
		require.Subset(t, told, []string{ChangeExplained, ChangeAcknowledged, ChangeResolved})
		for _, e := range x.store.entries {
			for _, a := range e.Alerts {
				found := false
				for _, in := range e.Incidents {
					found = found || in.ID == a.Incident.ID && in.Changes >= a.Incident.Changes
				}
				require.True(t, found, "%s is committed with the incident that it is about", a.ID)
				require.False(t, a.At.IsZero())
			}
		}
		requireNoAlertTwice(t, x.store)
		require.Equal(t, told, x.observer.changes())
		require.Positive(t, x.observer.woken)
		require.LessOrEqual(t, x.observer.woken, len(told))
	})
}

func TestAlertsThatNobodyReceivesAreNotStored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.quiet = true
		x.screener.score = abnormal
		x.build()
		x.run()
		x.trouble()
		require.Empty(t, x.store.told())
		require.Contains(t, x.observer.changes(), ChangeRaised, "who observes is told all the same")
		require.Zero(t, x.observer.woken)
	})
}

func TestAnomaliesAreAlertsWhereThatIsAskedFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t, func(c *Config) { c.Alerts.Anomalies = true })
		x.screener.score = abnormal
		x.run()
		x.trouble()
		anomalies := make(map[string]bool)
		for _, a := range x.store.alerts {
			if a.Change == ChangeAnomaly {
				require.NotNil(t, a.Anomaly)
				require.Zero(t, a.Incident)
				anomalies[a.Anomaly.ID] = true
			}
		}
		require.Len(t, anomalies, x.store.found(), "each once")
	})
}

// A store that is down for an hour in the middle of an incident costs nothing but time.
func TestStoreThatIsDownLosesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.screener.score = abnormal
		x.run()
		var done, failedBatches atomic.Int32
		consume := func(s Span) {
			require.NoError(t, x.Consume(t.Context(), Batch{Spans: []Span{s}, Done: func(err error) {
				done.Add(1)
				if err != nil {
					failedBatches.Add(1)
				}
			}}))
		}
		consume(x.trace("hello"))
		pass(settled)
		require.EqualValues(t, 1, done.Load())
		x.store.fail(errDown)
		for range 60 {
			consume(x.trace("hello", failed))
			consume(x.trace("hello"))
			pass(30 * time.Second)
		}
		pass(30 * time.Minute)
		require.Empty(t, x.store.told())
		require.Equal(t, 121, x.screener.seen(), "screening goes on")
		health := x.Health()
		require.Positive(t, health.Queued["store_records"])
		require.Equal(t, "store", health.Degraded[len(health.Degraded)-1].Part)
		require.Less(t, int(done.Load()), 10, "nobody is told that it is done, the quiet ones behind the others neither")

		x.store.fail(nil)
		pass(time.Minute)
		require.EqualValues(t, 121, done.Load())
		require.Zero(t, failedBatches.Load())
		require.Equal(t, 60, x.store.found())
		require.Zero(t, x.Health().Queued["store_records"])
		require.Empty(t, x.Health().Degraded)
		require.Zero(t, x.Health().Dropped[dropUnstored]+x.Health().Dropped[dropShed])
		require.Len(t, x.store.list(), 1)
		told := x.store.told()
		require.Equal(t, ChangeRaised, told[0])
		requireNoAlertTwice(t, x.store)
		require.Equal(t, told, x.observer.changes(), "nobody is told before it is stored")
	})
}

// The store fails at every possible point of an incident's life, for one call or some.
func TestAlertsOutliveFailuresAtAnyPoint(t *testing.T) {
	life := func(t *testing.T, x *plant) {
		x.run()
		pass(time.Second)
		for range 20 {
			x.consume(x.trace("hello", failed))
			pass(30 * time.Second)
		}
		pass(40 * time.Minute)
	}
	for _, failures := range []int{1, 7} {
		for point := 0; point < 24; point += 3 {
			t.Run(fmt.Sprintf("%d at %d", failures, point), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					x := newPlant(t)
					x.screener.score = abnormal
					var records int
					x.store.refuse = func(e Entry) error {
						records++
						if records > point && records <= point+failures {
							return errDown
						}
						return nil
					}
					life(t, x)
					told := x.store.told()
					require.Equal(t, ChangeRaised, told[0])
					require.Equal(t, ChangeResolved, told[len(told)-1])
					requireNoAlertTwice(t, x.store)
					require.Equal(t, StatusResolved, x.store.list()[0].Status)
					require.Equal(t, 20, x.store.found())
				})
			})
		}
	}
}

// A crash at any commit: what the store holds then goes on without a change that is told twice, under two ids, or never.
func TestCrashAtAnyCommitTellsEachChangeOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.screener.score = abnormal
		var crashes []*store
		x.store.refuse = func(Entry) error {
			crashes = append(crashes, x.store.copy())
			return nil
		}
		x.run()
		pass(time.Second)
		x.trouble()
		require.NoError(t, x.stop())
		require.Greater(t, len(crashes), 10)
		for n, crashed := range crashes {
			if n%2 != 0 {
				continue
			}
			crashed.refuse = nil
			y := x.restart()
			y.store = crashed
			y.build()
			y.run()
			pass(time.Second)
			for range 20 {
				y.consume(y.trace("hello", failed))
				pass(30 * time.Second)
			}
			pass(time.Hour)
			require.NoError(t, y.stop())
			raised, again, resolved := 0, 0, 0
			for _, change := range crashed.told() {
				switch change {
				case ChangeRaised:
					raised++
				case ChangeRaisedAgain:
					again++
				case ChangeResolved:
					resolved++
				}
			}
			require.Equal(t, len(crashed.list()), raised)
			require.Equal(t, raised+again, resolved)
			requireNoAlertTwice(t, crashed)
		}
	})
}

// A commit whose answer was lost is made again; the outbox leaves out what it knows.
func TestAnswerThatIsLostTellsNothingTwice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.screener.score = abnormal
		lost := &forgetful{store: x.store}
		x.writer.journal = lost
		x.run()
		pass(time.Second)
		x.trouble()
		requireNoAlertTwice(t, x.store)
		require.Equal(t, x.store.told(), x.observer.changes())
		require.Greater(t, lost.calls, 10)
	})
}

// forgetful stores everything and says of every other call that it failed.
type forgetful struct {
	*store
	calls int
}

func (f *forgetful) Record(ctx context.Context, e Entry) error {
	f.calls++
	err := f.store.Record(ctx, e)
	if f.calls%2 == 1 {
		return errDown
	}
	return err
}

func TestStoreThatHangsDelaysNoScreening(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t, func(c *Config) { c.SemanticQueue = 1 })
		x.screener.score = abnormal
		x.run()
		synctest.Wait()
		hold := make(chan struct{})
		x.store.mu.Lock()
		x.store.hold = hold
		x.store.mu.Unlock()
		for n := range 40 {
			b := Batch{Spans: []Span{x.trace("hello", failed), x.trace("hello", failed)}}
			if n == 5 {
				b.Markers = []ChangeMarker{{ID: "m", At: time.Now(), Service: "shop"}}
			}
			require.NoError(t, x.Consume(t.Context(), b))
			pass(30 * time.Second)
			require.Equal(t, 2*n+2, x.screener.seen())
		}
		require.Len(t, x.Services(), 1)
		require.Positive(t, x.Services()[0].Incidents)
		x.store.mu.Lock()
		x.store.hold = nil
		x.store.mu.Unlock()
		close(hold)
		pass(5 * time.Minute)
		require.Equal(t, 80, x.store.found(), "what had to wait for the semantic tier too")
		require.Equal(t, ChangeRaised, x.store.told()[0])
	})
}

func TestFullStoreQueueShedsWhatCarriesNoAlertAndAsksToComeBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t, func(c *Config) { c.StoreQueue = 30 })
		x.screener.score = abnormal
		x.run()
		synctest.Wait()
		x.store.fail(errDown)
		var told []error
		var refused error
		for range 100 {
			var b Batch
			for range 4 {
				b.Spans = append(b.Spans, x.trace("hello", failed))
			}
			b.Done = func(err error) { told = append(told, err) }
			if refused = x.Consume(t.Context(), b); refused != nil {
				break
			}
			pass(20 * time.Second)
		}
		require.Equal(t, CodeFull, ErrorCode(refused), "who waits is told to come back")
		for range 100 {
			if refused = x.Consume(t.Context(), Batch{Spans: []Span{x.trace("hello", failed), x.trace("hello", failed)}}); refused != nil {
				break
			}
			pass(20 * time.Second)
		}
		require.Equal(t, CodeFull, ErrorCode(refused), "and so is who does not")
		pass(time.Hour)
		require.Positive(t, x.Health().Dropped[dropShed])
		require.LessOrEqual(t, x.Health().Queued["store_records"], 60, "what carries an alert is above the bound at most")
		for _, err := range told {
			require.Equal(t, CodeUnavailable, ErrorCode(err))
		}

		x.store.fail(nil)
		pass(time.Minute)
		require.NoError(t, x.Consume(t.Context(), Batch{Spans: []Span{x.trace("hello")}}))
		changes := x.store.told()
		require.Equal(t, ChangeRaised, changes[0])
		require.Equal(t, ChangeResolved, changes[len(changes)-1])
		requireNoAlertTwice(t, x.store)
	})
}

func TestWhatTheStoreNeverTakesCostsNothingElse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.screener.score = abnormal
		x.run()
		synctest.Wait()
		bad := x.trace("hello", failed)
		x.store.refuse = func(e Entry) error {
			for _, a := range e.Anomalies {
				if a.TraceID == bad.TraceID {
					return Errorf(CodeInvalid, "a record that JSON cannot hold")
				}
			}
			return nil
		}
		x.store.failNext(3)
		var errs []error
		require.NoError(t, x.Consume(t.Context(), Batch{Spans: []Span{bad}, Done: func(err error) { errs = append(errs, err) }}))
		for range 20 {
			x.consume(x.trace("hello", failed))
		}
		pass(settled)
		require.Len(t, errs, 1)
		require.Equal(t, CodeInvalid, ErrorCode(errs[0]))
		require.Equal(t, 20, x.store.found())
		require.EqualValues(t, 1, x.Health().Dropped[dropUnstored])
		require.Empty(t, x.Health().Degraded)
	})
}

func TestPersonIsToldWhenTheStoreIsDown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.screener.score = abnormal
		x.run()
		in := x.trouble()
		x.store.fail(errDown)
		_, err := x.Acknowledge(t.Context(), in.ID, "ada", "")
		require.Equal(t, CodeUnavailable, ErrorCode(err), "the first one finds out: its word waits")
		_, err = x.Resolve(t.Context(), in.ID, "ada", "")
		require.Equal(t, CodeUnavailable, ErrorCode(err), "the second one is refused")
		require.Equal(t, StatusOpen, x.store.list()[0].Status)
		x.store.fail(nil)
		pass(time.Minute)
		require.Equal(t, StatusAcknowledged, x.store.list()[0].Status)
		require.Contains(t, x.store.told(), ChangeAcknowledged)
		_, err = x.Resolve(t.Context(), in.ID, "ada", "")
		require.NoError(t, err)
		requireNoAlertTwice(t, x.store)
	})
}

func TestStopWaitsForTheStoreAndSaysWhatItDidNotTake(t *testing.T) {
	for name, back := range map[string]time.Duration{"comes back": 10 * time.Second, "stays away": time.Hour} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				x := newPlant(t)
				x.screener.score = abnormal
				x.run()
				synctest.Wait()
				x.store.fail(errDown)
				time.AfterFunc(back, func() { x.store.fail(nil) })
				var told []error
				for range 20 {
					require.NoError(t, x.Consume(t.Context(), Batch{
						Spans: []Span{x.trace("hello", failed)}, Done: func(err error) { told = append(told, err) },
					}))
				}
				err := x.stop()
				require.Len(t, told, 20)
				if name == "comes back" {
					require.NoError(t, err)
					require.Equal(t, 20, x.store.found())
					return
				}
				require.ErrorContains(t, err, "20 records")
				for _, err := range told {
					require.Equal(t, CodeUnavailable, ErrorCode(err))
				}
			})
		})
	}
}

func TestReplayEndsWithTheErrorOfTheStore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.screener.score = abnormal
		batches := func(yield func(Batch, error) bool) {
			x.store.fail(errDown)
			for range 10 {
				if !yield(Batch{Spans: []Span{x.trace("hello", failed)}}, nil) {
					return
				}
			}
		}
		require.ErrorIs(t, x.Replay(t.Context(), batches), errDown)
		x.store.fail(nil)
		require.NoError(t, x.Replay(t.Context(), func(func(Batch, error) bool) {}))
		require.Equal(t, 10, x.store.found())
	})
}

func TestSeverityThatRisesIsToldAndNeverFalls(t *testing.T) {
	t.Parallel()
	g := newGrouping(t)
	mild := func(n int, effect float64, score float64) {
		for range n {
			g.trace++
			s := span(g.trace, 1, 0, g.now)
			x := NewTrace(s.TraceID, []Span{s})
			g.digests.add("shop", newDigest(&x, nil))
			a := g.anomaly(LatencySpike, theShop, g.trace)
			a.Effect.Current, a.Score = effect, score
			g.add(&a)
			g.step(time.Minute)
		}
	}
	mild(20, 2, 2)
	g.step(g.cfg.Settle)
	require.Equal(t, SeverityLow, g.incident().Severity)
	mild(1, 9, 5)
	require.Equal(t, SeverityHigh, g.incident().Severity)
	last := g.incident().Timeline[len(g.incident().Timeline)-1]
	require.Equal(t, ChangeWorsened, last.Event)
	require.Equal(t, "from low to high", last.Note)
	mild(1, 1.1, 9)
	require.Equal(t, SeverityHigh, g.incident().Severity)
	require.Equal(t, []string{"raised", "worsened"}, events(g.incident()))
}

func TestWorsenedIsAnAlert(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		ratio := 2.0
		x.screener.score = func(trace *Trace) []Finding {
			out := abnormal(trace)
			out[0].Type, out[0].Effect = LatencySpike, Effect{Baseline: 1, Current: ratio, Unit: "s"}
			if out[0].Material && ratio > 2 {
				out[0].P = 1e-30
			}
			return out
		}
		x.run()
		x.trouble()
		ratio = 10
		x.consume(x.trace("hello", failed))
		pass(settled)
		require.Contains(t, x.store.told(), ChangeWorsened)
		requireNoAlertTwice(t, x.store)
	})
}

func TestMarkersAreRememberedOnceAndBounded(t *testing.T) {
	t.Parallel()
	var b markerBook
	marker := func(n int) ChangeMarker {
		return ChangeMarker{ID: fmt.Sprint(n), At: began.Add(time.Duration(n) * time.Minute)}
	}
	require.True(t, b.add([]ChangeMarker{marker(2), marker(1)}))
	require.False(t, b.add([]ChangeMarker{marker(1)}))
	require.Equal(t, []ChangeMarker{marker(1), marker(2)}, b.between(began.Add(time.Minute), began.Add(2*time.Minute)))
	require.Equal(t, []ChangeMarker{marker(2)}, b.between(began.Add(time.Minute+1), began.Add(time.Hour)))
	for n := range 2 * maxMarkers {
		b.add([]ChangeMarker{marker(n)})
	}
	require.Len(t, b.list, maxMarkers)
	require.Equal(t, marker(2*maxMarkers-1), b.list[maxMarkers-1])
}

// Several instances share a store: what another one was told of a change is evidence here too.
func TestMarkersOfAnotherInstanceAreFound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newPlant(t)
		x.screener.score = abnormal
		x.run()
		pass(time.Second)
		require.NoError(t, x.store.AddMarkers(t.Context(), []ChangeMarker{{ID: "m", At: time.Now(), Service: "shop", Kind: MarkerDeployment}}))
		in := x.trouble()
		require.Len(t, in.Evidence.Markers, 1)
		require.Equal(t, in.Evidence.Digest, in.Explanation.EvidenceDigest)
	})
}
