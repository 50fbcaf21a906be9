package storetest

import (
	"encoding/base64"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// alertOf is an alert about an incident.
func alertOf(id, incident string) engine.Alert {
	return engine.Alert{ID: id, At: noon, Change: engine.ChangeRaised, Incident: incidentAt(incident, noon)}
}

func commit(t *testing.T, s Store, alerts ...engine.Alert) {
	t.Helper()
	require.NoError(t, s.Record(t.Context(), engine.Entry{Alerts: alerts}))
}

// waiting is a delivery that waits until next.
func waiting(receiver string, next time.Time) engine.Delivery {
	return engine.Delivery{Receiver: receiver, State: engine.DeliveryWaiting, Next: next, At: noon}
}

// routed commits an alert and routes it to receivers, to be tried at noon.
func routed(t *testing.T, s Store, a engine.Alert, receivers ...string) {
	t.Helper()
	commit(t, s, a)
	var to []engine.Delivery
	for _, r := range receivers {
		to = append(to, waiting(r, noon))
	}
	require.NoError(t, s.Route(t.Context(), a.ID, to))
}

func unrouted(t *testing.T, s Store) []string {
	t.Helper()
	alerts, err := s.Unrouted(t.Context(), 1000)
	require.NoError(t, err)
	ids := []string{}
	for _, a := range alerts {
		ids = append(ids, a.ID)
	}
	return ids
}

// due lists what is due as "alert to receiver".
func due(t *testing.T, s Store, now time.Time, n int) []string {
	t.Helper()
	list, err := s.Due(t.Context(), now, n)
	require.NoError(t, err)
	out := []string{}
	for _, d := range list {
		out = append(out, d.Alert.ID+" to "+d.Receiver)
	}
	return out
}

func counts(t *testing.T, s Store) string {
	t.Helper()
	n, err := s.CountDeliveries(t.Context())
	require.NoError(t, err)
	require.Len(t, n, 3, "each state, those that none is in too")
	return fmt.Sprintf("%d waiting, %d delivered, %d dead", n[engine.DeliveryWaiting], n[engine.DeliveryDelivered], n[engine.DeliveryDead])
}

func save(t *testing.T, s Store, d engine.Delivery, change func(*engine.Delivery)) engine.Delivery {
	t.Helper()
	change(&d)
	require.NoError(t, s.SaveDelivery(t.Context(), d))
	return d
}

func delivered(d *engine.Delivery) { d.State, d.Attempts = engine.DeliveryDelivered, d.Attempts+1 }

func deadAt(at time.Time) func(*engine.Delivery) {
	return func(d *engine.Delivery) {
		d.State, d.Attempts, d.Error, d.At = engine.DeliveryDead, d.Attempts+1, "refused", at
	}
}

func alertsAreCommittedWithTheirIncident(t *testing.T, s Store) {
	a, in := alertOf("al-1", "i-1"), incidentAt("i-1", noon)
	bad := anomalyAt("a-1", noon)
	bad.Score = math.NaN()
	e := engine.Entry{Anomalies: []engine.Anomaly{bad}, Incidents: []engine.Incident{in}, Alerts: []engine.Alert{a}}
	requireCode(t, engine.CodeInvalid, s.Record(t.Context(), e))
	require.Empty(t, unrouted(t, s), "all or nothing")
	e.Anomalies, e.Alerts = nil, []engine.Alert{a, {Change: "raised"}}
	requireCode(t, engine.CodeInvalid, s.Record(t.Context(), e))
	require.Empty(t, unrouted(t, s))
	require.Empty(t, incidentIDs(t, s, engine.IncidentQuery{}))

	whole := a
	whole.At = noon.In(time.FixedZone("east", 3600))
	anomaly := anomalyAt("a-1", noon)
	about := engine.Alert{ID: "al-2", At: noon, Change: engine.ChangeAnomaly, Anomaly: &anomaly}
	e.Alerts = []engine.Alert{whole, about}
	require.NoError(t, s.Record(t.Context(), e))
	got, err := s.Unrouted(t.Context(), 10)
	require.NoError(t, err)
	require.Equal(t, []engine.Alert{a, about}, got)

	// The transaction is made again because its answer was lost, or something else comes under the same id.
	again := a
	again.Change = "resolved"
	e.Alerts = []engine.Alert{again, about, alertOf("al-3", "i-1")}
	require.NoError(t, s.Record(t.Context(), e))
	require.NoError(t, s.Route(t.Context(), "al-1", nil))
	require.NoError(t, s.Record(t.Context(), e))
	require.Equal(t, []string{"al-2", "al-3"}, unrouted(t, s), "an id that was committed once is never taken again")
}

func alertsKeepTheirOrder(t *testing.T, s Store) {
	commit(t, s, alertOf("c", "i-1"), alertOf("a", "i-2"))
	commit(t, s, alertOf("b", "i-1"))
	require.Equal(t, []string{"c", "a", "b"}, unrouted(t, s))
	some, err := s.Unrouted(t.Context(), 2)
	require.NoError(t, err)
	require.Len(t, some, 2)
	none, err := s.Unrouted(t.Context(), 0)
	require.NoError(t, err)
	require.Empty(t, none)
	_, err = s.Unrouted(t.Context(), -1)
	requireCode(t, engine.CodeInvalid, err)
}

func routes(t *testing.T, s Store) {
	commit(t, s, alertOf("al-1", "i-1"), alertOf("al-2", "i-2"), alertOf("al-3", "i-3"))
	later := waiting("pager", noon.Add(time.Minute))
	require.NoError(t, s.Route(t.Context(), "al-1", []engine.Delivery{waiting("chat", noon), later}))
	require.Equal(t, []string{"al-2", "al-3"}, unrouted(t, s))
	require.NoError(t, s.Route(t.Context(), "al-1", []engine.Delivery{waiting("mail", noon)}), "it is routed already")
	require.NoError(t, s.Route(t.Context(), "al-2", nil), "nobody is to know")
	require.Equal(t, []string{"al-3"}, unrouted(t, s))

	list, err := s.Due(t.Context(), noon.Add(time.Hour), 10)
	require.NoError(t, err)
	first, second := waiting("chat", noon), later
	first.Alert, second.Alert = alertOf("al-1", "i-1"), alertOf("al-1", "i-1")
	require.Equal(t, []engine.Delivery{first, second}, list)
	require.Equal(t, "2 waiting, 0 delivered, 0 dead", counts(t, s))

	requireCode(t, engine.CodeNotFound, s.Route(t.Context(), "no such", nil))
	requireCode(t, engine.CodeInvalid, s.Route(t.Context(), "al-3", []engine.Delivery{waiting("chat", noon), waiting("", noon)}))
	requireCode(t, engine.CodeInvalid, s.Route(t.Context(), "al-3", []engine.Delivery{{Receiver: "chat", State: "lost"}}))
	requireCode(t, engine.CodeInvalid, s.Route(t.Context(), "al-3", []engine.Delivery{{Receiver: "chat", State: engine.DeliveryDead, Attempts: -1}}))
	require.Equal(t, []string{"al-3"}, unrouted(t, s), "all or none")
	require.NoError(t, s.Route(t.Context(), "al-3", []engine.Delivery{{Receiver: "chat", State: engine.DeliveryWaiting}, {Receiver: "chat", State: engine.DeliveryWaiting}}))
	require.Equal(t, []string{"al-3 to chat"}, due(t, s, time.Unix(0, 0), 10), "without a time it is due at any, and a receiver gets it once")
	list, err = s.Due(t.Context(), noon.Add(-time.Hour), 10)
	require.NoError(t, err)
	require.True(t, list[0].Next.IsZero() && list[0].At.IsZero())
}

func dueDeliveries(t *testing.T, s Store) {
	for i, seconds := range []int{3, 1, 2, 60} {
		a := alertOf(fmt.Sprint("al-", i), fmt.Sprint("i-", i))
		commit(t, s, a)
		require.NoError(t, s.Route(t.Context(), a.ID, []engine.Delivery{waiting("chat", noon.Add(time.Duration(seconds)*time.Second))}))
	}
	require.Equal(t, []string{"al-1 to chat", "al-2 to chat", "al-0 to chat"}, due(t, s, noon.Add(3*time.Second), 10), "earliest first, now included")
	require.Equal(t, []string{"al-1 to chat", "al-2 to chat"}, due(t, s, noon.Add(3*time.Second), 2))
	require.Empty(t, due(t, s, noon, 10))
	require.Empty(t, due(t, s, noon.Add(time.Hour), 0))
	_, err := s.Due(t.Context(), noon, -1)
	requireCode(t, engine.CodeInvalid, err)

	list, err := s.Due(t.Context(), noon.Add(time.Minute), 1)
	require.NoError(t, err)
	failed := save(t, s, list[0], func(d *engine.Delivery) {
		d.Attempts, d.Next, d.At, d.Error = 1, noon.Add(time.Hour), noon.Add(time.Second), "503"
	})
	require.NotContains(t, due(t, s, noon.Add(time.Minute), 10), "al-1 to chat")
	list, err = s.Due(t.Context(), noon.Add(time.Hour), 10)
	require.NoError(t, err)
	require.Equal(t, failed, list[len(list)-1])
	save(t, s, list[0], delivered)
	require.Len(t, due(t, s, noon.Add(time.Hour), 10), 3)
	require.Equal(t, "3 waiting, 1 delivered, 0 dead", counts(t, s))

	requireCode(t, engine.CodeNotFound, s.SaveDelivery(t.Context(), engine.Delivery{Alert: failed.Alert, Receiver: "nobody", State: engine.DeliveryDead}))
	requireCode(t, engine.CodeNotFound, s.SaveDelivery(t.Context(), engine.Delivery{Alert: alertOf("none", "i"), Receiver: "chat", State: engine.DeliveryDead}))
	requireCode(t, engine.CodeInvalid, s.SaveDelivery(t.Context(), engine.Delivery{Alert: failed.Alert, Receiver: "chat", State: "lost"}))
}

// Deliveries of one time are in the order in which their alerts were committed, whatever these are called.
func dueInTheOrderOfAlerts(t *testing.T, s Store) {
	anomaly := anomalyAt("a-1", noon)
	for _, a := range []engine.Alert{alertOf("c", "i-1"), {ID: "a", At: noon, Anomaly: &anomaly}, alertOf("b", "i-1")} {
		routed(t, s, a, "pager", "chat")
	}
	want := []string{"c to chat", "c to pager", "a to chat", "a to pager", "b to chat", "b to pager"}
	require.Equal(t, want, due(t, s, noon, 10))
	require.Equal(t, want, due(t, s, noon, 10), "until they are saved")
	require.Equal(t, want[:3], due(t, s, noon.AddDate(1_000, 0, 0), 3))
}

// Whoever says it last: what was delivered stays so.
func deliveredIsDelivered(t *testing.T, s Store) {
	routed(t, s, alertOf("al-1", "i-1"), "chat")
	list, err := s.Due(t.Context(), noon, 1)
	require.NoError(t, err)
	one := list[0]
	save(t, s, one, deadAt(noon))
	save(t, s, one, func(d *engine.Delivery) { d.Attempts = 5 })
	require.Equal(t, "0 waiting, 0 delivered, 1 dead", counts(t, s), "only a person makes it wait again")
	save(t, s, one, delivered)
	require.Equal(t, "0 waiting, 1 delivered, 0 dead", counts(t, s), "another dispatcher had it through")
	save(t, s, one, deadAt(noon))
	save(t, s, one, func(d *engine.Delivery) { d.Attempts = 5 })
	require.Equal(t, "0 waiting, 1 delivered, 0 dead", counts(t, s))
	requireCode(t, engine.CodeNotFound, s.Redeliver(t.Context(), "al-1", "chat", noon))
}

func deadLetters(t *testing.T, s Store) {
	const n = 7
	for i := range n {
		routed(t, s, alertOf(fmt.Sprint("al-", i), fmt.Sprint("i-", i)), "chat", "pager")
	}
	list, err := s.Due(t.Context(), noon, 100)
	require.NoError(t, err)
	require.Len(t, list, 2*n)
	var want []string
	for i, d := range list {
		if d.Receiver == "pager" {
			save(t, s, d, delivered)
			continue
		}
		dead := save(t, s, d, deadAt(noon.Add(time.Duration(i/4)*time.Second))) // some at the same time
		if i == 0 {
			page, err := s.DeadDeliveries(t.Context(), "", 0)
			require.NoError(t, err)
			require.Equal(t, []engine.Delivery{dead}, page.Items)
		}
		want = append([]string{d.Alert.ID}, want...)
	}
	var got []string
	for cursor, pages := "", 0; ; pages++ {
		page, err := s.DeadDeliveries(t.Context(), cursor, 3)
		require.NoError(t, err)
		for _, d := range page.Items {
			got = append(got, d.Alert.ID)
		}
		if cursor = page.Next; cursor == "" {
			require.Equal(t, 2, pages)
			break
		}
	}
	require.Equal(t, want, got, "latest first")

	again := noon.Add(time.Hour)
	require.NoError(t, s.Redeliver(t.Context(), "al-2", "chat", again))
	requireCode(t, engine.CodeNotFound, s.Redeliver(t.Context(), "al-2", "chat", again))
	requireCode(t, engine.CodeNotFound, s.Redeliver(t.Context(), "al-2", "pager", again))
	requireCode(t, engine.CodeNotFound, s.Redeliver(t.Context(), "al-2", "nobody", again))
	requireCode(t, engine.CodeNotFound, s.Redeliver(t.Context(), "none", "chat", again))
	require.Empty(t, due(t, s, again.Add(-1), 10))
	list, err = s.Due(t.Context(), again, 10)
	require.NoError(t, err)
	require.Equal(t, []engine.Delivery{{Alert: alertOf("al-2", "i-2"), Receiver: "chat", State: engine.DeliveryWaiting, Next: again, At: again}}, list)
	require.Equal(t, fmt.Sprintf("1 waiting, %d delivered, %d dead", n, n-1), counts(t, s))

	for _, cursor := range []string{"x", "AAAAAAAAAAA"} {
		_, err := s.DeadDeliveries(t.Context(), cursor, 0)
		requireCode(t, engine.CodeInvalid, err)
	}
	for _, limit := range []int{-1, 1001} {
		_, err := s.DeadDeliveries(t.Context(), "", limit)
		requireCode(t, engine.CodeInvalid, err)
	}
}

// Instances that share a store route the same alerts and deliver them at the same time: each alert has one set of receivers,
// and each delivery ends once.
func concurrentDispatch(t *testing.T, s Store) {
	const alerts, instances = 20, 4
	var wg sync.WaitGroup
	errs := make(chan error, 10_000)
	for w := range 2 { // writers
		wg.Go(func() {
			for i := range alerts / 2 {
				id := fmt.Sprintf("%d-%02d", w, i)
				errs <- s.Record(t.Context(), engine.Entry{Incidents: []engine.Incident{incidentAt(id, noon)}, Alerts: []engine.Alert{alertOf(id, id)}})
			}
		})
	}
	for w := range instances {
		wg.Go(func() {
			for done := 0; done < alerts; {
				list, err := s.Unrouted(t.Context(), 5)
				errs <- err
				for _, a := range list {
					errs <- s.Route(t.Context(), a.ID, []engine.Delivery{waiting(fmt.Sprint("of ", w), noon), waiting("all", noon)})
				}
				open, err := s.Due(t.Context(), noon, 5)
				errs <- err
				for _, d := range open {
					delivered(&d)
					errs <- s.SaveDelivery(t.Context(), d)
				}
				n, err := s.CountDeliveries(t.Context())
				errs <- err
				if done = n[engine.DeliveryDelivered] / 2; err != nil {
					return
				}
			}
		})
	}
	go func() {
		wg.Wait()
		close(errs)
	}()
	for err := range errs {
		require.NoError(t, err)
	}
	require.Empty(t, unrouted(t, s))
	require.Equal(t, fmt.Sprintf("0 waiting, %d delivered, 0 dead", 2*alerts), counts(t, s))
}

// Alerts are seen in the order of their commits: one that is seen has none before it that comes up later.
func alertsAreSeenInOrder(t *testing.T, s Store) {
	const writers, each = 4, 15
	var wg sync.WaitGroup
	errs := make(chan error, writers*each)
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				id := fmt.Sprintf("%d-%02d", w, i)
				errs <- s.Record(t.Context(), engine.Entry{Incidents: []engine.Incident{incidentAt(id, noon)}, Alerts: []engine.Alert{alertOf(id, id)}})
			}
		})
	}
	seen := []string{}
	for len(seen) < writers*each {
		now := unrouted(t, s)
		require.Equal(t, seen, now[:len(seen)])
		seen = now
		select {
		case err := <-errs:
			require.NoError(t, err)
		default:
		}
	}
	wg.Wait()
}

