package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func TestEveryReceiverIsToldOfEveryChangeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(config("a", "b"))
		stop := w.run(t)
		w.outbox.commit(alert("i1", engine.ChangeRaised), alert("i2", engine.ChangeRaised), alert("i1", engine.ChangeExplained))
		w.d.Wake()
		time.Sleep(100 * time.Microsecond)
		w.outbox.commit(alert("i1", engine.ChangeResolved))
		time.Sleep(2 * time.Second) // nobody wakes it: it looks by itself
		stop()
		for _, name := range []string{"a", "b"} {
			got := w.peers[name].received()
			require.Len(t, got, 4)
			first := slices.DeleteFunc(got, func(s string) bool { return s == "i2/raised raised" })
			require.Equal(t, []string{"i1/raised raised", "i1/explained explained", "i1/resolved resolved"}, first)
			require.EqualValues(t, 4, w.value(t, "sentinel_notify_deliveries_total", name, resultDelivered))
			require.Zero(t, w.value(t, "sentinel_notify_waiting_items", name))
		}
		require.Empty(t, w.d.Degraded())
	})
}

func TestAlertThatNobodyWantsIsRouted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(DefaultConfig())
		stop := w.run(t)
		w.outbox.commit(alert("i1", engine.ChangeRaised))
		time.Sleep(2 * time.Second)
		stop()
		require.True(t, w.outbox.routed["i1/raised"])
		require.Empty(t, w.outbox.state())
	})
}

func TestFailingReceiverIsTriedAgainLaterEachTimeAndHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(config("good", "bad"))
		var calls []time.Time
		w.peers["bad"].answer = func(_ context.Context, n int, _ engine.Alert) error {
			calls = append(calls, time.Now())
			if n <= 6 {
				return errDown
			}
			return nil
		}
		began := time.Now()
		stop := w.run(t)
		w.outbox.commit(alert("i1", engine.ChangeRaised), alert("i1", engine.ChangeResolved))
		w.d.Wake()
		time.Sleep(100 * time.Microsecond)
		require.Len(t, w.peers["good"].received(), 2)
		require.Less(t, w.peers["good"].at[1].Sub(began), time.Millisecond)
		degraded := w.d.Degraded()
		require.Len(t, degraded, 1)
		require.Equal(t, "receiver bad", degraded[0].Part)
		require.Contains(t, degraded[0].Reason, "1 attempts failed in a row")
		require.Contains(t, degraded[0].Reason, errDown.Error())
		time.Sleep(5 * time.Second)
		require.Greater(t, w.value(t, "sentinel_notify_oldest_waiting_seconds", "bad"), 3.0)
		time.Sleep(10 * time.Minute)
		stop()
		require.Equal(t, []string{"i1/raised raised", "i1/resolved resolved"}, w.peers["bad"].received(), "what came later waits behind what failed")
		for i, least := range []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second} {
			wait := calls[i+1].Sub(calls[i])
			require.GreaterOrEqual(t, wait, least-spacing, "after attempt %d", i+1)
			require.LessOrEqual(t, wait, 2*least+spacing, "after attempt %d", i+1)
		}
		require.Equal(t, 7, w.outbox.get(t, "i1/raised", "bad").Attempts)
		require.EqualValues(t, 6, w.value(t, "sentinel_notify_deliveries_total", "bad", resultFailed))
		require.Empty(t, w.d.Degraded())
	})
}

func TestReceiverSaysWhenToComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(config("a"))
		w.peers["a"].answer = func(_ context.Context, n int, _ engine.Alert) error {
			if n == 1 {
				return Later(errDown, 20*time.Minute)
			}
			return nil
		}
		began := time.Now()
		stop := w.run(t)
		w.outbox.commit(alert("i1", engine.ChangeRaised))
		time.Sleep(time.Hour)
		stop()
		require.Len(t, w.peers["a"].at, 1)
		require.GreaterOrEqual(t, w.peers["a"].at[0].Sub(began), 20*time.Minute)
	})
}

