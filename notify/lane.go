package notify

import (
	"slices"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// laneKey names what keeps its order. An escalation waits long, and what the same receiver is told otherwise does not wait
// for it.
type laneKey struct {
	receiver, incident string
	escalation         bool
}

// lane holds what one receiver is still to be told of one incident, in the order in which it happened. Only the first item
// is tried. The order of Next in the store is the same, at every moment, so that it can be read back after a crash: an item
// is written with a later Next only after the items behind it were.
type lane struct {
	key    laneKey
	items  []*item
	busy   bool              // the first item is queued or under way
	writes []engine.Delivery // changes that are not stored yet, in order; the lane stands still until they are
	told   time.Time         // when the receiver was last told of the incident
}

// item is one delivery. Its alert is there while it is due, and only the ids of it otherwise.
type item struct {
	delivery engine.Delivery
	loaded   bool
	wanted   time.Time // since when it could have been delivered, if all had gone well
}

// spacing keeps the order of a lane visible in the store.
const spacing = time.Microsecond

// add appends a delivery.
func (l *lane) add(d engine.Delivery, wanted time.Time) {
	l.items = append(l.items, &item{delivery: d, loaded: true, wanted: wanted})
}

// after returns next, or the earliest time that keeps the order where that is later.
func (l *lane) after(next time.Time) time.Time {
	if n := len(l.items); n > 0 {
		if least := l.items[n-1].delivery.Next.Add(spacing); next.Before(least) {
			return least
		}
	}
	return next
}

func (l *lane) find(alertID string) *item {
	for _, it := range l.items {
		if it.delivery.Alert.ID == alertID {
			return it
		}
	}
	return nil
}

// move puts the lane off until next. The bodies of its alerts are read again then.
func (l *lane) move(next time.Time) {
	for _, it := range l.items {
		if it.delivery.Next.Before(next) {
			it.delivery.Next = next
		}
		next = it.delivery.Next.Add(spacing)
		it.unload()
	}
	for i := len(l.items) - 1; i >= 0; i-- {
		l.writes = append(l.writes, l.items[i].delivery)
	}
}

// leaveOut takes out what the latest item tells better, and says how many. What is being tried stays.
func (l *lane) leaveOut(now time.Time) (n int) {
	first := 0
	if l.busy {
		first = 1
	}
	for ; len(l.items)-first > 1; n++ {
		latest := l.items[len(l.items)-1].delivery.Alert.ID
		l.end(first, engine.DeliveryDelivered, "left out: alert "+latest+" of the same incident stands in its place", now)
	}
	return n
}

// end takes the i-th item out and writes how it stands.
func (l *lane) end(i int, state engine.DeliveryState, reason string, now time.Time) {
	it := l.items[i]
	l.items = slices.Delete(l.items, i, i+1)
	it.delivery.State, it.delivery.Error, it.delivery.At = state, reason, now
	it.unload()
	l.writes = append(l.writes, it.delivery)
}

// due reports whether the first item may be tried, and whether its alert has to be read before.
func (l *lane) due(now time.Time) (due, loaded bool) {
	if len(l.items) == 0 || l.items[0].delivery.Next.After(now) {
		return false, false
	}
	return true, l.items[0].loaded
}

// rest forgets the alerts of what is not due.
func (l *lane) rest(now time.Time) {
	for _, it := range l.items {
		if it.delivery.Next.After(now) {
			it.unload()
		}
	}
}

// unload forgets the alert but for its ids, which are all that storing how a delivery stands needs.
func (it *item) unload() {
	a := it.delivery.Alert
	it.delivery.Alert = engine.Alert{ID: a.ID, Change: a.Change, Incident: engine.Incident{ID: a.Incident.ID}}
	it.loaded = false
}