func pruneOutbox(t *testing.T, s Store) {
	old, young := noon.Add(-2*time.Hour), noon
	at := func(a engine.Alert, at time.Time) engine.Alert {
		a.At = at
		return a
	}
	routed(t, s, at(alertOf("delivered", "i-1"), old), "chat")
	routed(t, s, at(alertOf("dead", "i-2"), old), "chat")
	routed(t, s, at(alertOf("half", "i-3"), old), "chat", "pager")
	routed(t, s, at(alertOf("nobody", "i-4"), old))
	routed(t, s, at(alertOf("young", "i-5"), young), "chat")
	commit(t, s, at(alertOf("unrouted", "i-6"), old))
	list, err := s.Due(t.Context(), noon, 10)
	require.NoError(t, err)
	for _, d := range list {
		switch {
		case d.Alert.ID == "dead":
			save(t, s, d, deadAt(old))
		case d.Receiver == "chat":
			save(t, s, d, delivered)
		}
	}
	require.Equal(t, "1 waiting, 3 delivered, 1 dead", counts(t, s))
	deleted, err := s.Prune(t.Context(), noon.Add(-time.Hour))
	require.NoError(t, err)
	require.Equal(t, 3, deleted)
	require.Equal(t, "1 waiting, 2 delivered, 0 dead", counts(t, s))
	require.Equal(t, []string{"unrouted"}, unrouted(t, s))
	require.Equal(t, []string{"half to pager"}, due(t, s, noon, 10), "what somebody is still to get stays however old it is")
	require.Zero(t, s.DroppedDeliveries(), "that is for those for which there is no room")
}

