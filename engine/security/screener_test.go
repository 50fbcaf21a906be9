package security

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

func TestCampaignOfOneKeyIsFoundAmongATrickle(t *testing.T) {
	t.Parallel()
	for _, before := range []time.Duration{0, time.Hour, 24 * time.Hour} {
		for seed := range uint64(3) {
			t.Run(fmt.Sprintf("after %s, seed %d", before, seed), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, seed)
				w.trickle(before, time.Minute, 300)
				w.quiet()
				start := w.now
				for i := range 50 {
					w.send(w.event("thief", func(e *engine.SecurityEvent) { e.TraceID = trace(i) }))
					w.now = w.now.Add(12 * time.Second)
					if i%5 == 0 {
						w.send(w.event(fmt.Sprint("key-", i)))
					}
				}
				all := w.only("campaign", key("thief"))
				first, last := all[0], all[len(all)-1]
				require.LessOrEqual(t, first.At.Sub(start), 5*time.Minute, "told as soon as it is one, not at the end of a window")
				require.GreaterOrEqual(t, last.Effect.Current, 40.0)
				require.LessOrEqual(t, last.Effect.Baseline, 3.0)
				require.Equal(t, "events", last.Effect.Unit)
				require.NotEmpty(t, last.Traces)
				require.LessOrEqual(t, len(last.Traces), maxTraces)
				require.Equal(t, "assistant", last.Series.Service)
				require.Less(t, last.P, 1e-9)
				require.WithinDuration(t, start, last.At.Add(-last.Window), 2*time.Minute, "it began with the first event")
				require.LessOrEqual(t, len(all), 8, "not told at each event")
			})
		}
	}
}

func TestCampaignWithoutAnythingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.burst(50, 10*time.Minute, "thief", func(e *engine.SecurityEvent) {
		e.ID, e.Service, e.Details = "", "", map[string]string{"session_id": fmt.Sprint("s-", w.n), "tenant": "acme"}
	})
	w.only("campaign", key("thief"))
}

func TestSteadyTrickleIsQuiet(t *testing.T) {
	t.Parallel()
	as := func(name string, change func(w *world, e *engine.SecurityEvent)) struct {
		name   string
		change func(*world, *engine.SecurityEvent)
	} {
		return struct {
			name   string
			change func(*world, *engine.SecurityEvent)
		}{name, change}
	}
	for _, kind := range []struct {
		name   string
		change func(*world, *engine.SecurityEvent)
	}{
		as("keys", func(*world, *engine.SecurityEvent) {}),
		as("keys of one tenant behind one address", func(_ *world, e *engine.SecurityEvent) {
			e.Details["tenant"], e.Details["ip"] = "acme", "192.0.2.1"
		}),
		as("users of one key", func(_ *world, e *engine.SecurityEvent) { e.User, e.APIKey = e.APIKey, "application" }),
		as("users without a name", func(_ *world, e *engine.SecurityEvent) { e.User = "anonymous" }),
		as("sessions", func(w *world, e *engine.SecurityEvent) {
			e.APIKey, e.Details["session_id"] = "", fmt.Sprint("s-", w.n/3)
		}),
		as("nobody", func(_ *world, e *engine.SecurityEvent) { e.APIKey = "" }),
		as("mixed types", func(w *world, e *engine.SecurityEvent) {
			e.Type = []string{"jailbreak", "prompt_injection", "pii_leak", "login_failed", "rate_limit_exceeded"}[w.random.IntN(5)]
		}),
		as("retries of two to four", func(w *world, e *engine.SecurityEvent) {
			for range w.random.IntN(3) {
				w.send(w.event(e.APIKey))
			}
		}),
	} {
		for _, many := range []struct {
			keys  int
			pause time.Duration
		}{{2_000, 20 * time.Second}, {40, 30 * time.Second}, {15, time.Minute}} {
			t.Run(fmt.Sprintf("%s %d", kind.name, many.keys), func(t *testing.T) {
				t.Parallel()
				for seed := range uint64(2) {
					w := newWorld(t, seed)
					w.trickle(24*time.Hour, many.pause, many.keys, func(e *engine.SecurityEvent) { kind.change(w, e) })
					w.quiet()
				}
			})
		}
	}
}

func TestTrickleWithARhythmOverAWeekIsQuiet(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2) {
		w := newWorld(t, seed+10)
		for end := w.now.Add(7 * 24 * time.Hour); w.now.Before(end); {
			w.wait(time.Duration(float64(20*time.Second) / rhythm(w.now)))
			w.send(w.event(fmt.Sprint("key-", int(50*w.random.ExpFloat64()))))
		}
		w.quiet()
	}
}