func TestWhatIsRefusedForGoodOrTooOftenIsDeadAndLetsTheNextPass(t *testing.T) {
	for name, test := range map[string]struct {
		err      error
		attempts int
	}{
		"refused for good": {engine.Permanent(errDown), 1},
		"tried too often":  {errDown, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(config("a"))
				w.cfg.Retry.MaxAttempts = 3
				w.peers["a"].answer = func(_ context.Context, _ int, a engine.Alert) error {
					if a.Change == engine.ChangeRaised && a.Incident.Title != "mended" {
						return test.err
					}
					return nil
				}
				stop := w.run(t)
				w.outbox.commit(alert("i1", engine.ChangeRaised), alert("i1", engine.ChangeResolved))
				time.Sleep(time.Minute)
				dead := w.outbox.get(t, "i1/raised", "a")
				require.Equal(t, engine.DeliveryDead, dead.State)
				require.Equal(t, test.attempts, dead.Attempts)
				require.Equal(t, errDown.Error(), dead.Error)
				require.Equal(t, []string{"i1/resolved resolved"}, w.peers["a"].received())
				require.EqualValues(t, 1, w.value(t, "sentinel_notify_deliveries_total", "a", resultDead))

				// Somebody mends it and asks for the dead letter again.
				w.outbox.mu.Lock()
				w.outbox.deliveries[0].Alert.Incident.Title = "mended"
				w.outbox.mu.Unlock()
				w.outbox.redeliver("i1/raised", "a", time.Now())
				time.Sleep(2 * time.Second)
				stop()
				require.Equal(t, []string{"i1/resolved resolved", "i1/raised raised"}, w.peers["a"].received())
				require.Equal(t, engine.DeliveryDelivered, w.outbox.get(t, "i1/raised", "a").State)
			})
		})
	}
}

func TestSlowReceiverIsBoundedInTimeAndNumberAndHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(config("slow", "quick"))
		w.cfg.Receivers[0].Concurrency = 2
		w.cfg.Receivers[0].Timeout = 3 * time.Second
		var open, most atomic.Int64
		w.peers["slow"].answer = func(ctx context.Context, _ int, _ engine.Alert) error {
			most.Store(max(most.Load(), open.Add(1)))
			defer open.Add(-1)
			<-ctx.Done()
			return ctx.Err()
		}
		stop := w.run(t)
		for i := range 700 { // more than are kept in memory
			w.outbox.commit(alert(fmt.Sprintf("i%04d", i), engine.ChangeRaised))
		}
		began := time.Now()
		w.d.Wake()
		time.Sleep(3 * time.Second)
		require.Len(t, w.peers["quick"].received(), 700)
		time.Sleep(time.Minute)
		w.outbox.commit(alert("late", engine.ChangeRaised))
		w.d.Wake()
		time.Sleep(100 * time.Microsecond)
		require.Len(t, w.peers["quick"].received(), 701, "at once, though thousands wait for the other")
		require.EqualValues(t, 2, most.Load())
		stop()
		require.LessOrEqual(t, time.Since(began), time.Minute+15*time.Second, "attempts under way are waited for no longer than their time limit")
		require.Empty(t, w.peers["slow"].received())

		w.peers["slow"].answer = nil
		stop = w.run(t)
		time.Sleep(20 * time.Minute)
		stop()
		require.Len(t, w.peers["slow"].received(), 701)
	})
}

func TestAttemptsUnderWayAtTheEndAreWaitedForAndStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(config("a", "stuck"))
		w.cfg.Receivers[1].Timeout = time.Hour
		w.peers["a"].answer = func(context.Context, int, engine.Alert) error {
			time.Sleep(5 * time.Second)
			return nil
		}
		w.peers["stuck"].answer = func(ctx context.Context, _ int, _ engine.Alert) error {
			<-ctx.Done()
			return ctx.Err()
		}
		stop := w.run(t)
		w.outbox.commit(alert("i1", engine.ChangeRaised))
		time.Sleep(2 * time.Second)
		stop()
		require.Equal(t, []string{"i1/raised a delivered", "i1/raised stuck waiting"}, w.outbox.state())
		require.Zero(t, w.outbox.get(t, "i1/raised", "stuck").Attempts, "the end of the service says nothing of the receiver")
	})
}