func receiverMemos(t *testing.T, s Store) {
	_, err := s.ReceiverMemo(t.Context(), "chat", "i-1")
	requireCode(t, engine.CodeNotFound, err)
	require.NoError(t, s.SaveReceiverMemo(t.Context(), "chat", "i-1", "1733.1"))
	require.NoError(t, s.SaveReceiverMemo(t.Context(), "chat", "i-2", ""))
	require.NoError(t, s.SaveReceiverMemo(t.Context(), "other", "i-1", "9"))
	require.NoError(t, s.SaveReceiverMemo(t.Context(), "chat", "i-1", "1733.2"))
	for key, want := range map[string]string{"i-1": "1733.2", "i-2": ""} {
		value, err := s.ReceiverMemo(t.Context(), "chat", key)
		require.NoError(t, err)
		require.Equal(t, want, value)
	}
	requireCode(t, engine.CodeInvalid, s.SaveReceiverMemo(t.Context(), "", "k", "v"))
	requireCode(t, engine.CodeInvalid, s.SaveReceiverMemo(t.Context(), "chat", "", "v"))
	requireCode(t, engine.CodeInvalid, s.SaveReceiverMemo(t.Context(), "chat", "a\x00", "v"))
	requireCode(t, engine.CodeInvalid, s.SaveReceiverMemo(t.Context(), "chat", "k", "\xff"))
	requireCode(t, engine.CodeTooLarge, s.SaveReceiverMemo(t.Context(), "chat", "k", strings.Repeat("x", 1<<20)))

	deleted, err := s.Prune(t.Context(), time.Now().Add(-time.Hour))
	require.NoError(t, err)
	require.Zero(t, deleted)
	deleted, err = s.Prune(t.Context(), time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, 3, deleted)
	_, err = s.ReceiverMemo(t.Context(), "chat", "i-1")
	requireCode(t, engine.CodeNotFound, err)
}