func TestWhoAlwaysDoesItIsNormal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	red := func(lasts time.Duration) {
		for end := w.now.Add(lasts); w.now.Before(end); {
			w.burst(12, 10*time.Minute, "red-team")
			w.send(w.event(fmt.Sprint("key-", w.random.IntN(100))))
		}
	}
	red(36 * time.Hour)
	w.found = nil
	red(6 * time.Hour)
	w.quiet()
	w.burst(200, 10*time.Minute, "red-team")
	w.only("campaign", key("red-team"))
}

func TestTheNarrowestSubjectIsBlamed(t *testing.T) {
	t.Parallel()
	user := func(value string) func(*engine.SecurityEvent) {
		return func(e *engine.SecurityEvent) { e.User = value }
	}
	t.Run("a user of a shared key", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, 1)
		shared := func(lasts time.Duration) {
			for end := w.now.Add(lasts); w.now.Before(end); w.wait(time.Minute) {
				w.send(w.event("application", user(fmt.Sprint("u-", w.random.IntN(50)))))
			}
		}
		shared(12 * time.Hour)
		for range 30 {
			w.send(w.event("application", user("u-evil")))
			shared(20 * time.Second)
		}
		w.only("campaign", engine.Subject{Kind: engine.SubjectUser, Value: "u-evil"})
	})
	t.Run("a key with many users", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, 2)
		w.trickle(12*time.Hour, time.Minute, 100)
		for i := range 60 {
			w.send(w.event("stolen", user(fmt.Sprint("u-", i%20))))
			w.now = w.now.Add(5 * time.Second)
		}
		w.only("campaign", key("stolen"))
	})
	t.Run("an address with many keys", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, 3)
		from := func(ip string) func(*engine.SecurityEvent) {
			return func(e *engine.SecurityEvent) { e.Type = "login_failed"; e.Details = map[string]string{"ip": ip} }
		}
		w.trickle(12*time.Hour, 20*time.Second, 300, func(e *engine.SecurityEvent) { from(fmt.Sprint("192.0.2.", w.random.IntN(200)))(e) })
		for i := range 60 {
			w.send(w.event(fmt.Sprint("sprayed-", i), from("198.51.100.9")))
			w.now = w.now.Add(3 * time.Second)
		}
		w.only("failed_logins", engine.Subject{Kind: engine.SubjectSource, Value: "198.51.100.9"})
	})
}

func TestDistributedCampaign(t *testing.T) {
	t.Parallel()
	for name, pattern := range map[string]string{"a signature that is known": "dan", "a new signature": "grandmother"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			w.trickle(24*time.Hour, time.Minute, 300)
			w.quiet()
			for i := range 150 {
				w.send(w.event(fmt.Sprint("bot-", i%60), func(e *engine.SecurityEvent) { e.Details["pattern"] = pattern }))
				w.now = w.now.Add(4 * time.Second)
			}
			f := w.only("distributed_campaign", engine.Subject{Kind: engine.SubjectSignature, Value: "jailbreak/" + pattern})
			require.Less(t, f[0].Effect.Current, 150.0, "told before it is over")
		})
	}
}

func TestCampaignOfOneIsNoCampaignOfMany(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.trickle(24*time.Hour, 20*time.Second, 300)
	for range 300 {
		w.send(w.event("thief"))
		w.trickle(2*time.Second, 20*time.Second, 300)
	}
	w.only("campaign", key("thief"))
}

func TestVolumeOfAService(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.trickle(48*time.Hour, time.Minute, 300)
	w.quiet()
	for i := range 200 { // each of another signature, by another key
		w.send(w.event(fmt.Sprint("k-", i), func(e *engine.SecurityEvent) { e.Details["pattern"] = fmt.Sprint("p-", i) }))
		w.now = w.now.Add(3 * time.Second)
	}
	w.only("event_volume", engine.Subject{Kind: engine.SubjectService, Value: "assistant"})
}

func TestExceededLimits(t *testing.T) {
	t.Parallel()
	limited := func(e *engine.SecurityEvent) {
		e.Type, e.Severity, e.Details = "rate_limit_exceeded", engine.SeverityLow, nil
	}
	cold := newWorld(t, 1)
	cold.burst(300, 10*time.Minute, "batch-job", limited)
	cold.quiet()

	w := newWorld(t, 1)
	w.trickle(24*time.Hour, 20*time.Second, 200, limited)
	w.burst(300, 10*time.Minute, "scraper", limited)
	w.only("limit_burst", key("scraper"))
}

