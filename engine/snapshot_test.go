package engine

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// broker keeps messages until they are acknowledged, and delivers them again to whoever comes after a crash.
type broker struct {
	mu       sync.Mutex
	messages []Span // one message each
	done     map[int]bool
	errs     []error
	session  int // what an earlier reader still says is not heard
}

// send delivers a message.
func (b *broker) send(x *plant, s Span) {
	b.mu.Lock()
	b.messages = append(b.messages, s)
	n := len(b.messages) - 1
	b.mu.Unlock()
	b.deliver(x, n)
}

func (b *broker) deliver(x *plant, n int) {
	session := b.session
	require.NoError(x.t, x.Consume(x.t.Context(), Batch{ID: fmt.Sprint("m", n), Spans: []Span{b.messages[n]}, Done: func(err error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if err != nil {
			b.errs = append(b.errs, err)
		} else if session == b.session {
			b.done[n] = true
		}
	}}))
}

func (b *broker) acknowledged() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.done)
}

// crash ends x as kill -9 does, and starts another process on what it left in the store. What was not acknowledged is delivered again.
func (b *broker) crash(x *plant) *plant {
	left := x.store.copy()
	b.mu.Lock()
	b.session++
	b.mu.Unlock()
	require.NoError(x.t, x.stop())
	y := x.restart()
	y.store, y.guard = left, nil
	if x.guard != nil {
		y.guard = &guard{show: x.guard.show}
	}
	y.build()
	y.run()
	pass(time.Millisecond)
	for n := range b.messages {
		if !b.done[n] {
			b.deliver(y, n)
		}
	}
	return y
}

// What is acknowledged is in a snapshot: a kill at any moment between forgets no span, and counts none twice.
func TestKillBetweenSnapshotsForgetsNothing(t *testing.T) {
	for seconds := 1; seconds < 120; seconds += 7 {
		t.Run(fmt.Sprint(seconds), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				x, b := newPlant(t, func(c *Config) { c.SnapshotEvery = time.Hour }), &broker{done: make(map[int]bool)}
				x.screener.score = abnormal
				x.run()
				const messages = 150
				crashes := 0
				for n := range messages {
					if n%40 == 20 {
						b.send(x, x.trace("hello", failed))
					} else {
						b.send(x, x.trace("hello"))
					}
					pass(time.Second)
					if n%seconds == seconds-1 && crashes < 4 {
						crashes++
						x = b.crash(x)
					}
				}
				pass(settled)
				require.Equal(t, messages, b.acknowledged())
				require.Empty(t, b.errs)
				require.Equal(t, messages, x.screener.seen(), "each span is counted once")
				require.Positive(t, crashes)
				require.Equal(t, 4, x.store.found(), "each anomaly is stored, under one id")
			})
		})
	}
}

// A group that is no incident yet survives with the traces that it has: the incident is the one that there would be without the kill.
func TestKillForgetsNoCandidate(t *testing.T) {
	raised := make(map[bool]Incident)
	for _, killed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			x, b := newPlant(t, func(c *Config) { c.SnapshotEvery = time.Hour }), &broker{done: make(map[int]bool)}
			x.screener.score = abnormal
			x.run()
			const needed = 5
			for range needed - 1 {
				b.send(x, x.trace("hello", failed))
				pass(settled)
			}
			require.Equal(t, needed-1, b.acknowledged())
			require.Empty(t, x.store.list())
			if killed {
				x = b.crash(x)
			}
			b.send(x, x.trace("hello", failed))
			pass(settled + x.cfg.Incidents.Settle)
			require.Equal(t, []string{ChangeRaised, ChangeExplained}, x.store.told())
			list := x.store.list()
			require.Len(t, list, 1)
			require.Len(t, list[0].Traces, needed)
			for _, a := range x.store.anomalies {
				require.Equal(t, list[0].ID, a.IncidentID, "those of before the kill name it too")
			}
			require.NoError(t, x.stop())
			raised[killed] = list[0]
		})
	}
	require.NotEmpty(t, raised[false].Evidence.Slices)
	require.Equal(t, raised[false].Evidence.Slices, raised[true].Evidence.Slices)
	require.Equal(t, raised[false].ID, raised[true].ID)
	require.Equal(t, raised[false].Anomalies, raised[true].Anomalies)
}

