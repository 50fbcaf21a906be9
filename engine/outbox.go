package engine

import (
	"context"
	"time"
)

// DeliveryState says how far a delivery is.
type DeliveryState string

// The states of a delivery.
const (
	DeliveryWaiting   DeliveryState = "waiting"   // to be tried at Next
	DeliveryDelivered DeliveryState = "delivered" // the receiver took it
	DeliveryDead      DeliveryState = "dead"      // given up: refused for good, or tried too often
)

// Delivery is one alert on its way to one receiver.
type Delivery struct {
	Alert    Alert         `json:"alert"`
	Receiver string        `json:"receiver"` // name in the configuration
	State    DeliveryState `json:"state"`
	Attempts int           `json:"attempts"`
	Next     time.Time     `json:"next,omitzero"` // wall time before which it is not tried
	Error    string        `json:"error,omitempty"`
	At       time.Time     `json:"at"` // wall time of the latest change
}

// Outbox holds alerts from the transaction that stores their incident (Entry.Alerts) until each receiver has them, so that a
// crash at any point loses none. An alert id that was committed once is never taken again. Several instances may use one at a time:
// an alert gets one set of receivers, a delivery that was delivered stays so, and both may try one that is due.
type Outbox interface {
	// Unrouted returns up to n alerts whose receivers are not decided yet, in the order in which they were committed.
	Unrouted(ctx context.Context, n int) ([]Alert, error)
	// Route decides who gets an alert, in one transaction; no deliveries means nobody. An alert that is routed already stays as it is;
	// one that is not there is CodeNotFound. Of the deliveries the alert is not read.
	Route(ctx context.Context, alertID string, to []Delivery) error
	// Due returns up to n waiting deliveries with Next <= now, earliest first, and those of one time in the order of their
	// alerts. It returns them again until they are saved in another state or for later.
	Due(ctx context.Context, now time.Time, n int) ([]Delivery, error)
	// SaveDelivery stores how a delivery stands after an attempt, by alert id and receiver. What was delivered stays so, and what is
	// dead can only turn out to be delivered. CodeNotFound when there is no such delivery.
	SaveDelivery(ctx context.Context, d Delivery) error
}

// DeadLetters are the deliveries that were given up, for people to read and try again.
type DeadLetters interface {
	// DeadDeliveries returns a page of them, latest first.
	DeadDeliveries(ctx context.Context, cursor string, limit int) (Page[Delivery], error)
	// Redeliver makes a dead delivery wait again from now on, with its attempts forgotten. CodeNotFound when it is not dead.
	Redeliver(ctx context.Context, alertID, receiver string, now time.Time) error
	// CountDeliveries returns how many deliveries are in each state; those that were pruned no longer count.
	CountDeliveries(ctx context.Context) (map[DeliveryState]int, error)
}