// hostileOutbox puts what some databases refuse everywhere that a text from outside can come to.
func hostileOutbox(t *testing.T, s Store) {
	for i, text := range []string{`'; DROP TABLE alerts; --`, "1:a:b", "naïve 🙂\t\n", "$1 ?1"} {
		routed(t, s, alertOf(text, text), text, text+":"+text)
		list, err := s.Due(t.Context(), noon, 10)
		require.NoError(t, err)
		require.Len(t, list, 2, "%q", text)
		d := save(t, s, list[0], func(d *engine.Delivery) { d.State, d.Error = engine.DeliveryDead, text })
		save(t, s, list[1], delivered)
		page, err := s.DeadDeliveries(t.Context(), "", 0)
		require.NoError(t, err)
		require.Len(t, page.Items, i+1)
		require.Contains(t, page.Items, d)
	}
	for i, text := range []string{"a\x00b", "c\xff"} {
		requireCode(t, engine.CodeInvalid, s.Record(t.Context(), engine.Entry{Alerts: []engine.Alert{alertOf(text, "i")}}))
		a := alertOf(fmt.Sprint("al-", i), text)
		a.Change = text
		commit(t, s, a)
		requireCode(t, engine.CodeInvalid, s.Route(t.Context(), a.ID, []engine.Delivery{waiting(text, noon)}))
		requireCode(t, engine.CodeNotFound, s.Route(t.Context(), text, nil))
		require.NoError(t, s.Route(t.Context(), a.ID, []engine.Delivery{waiting("chat", noon)}))
		list, err := s.Due(t.Context(), noon, 10)
		require.NoError(t, err)
		require.Len(t, list, 1)
		save(t, s, list[0], func(d *engine.Delivery) { d.State, d.Error = engine.DeliveryDead, text })
		requireCode(t, engine.CodeNotFound, s.Redeliver(t.Context(), a.ID, text, noon))
		requireCode(t, engine.CodeNotFound, s.Redeliver(t.Context(), text, "chat", noon))
		_, err = s.ReceiverMemo(t.Context(), text, text)
		requireCode(t, engine.CodeNotFound, err)
		_, err = s.DeadDeliveries(t.Context(), base64.RawURLEncoding.EncodeToString([]byte("12345678"+text)), 0)
		requireCode(t, engine.CodeInvalid, err)
	}
}