// An event is acknowledged at once, long before a snapshot holds it, and counts after a crash.
func TestKillForgetsNoSecurityEvent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x, b := newGuarded(t, func(c *Config) { c.SnapshotEvery = time.Hour }), &broker{}
		x.run()
		send := func(from, to int) {
			for n := from; n < to; n++ {
				done := false
				require.NoError(t, x.Consume(t.Context(), Batch{Events: []SecurityEvent{attack(n, "key-1")}, Done: func(err error) {
					require.NoError(t, err)
					done = true
				}}))
				pass(time.Second)
				require.True(t, done, "it is stored within a second")
			}
		}
		send(0, 30)
		x = b.crash(x)
		require.Len(t, x.guard.events, 30)
		require.NotContains(t, x.store.everything(t), "SECRET")
		send(30, 49)
		require.Empty(t, x.store.list())
		x = b.crash(x) // once more: they were not in a snapshot meanwhile
		require.Len(t, x.guard.events, 49)
		send(49, 50)
		require.Equal(t, []string{ChangeRaised}, x.store.told()[:1])
		require.Len(t, x.store.numbers(), 50)
	})
}

// Events leave their log once a snapshot holds them, and later ones go on behind them.
func TestSnapshotEmptiesTheLogOfEvents(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x, b := newGuarded(t), &broker{}
		x.run()
		for n := range 3 {
			require.NoError(t, x.Consume(t.Context(), Batch{Events: []SecurityEvent{attack(n, "key-1")}}))
		}
		pass(time.Second)
		require.Equal(t, []int64{1, 2, 3}, x.store.numbers())
		pass(x.cfg.SnapshotEvery)
		require.Empty(t, x.store.numbers())
		require.NoError(t, x.Consume(t.Context(), Batch{Events: []SecurityEvent{attack(3, "key-1")}}))
		pass(time.Second)
		require.Equal(t, []int64{4}, x.store.numbers())
		x = b.crash(x)
		require.Len(t, x.guard.events, 1)
		require.Equal(t, 4, x.guard.Seen, "three from the snapshot")
		require.NoError(t, x.Consume(t.Context(), Batch{Events: []SecurityEvent{attack(4, "key-1")}}))
		pass(time.Second)
		require.Equal(t, []int64{4, 5}, x.store.numbers())
	})
}

// A store that is down holds acknowledgements back; a part of a snapshot that it can never take does not.
func TestAcknowledgementWaitsForTheSnapshot(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x, b := newPlant(t), &broker{done: make(map[int]bool)}
		x.run()
		pass(time.Second)
		x.store.fail(errDown)
		b.send(x, x.trace("hello"))
		pass(settled)
		require.Zero(t, b.acknowledged())
		require.NotEmpty(t, x.Health().Degraded)
		x.store.fail(nil)
		pass(time.Minute)
		require.Equal(t, 1, b.acknowledged())
		require.Empty(t, x.Health().Degraded)

		x.store.tooLarge = map[string]bool{snapshotScreener: true}
		b.send(x, x.trace("hello"))
		pass(settled)
		require.Equal(t, 2, b.acknowledged())
		require.Len(t, x.Health().Degraded, 1)
		require.Equal(t, "snapshots", x.Health().Degraded[0].Part)
	})
}

// A stop takes the last snapshot, and acknowledges what it holds.
func TestStopAcknowledges(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x, b := newPlant(t, func(c *Config) { c.SnapshotEvery, c.AcknowledgeEvery = time.Hour, time.Hour }), &broker{done: make(map[int]bool)}
		x.run()
		b.send(x, x.trace("hello"))
		pass(settled)
		require.Zero(t, b.acknowledged())
		require.NoError(t, x.stop())
		require.Equal(t, 1, b.acknowledged())
	})
}

// A snapshot of surges gives them back as they were, and they go on.
func TestSurgesAreRestored(t *testing.T) {
	t.Parallel()
	x := newSurging(t, 7)
	for range 50 {
		x.window(30, 0, 1)
	}
	x.window(30, 0.3, 1)
	var kept bytes.Buffer
	require.NoError(t, x.s.Snapshot(&kept))
	y := newSurging(t, 7)
	require.NoError(t, y.s.Restore(bytes.NewReader(kept.Bytes())))
	y.rng, y.now, y.traces = x.rng, x.now, x.traces
	require.Equal(t, x.s.until, y.s.until)
	require.Equal(t, x.s.keys.Keys(), y.s.keys.Keys())
	for _, k := range x.s.keys.Keys() {
		want, _ := x.s.keys.Peek(k)
		got, _ := y.s.keys.Peek(k)
		require.Equal(t, want, got)
	}
	require.NotEmpty(t, y.window(30, 0.5, 0.01), "it goes on")
	for detector, i := range x.s.inflation {
		require.Equal(t, i.Factor(), y.s.inflation[detector].Factor())
	}
	require.Error(t, y.s.Restore(bytes.NewReader(kept.Bytes()[:kept.Len()/2])))
}
