package engine

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// campaign says at the fiftieth event of a key, and at every one after it, that the key attacks.
func campaign(g *guard, _ time.Time) []Finding {
	byKey := make(map[string]int)
	var out []Finding
	for _, e := range g.events {
		byKey[e.APIKey]++
	}
	last := g.events[max(0, len(g.events)-1):]
	for key, n := range byKey {
		if n < 50 {
			continue
		}
		f := material(SecurityPattern, 1e-20)
		f.Detector, f.At, f.Window, f.Subject = "campaign", last[0].At, 10*time.Minute, Subject{SubjectAPIKey, key}
		f.Series.Service = last[0].Service
		f.Effect = Effect{Baseline: 0, Current: float64(n), Unit: "events"}
		f.Excerpt = "first: " + g.events[0].Details["prompt"]
		out = append(out, f)
	}
	return out
}

func newGuarded(t *testing.T, change ...func(*Config)) *plant {
	x := newPlant(t, change...)
	x.guard = &guard{show: campaign}
	x.build()
	return x
}

func attack(n int, key string) SecurityEvent {
	return SecurityEvent{
		ID: fmt.Sprint("e-", key, n), At: time.Now(), Type: "jailbreak", Severity: SeverityHigh, Service: "shop", APIKey: key,
		Details: map[string]string{"prompt": "my key is " + secret},
	}
}

func TestCampaignOfOneKeyIsOneCriticalIncidentAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newGuarded(t)
		x.run()
		var done atomic.Int32
		for n := range 60 {
			b := Batch{Events: []SecurityEvent{attack(n, "key-1"), attack(n, fmt.Sprint("other-", n))}, Done: func(error) { done.Add(1) }}
			require.NoError(t, x.Consume(t.Context(), b))
			pass(time.Second)
			if n == 48 {
				require.Empty(t, x.store.list())
			}
			if n == 49 {
				require.Equal(t, []string{ChangeRaised}, x.store.told()[:1], "the event that completes it is answered within a second")
			}
		}
		require.EqualValues(t, 60, done.Load())
		list := x.store.list()
		require.Len(t, list, 1)
		in := list[0]
		require.Equal(t, SecurityPattern, in.Type)
		require.Equal(t, SeverityCritical, in.Severity)
		require.Equal(t, Subject{SubjectAPIKey, "key-1"}, in.Subject)
		require.Equal(t, "Pattern of attacks by API key key-1 against shop", in.Title)
		require.NotNil(t, in.Explanation)
		require.Zero(t, x.Health().Dropped[dropUnread])
		data, err := json.Marshal(x.guard.events)
		require.NoError(t, err)
		require.NotContains(t, string(data), "SECRET")
		require.Contains(t, string(data), "[KEY]")
		require.NotContains(t, x.store.everything(t), "SECRET")
		pass(2 * time.Hour)
		require.NotEmpty(t, x.guard.marks)
	})
}

func TestTwoCampaignsWithoutTracesAreTwoIncidents(t *testing.T) {
	t.Parallel()
	g := newGrouping(t)
	for range 3 {
		for _, key := range []string{"key-1", "key-2"} {
			a := g.anomaly(SecurityPattern, Subject{SubjectAPIKey, key}, 1)
			a.TraceID, a.Service = TraceID{}, ""
			g.add(&a)
		}
		g.step(time.Minute)
	}
	list := g.incidents()
	require.Len(t, list, 2)
	require.NotNil(t, list[0].Services)
	require.Empty(t, list[0].Services, "an event may name no service")
	require.Equal(t, "Pattern of attacks by API key key-1", list[0].Title)
}

func TestWhatTheCampaignsTracesShowIsPartOfIt(t *testing.T) {
	t.Parallel()
	g := newGrouping(t)
	a := g.anomaly(SecurityPattern, theKey, 1)
	a.TraceID = TraceID{}
	g.add(&a)
	g.step(0)
	g.several(10, Jailbreak, theKey)
	in := g.incident()
	require.Equal(t, SecurityPattern, in.Type)
	require.Equal(t, []AnomalyType{Jailbreak}, in.Also)
}

func TestEventsIdentitiesAreThoseOfSpans(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newGuarded(t)
		x.run()
		e := attack(1, secret)
		e.User = secret
		require.NoError(t, x.Consume(t.Context(), Batch{Events: []SecurityEvent{e}, Spans: []Span{x.trace("hello", func(s *Span) { s.User = secret })}}))
		pass(settled)
		require.Equal(t, x.screener.spans[0].User, x.guard.events[0].User)
		require.Equal(t, x.guard.events[0].User, x.guard.events[0].APIKey)
		require.NotContains(t, x.guard.events[0].User, "SECRET")
		require.Equal(t, []TraceID{x.screener.spans[0].TraceID}, x.guard.answered)
	})
}

func TestEventOfAClockThatRunsAheadIsTakenAsOfNow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newGuarded(t)
		x.run()
		e := attack(1, "key-1")
		e.At = e.At.Add(time.Hour)
		require.NoError(t, x.Consume(t.Context(), Batch{Events: []SecurityEvent{e}}))
		pass(time.Second)
		require.False(t, x.guard.events[0].At.After(time.Now()))
		require.EqualValues(t, 1, x.Health().Dropped[dropFuture])
		for i := 1; i < len(x.guard.marks); i++ {
			require.False(t, x.guard.marks[i].Before(x.guard.marks[i-1]), "its time never goes back")
		}
	})
}

func TestWhatTheGuardLearntOutlivesTheProcess(t *testing.T) {
	bubble(t, func(t *testing.T) {
		x := newGuarded(t)
		x.run()
		require.NoError(t, x.Consume(t.Context(), Batch{Events: []SecurityEvent{attack(1, "key-1"), attack(2, "key-1")}}))
		pass(time.Second)
		require.NoError(t, x.stop())
		y := x.restart()
		y.guard = &guard{}
		y.build()
		y.run()
		pass(time.Second)
		require.Equal(t, 2, y.guard.Seen)
	})
}

func TestEventsWaitInABoundedQueueToo(t *testing.T) {
	t.Parallel()
	x := newPlant(t, func(c *Config) { c.QueueSpans = 10 })
	require.NoError(t, x.Consume(t.Context(), Batch{Events: make([]SecurityEvent, 10)}))
	require.Equal(t, CodeFull, ErrorCode(x.Consume(t.Context(), Batch{Events: make([]SecurityEvent, 1)})))
}