func TestTakeoverAfterFailedLogins(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	login := func(outcome string) func(*engine.SecurityEvent) {
		return func(e *engine.SecurityEvent) {
			e.Type, e.User, e.APIKey, e.Details = "login_"+outcome, e.APIKey, "", nil
		}
	}
	w.trickle(12*time.Hour, 20*time.Second, 200, func(e *engine.SecurityEvent) {
		login([]string{"failed", "succeeded", "succeeded"}[w.random.IntN(3)])(e)
	})
	w.quiet()
	w.burst(40, 5*time.Minute, "victim", login("failed"))
	who := engine.Subject{Kind: engine.SubjectUser, Value: "victim"}
	w.only("failed_logins", who)
	w.found = nil
	w.send(w.event("victim", login("succeeded")), w.event("victim", login("succeeded")))
	require.Len(t, w.only("account_takeover", who), 1)
}

func TestRepeatedViolator(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for range 14 {
		midnight := w.now
		w.trickle(23*time.Hour, 10*time.Minute, 3_000)
		for range 3 {
			w.send(w.event("stubborn"))
			w.now = w.now.Add(10 * time.Minute)
		}
		w.now = midnight.Add(24 * time.Hour)
	}
	f := w.only("repeated_violator", key("stubborn"))
	require.Equal(t, "days", f[0].Effect.Unit)
	require.LessOrEqual(t, len(f), 10, "at most once a day")
}

// work lets a key be used from nine to five for some days, in one place.
func (w *world) work(days int, who string) {
	for d := range days {
		morning := w.now.Add(9 * time.Hour)
		for i := range 8 * 12 {
			w.now = morning.Add(time.Duration(i) * 5 * time.Minute)
			root := engine.Span{TraceID: trace(d*1000 + i), SpanID: engine.SpanID{1}, Service: "assistant", APIKey: who, Start: w.now, End: w.now.Add(time.Second)}
			tr := engine.NewTrace(root.TraceID, []engine.Span{root})
			w.s.Answered(&tr)
			w.send(w.event(who, func(e *engine.SecurityEvent) {
				e.Type, e.Severity, e.Details = "key_used", engine.SeverityLow, map[string]string{"country": "DE", "user_agent": "python/3"}
			}))
		}
		w.now = morning.Add(15 * time.Hour)
	}
}

func TestUnusualUseOfAKey(t *testing.T) {
	t.Parallel()
	elsewhere := func(kind string) func(*engine.SecurityEvent) {
		return func(e *engine.SecurityEvent) {
			e.Type, e.Details = kind, map[string]string{"country": "BR", "user_agent": "curl/8"}
		}
	}
	t.Run("attacks at night", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, 1)
		w.work(14, "k")
		w.trickle(27*time.Hour, time.Minute, 300)
		w.burst(8, 5*time.Minute, "k")
		require.Contains(t, w.only("unusual_use", key("k"))[0].Reason, "UTC")
	})
	t.Run("another place, client and hour", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, 1)
		w.work(20, "k")
		w.now = w.now.Add(3 * time.Hour)
		w.burst(3, time.Minute, "k", elsewhere("key_used"))
		reason := w.only("unusual_use", key("k"))[0].Reason
		require.Contains(t, reason, "new place (br)")
		require.Contains(t, reason, "new client")
	})
	t.Run("one of them alone is nothing", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, 1)
		w.work(20, "k")
		w.now = w.now.Add(3 * time.Hour)
		w.burst(1, time.Minute, "k", func(e *engine.SecurityEvent) { e.Type, e.Details = "key_used", map[string]string{"country": "DE"} })
		w.now = w.now.Add(8 * time.Hour)
		w.burst(5, time.Minute, "k", elsewhere("key_used"))
		w.quiet()
	})
	t.Run("nor is anything of a key that is hardly known", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, 1)
		w.work(2, "k")
		w.now = w.now.Add(3 * time.Hour)
		w.burst(3, time.Minute, "k", elsewhere("key_used"))
		w.quiet()
	})
}

func TestLateAndShuffledEventsCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.trickle(12*time.Hour, time.Minute, 300)
	var events []engine.SecurityEvent
	for range 50 {
		events = append(events, w.event("thief"))
		w.now = w.now.Add(12 * time.Second)
	}
	w.trickle(5*time.Minute, time.Minute, 300)
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	for _, e := range events {
		w.send(e)
	}
	all := w.only("campaign", key("thief"))
	require.GreaterOrEqual(t, all[len(all)-1].Effect.Current, 40.0)
}

func TestEventsOfTheDistantPastAndOfNoTimeAreOnlyCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.burst(5, time.Minute, "k")
	w.burst(50, time.Minute, "k", func(e *engine.SecurityEvent) { e.At = e.At.Add(-time.Hour) })
	w.burst(50, time.Minute, "k", func(e *engine.SecurityEvent) { e.At = time.Time{} })
	w.quiet()
	require.Equal(t, 100.0, testutil.ToFloat64(w.s.late))
}

func TestRepeatedEventsCountOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for range 15 {
		e := w.event("k")
		for range 10 {
			w.send(e)
		}
		w.now = w.now.Add(10 * time.Second)
	}
	w.quiet()
	require.Equal(t, 135.0, testutil.ToFloat64(w.s.events.WithLabelValues("repeated")))
}

func TestFindingsDoNotDependOnHowEventsAreDelivered(t *testing.T) {
	t.Parallel()
	record := func() (*world, []engine.SecurityEvent) {
		w := newWorld(t, 1)
		var events []engine.SecurityEvent
		for i := range 3_000 {
			w.wait(10 * time.Second)
			events = append(events, w.event(fmt.Sprint("key-", w.random.IntN(200))))
			if i > 2_900 {
				events = append(events, w.event("thief"))
			}
		}
		return w, events
	}
	one, events := record()
	one.s.Observe(events)
	one.found = one.s.Advance(one.now)
	other, _ := record()
	for _, e := range events {
		other.s.Observe([]engine.SecurityEvent{e})
		other.found = append(other.found, other.s.Advance(e.At)...)
	}
	subjects := func(w *world) (out []string) {
		for _, f := range w.only("campaign", key("thief")) {
			out = append(out, f.At.String())
		}
		return out
	}
	require.Equal(t, subjects(one)[0], subjects(other)[0])
}

func TestMemoryIsBoundedUnderAMillionIdentities(t *testing.T) {
	if testing.Short() {
		t.Skip("some seconds")
	}
	t.Parallel()
	w := newWorld(t, 1, func(c *Config) {
		c.MaxSubjects, c.MaxSignatures, c.MaxServices, c.MaxTraces, c.MaxEvents = 1_000, 100, 10, 500, 1_000
	})
	var batch []engine.SecurityEvent
	for i := range 250_000 { // of four identities each
		w.now = w.now.Add(20 * time.Millisecond)
		batch = append(batch, w.event(fmt.Sprint("k-", i), func(e *engine.SecurityEvent) {
			e.Service, e.User, e.TraceID = fmt.Sprint("service-", i%5_000), fmt.Sprint("u-", i), trace(i)
			e.Details = map[string]string{"pattern": fmt.Sprint("p-", i), "action": "allowed", "session_id": fmt.Sprint("s-", i), "ip": fmt.Sprint("a-", i)}
		}))
		if i%200 == 0 && i > 150_000 { // the flood does not hide a burst: one event in four seconds
			batch = append(batch, w.event("thief"))
		}
		if len(batch) >= 1_000 {
			w.send(batch...)
			batch = batch[:0]
		}
	}
	require.LessOrEqual(t, len(w.s.activities.items), 2*1_000)
	require.LessOrEqual(t, len(w.s.violators.items), 2*1_000)
	require.LessOrEqual(t, len(w.s.habits.items), 2*1_000)
	require.LessOrEqual(t, len(w.s.signatures.items), 2*100)
	require.LessOrEqual(t, len(w.s.services.items), 2*10)
	require.LessOrEqual(t, w.s.guarded.Len(), 500)
	require.LessOrEqual(t, w.s.seen.len(), 1_000)
	require.LessOrEqual(t, len(w.s.seen.ids), 1_000)
	w.only("campaign", key("thief"))
}

func TestConfig(t *testing.T) {
	t.Parallel()
	require.NoError(t, DefaultConfig().Validate())
	for name, change := range map[string]func(*Config){
		"window":         func(c *Config) { c.Window = 7 * time.Minute },
		"half_life":      func(c *Config) { c.HalfLife = 0 },
		"min_ratio":      func(c *Config) { c.MinRatio = 0.5 },
		"extreme_events": func(c *Config) { c.ExtremeEvents = c.MinEvents - 1 },
		"min_windows":    func(c *Config) { c.MinWindows = 9_000 },
		"max_subjects":   func(c *Config) { c.MaxSubjects = 0 },
	} {
		c := DefaultConfig()
		change(&c)
		require.ErrorContains(t, c.Validate(), name)
	}
}

func TestClasses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]class{
		"jailbreak": attack, "prompt_injection": attack, "auth_bypass": attack, "credential_leak": attack, "token_smuggling": attack, "brute_force": attack,
		"rate_limit_exceeded": limit, "RateLimit": limit, "quota.exceeded": limit, "request_throttled": limit,
		"login_failed": failure, "Auth-Failure": failure, "invalid_api_key": failure, "authentication.failed": failure, "login outcome=failure": failure,
		"login_attempt success=false": failure, "login_succeeded": success, "auth_success": success, "login result=success": success,
		"login": use, "api_key_used": use,
	} {
		kind, rest, _ := strings.Cut(text, " ")
		name, value, _ := strings.Cut(rest, "=")
		e := engine.SecurityEvent{Type: kind, Details: map[string]string{name: value}}
		require.Equal(t, want, classOf(&e), text)
	}
}