// outboxSurvivesReopen ends the process between any two steps of an alert's way.
func outboxSurvivesReopen(t *testing.T, s Store, reopen func(*testing.T, Store) Store) {
	require.NoError(t, s.Record(t.Context(), engine.Entry{Incidents: []engine.Incident{incidentAt("i-1", noon)}, Alerts: []engine.Alert{alertOf("al-1", "i-1")}}))
	require.NoError(t, s.SaveReceiverMemo(t.Context(), "chat", "i-1", "17"))
	s = reopen(t, s)
	require.Equal(t, []string{"al-1"}, unrouted(t, s))
	require.NoError(t, s.Route(t.Context(), "al-1", []engine.Delivery{waiting("chat", noon)}))
	s = reopen(t, s)
	require.Empty(t, unrouted(t, s))
	commit(t, s, alertOf("al-1", "i-1"))
	require.Empty(t, unrouted(t, s))
	list, err := s.Due(t.Context(), noon, 10)
	require.NoError(t, err)
	require.Len(t, list, 1, "delivered, but the process ended before it was said: it is delivered again")
	save(t, s, list[0], deadAt(noon))
	s = reopen(t, s)
	require.NoError(t, s.Redeliver(t.Context(), "al-1", "chat", noon))
	s = reopen(t, s)
	list, err = s.Due(t.Context(), noon, 10)
	require.NoError(t, err)
	save(t, s, list[0], delivered)
	s = reopen(t, s)
	require.Equal(t, "0 waiting, 1 delivered, 0 dead", counts(t, s))
	value, err := s.ReceiverMemo(t.Context(), "chat", "i-1")
	require.NoError(t, err)
	require.Equal(t, "17", value)
}

// DeadAreBounded checks a backend that keeps at most three dead deliveries.
func DeadAreBounded(t *testing.T, s Store) {
	t.Helper()
	for i := range 5 {
		routed(t, s, alertOf(fmt.Sprint("al-", i), fmt.Sprint("i-", i)), "chat", "pager")
	}
	list, err := s.Due(t.Context(), noon, 100)
	require.NoError(t, err)
	for i, d := range list {
		if d.Receiver == "chat" {
			save(t, s, d, deadAt(noon.Add(time.Duration(i)*time.Second)))
		}
	}
	page, err := s.DeadDeliveries(t.Context(), "", 0)
	require.NoError(t, err)
	var left []string
	for _, d := range page.Items {
		left = append(left, d.Alert.ID)
	}
	require.Equal(t, []string{"al-4", "al-3", "al-2"}, left, "the oldest are forgotten")
	require.EqualValues(t, 2, s.DroppedDeliveries())
	require.Equal(t, "5 waiting, 0 delivered, 3 dead", counts(t, s))
}