// A crash at any step costs no alert, keeps the order, and repeats an alert under its id only where the receiver's answer was
// not stored.
func TestCrashAtEachStep(t *testing.T) {
	errCrash := errors.New("killed")
	for _, step := range []string{"unrouted", "route", "due", "save"} {
		for _, took := range []bool{false, true} { // whether the call took effect before the process died
			for nth := 1; nth <= 4; nth++ {
				t.Run(fmt.Sprintf("%s %d, effective %t", step, nth, took), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						w := newWorld(config("a", "flaky"))
						w.peers["flaky"].answer = func(_ context.Context, n int, _ engine.Alert) error {
							if n%2 == 1 {
								return errDown
							}
							return nil
						}
						crashed, calls := false, 0
						hook := func(call string, mine bool) error {
							if crashed {
								return errCrash // a dead process does nothing any more
							}
							if mine && call == step {
								if calls++; calls == nth {
									crashed = true
									return errCrash
								}
							}
							return nil
						}
						w.outbox.before = func(call string) error { return hook(call, !took) }
						w.outbox.after = func(call string) error { return hook(call, took) }
						w.outbox.commit(alert("i1", engine.ChangeRaised), alert("i1", engine.ChangeExplained), alert("i1", engine.ChangeResolved))
						stop := w.run(t)
						time.Sleep(time.Minute)
						stop()
						w.outbox.mu.Lock()
						w.outbox.before, w.outbox.after = nil, nil
						w.outbox.mu.Unlock()
						stop = w.run(t)
						time.Sleep(time.Minute)
						stop()
						for _, state := range w.outbox.state() {
							require.Contains(t, state, string(engine.DeliveryDelivered))
						}
						require.Len(t, w.outbox.state(), 6)
						want := []string{"i1/raised raised", "i1/explained explained", "i1/resolved resolved"}
						for name, p := range w.peers {
							got := p.received()
							require.LessOrEqual(t, len(got), len(want)+1, "%s got %v", name, got)
							require.Equal(t, want, slices.Compact(got), "%s got them out of order", name)
						}
					})
				})
			}
		}
	}
}

// While the outbox does not work nothing is forgotten: what a receiver took is not sent again by the same process.
func TestOutboxDownForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(config("a"))
		down := false
		w.outbox.before = func(string) error {
			if down {
				return errors.New("disk full")
			}
			return nil
		}
		release := make(chan struct{})
		w.peers["a"].answer = func(context.Context, int, engine.Alert) error {
			<-release
			return nil
		}
		stop := w.run(t)
		w.outbox.commit(alert("i1", engine.ChangeRaised), alert("i1", engine.ChangeResolved))
		w.d.Wake()
		time.Sleep(100 * time.Microsecond)
		w.outbox.mu.Lock()
		down = true
		w.outbox.mu.Unlock()
		close(release)
		time.Sleep(time.Minute)
		require.Equal(t, []string{"i1/raised raised"}, w.peers["a"].received(), "the next one waits until this one is stored")
		require.Contains(t, w.d.Degraded()[0].Reason, "disk full")
		w.outbox.mu.Lock()
		down = false
		w.outbox.mu.Unlock()
		time.Sleep(time.Minute)
		stop()
		require.Equal(t, []string{"i1/raised raised", "i1/resolved resolved"}, w.peers["a"].received())
		require.Empty(t, w.d.Degraded())
	})
}

func TestGroupingSendsTheFirstAtOnceAndThenTheLatestOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(config("a"))
		w.cfg.Receivers[0].GroupInterval = time.Minute
		began := time.Now()
		stop := w.run(t)
		w.outbox.commit(alert("i1", engine.ChangeRaised))
		w.d.Wake()
		time.Sleep(100 * time.Microsecond)
		require.Len(t, w.peers["a"].received(), 1)
		time.Sleep(10 * time.Second)
		w.outbox.commit(alert("i1", engine.ChangeExplained))
		time.Sleep(10 * time.Second)
		w.outbox.commit(alert("i1", engine.ChangeReclassified), alert("i2", engine.ChangeRaised))
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"i1/raised raised", "i2/raised raised"}, w.peers["a"].received(), "another incident is not held up")
		stop() // a restart keeps what waits
		stop = w.run(t)
		time.Sleep(10 * time.Minute)
		stop()
		require.Equal(t, []string{"i1/raised raised", "i2/raised raised", "i1/reclassified reclassified"}, w.peers["a"].received())
		require.GreaterOrEqual(t, w.peers["a"].at[2].Sub(began), time.Minute)
		left := w.outbox.get(t, "i1/explained", "a")
		require.Equal(t, engine.DeliveryDelivered, left.State)
		require.Contains(t, left.Error, "left out: alert i1/reclassified")
	})
}

func TestMutedAlertsWaitForTheEndOfTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the clock of a bubble starts on Saturday, 2000-01-01 00:00 UTC
		cfg := config("a", "always")
		cfg.Mutes = []Mute{{Name: "weekend", Days: []string{"sat-sun"}}}
		cfg.Routes = []Route{{Receivers: []string{"a"}, Mute: []string{"weekend"}, Continue: true}, {Receivers: []string{"always"}}}
		cfg.DefaultReceivers = nil
		cfg.PollInterval = time.Minute
		w := newWorld(cfg)
		stop := w.run(t)
		w.outbox.commit(alert("i1", engine.ChangeRaised), alert("i2", engine.ChangeRaised))
		w.d.Wake()
		time.Sleep(time.Hour)
		w.outbox.commit(alert("i1", engine.ChangeResolved))
		time.Sleep(40 * time.Hour)
		require.Empty(t, w.peers["a"].received())
		require.Len(t, w.peers["always"].received(), 3)
		require.Zero(t, w.value(t, "sentinel_notify_oldest_waiting_seconds", "a"), "what is muted is not late")
		stop()
		stop = w.run(t)
		time.Sleep(8 * time.Hour)
		stop()
		require.ElementsMatch(t, []string{"i1/resolved resolved", "i2/raised raised"}, w.peers["a"].received())
		require.Equal(t, time.Date(2000, 1, 3, 0, 0, 0, 0, time.UTC), w.peers["a"].at[0].UTC().Truncate(time.Second))
	})
}

func TestEscalation(t *testing.T) {
	cfg := config("team", "boss")
	cfg.DefaultReceivers = nil
	cfg.Routes = []Route{{Receivers: []string{"team"}, Escalate: []Escalation{{After: 15 * time.Minute, Receivers: []string{"boss"}}}}}
	for name, test := range map[string]struct {
		status  engine.Status // at the time of the escalation
		restart bool
		want    []string
	}{
		"nobody acknowledges":           {status: engine.StatusOpen, want: []string{"i1/raised escalated", "i1/acknowledged acknowledged", "i1/resolved resolved"}},
		"nobody acknowledges, restarts": {status: engine.StatusOpen, restart: true, want: []string{"i1/raised escalated", "i1/acknowledged acknowledged", "i1/resolved resolved"}},
		"acknowledged in time":          {status: engine.StatusAcknowledged, want: nil},
		"resolved in time":              {status: engine.StatusResolved, want: nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(cfg)
				began := time.Now()
				raised := alert("i1", engine.ChangeRaised)
				w.incidents.set(raised.Incident)
				stop := w.run(t)
				w.outbox.commit(raised)
				time.Sleep(5 * time.Minute)
				w.outbox.commit(alert("i1", engine.ChangeExplained))
				now := raised.Incident
				now.Status = test.status
				w.incidents.set(now)
				if test.restart {
					stop()
					stop = w.run(t)
				}
				time.Sleep(9 * time.Minute)
				require.Empty(t, w.peers["boss"].received())
				time.Sleep(2 * time.Minute)
				w.outbox.commit(alert("i1", engine.ChangeAcknowledged), alert("i1", engine.ChangeResolved))
				time.Sleep(time.Minute)
				stop()
				require.Equal(t, test.want, w.peers["boss"].received())
				require.Len(t, w.peers["team"].received(), 4)
				if test.want != nil {
					require.InDelta(t, 15*time.Minute, w.peers["boss"].at[0].Sub(began), float64(5*time.Second))
				} else {
					require.Contains(t, w.outbox.get(t, "i1/raised", "boss").Error, "not escalated: the incident was "+string(test.status))
				}
			})
		})
	}
}

func TestReceiverThatIsGoneFromTheConfigurationGetsDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(config("a", "old"))
		w.peers["old"].answer = func(context.Context, int, engine.Alert) error { return errDown }
		stop := w.run(t)
		w.outbox.commit(alert("i1", engine.ChangeRaised))
		time.Sleep(10 * time.Second)
		stop()
		w.cfg = config("a")
		delete(w.peers, "old")
		stop = w.run(t)
		time.Sleep(time.Hour)
		stop()
		require.Equal(t, []string{"i1/raised a delivered", "i1/raised old dead"}, w.outbox.state())
	})
}

func TestDispatcherNeedsASenderForEachReceiver(t *testing.T) {
	_, err := New(config("a"), Parts{}, nil, nil)
	require.ErrorContains(t, err, "receiver a has no sender")
	cfg := config("a")
	cfg.DefaultReceivers = []string{"nobody"}
	_, err = New(cfg, Parts{}, nil, nil)
	require.ErrorContains(t, err, `default_receivers: there is no receiver called "nobody"`)
}
