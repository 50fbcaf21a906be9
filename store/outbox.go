package store

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// AlertRow has the columns of an alert.
type AlertRow struct {
	ID   string
	At   int64
	Body string
}

// NewAlertRow returns CodeInvalid for an alert without an id or with what JSON cannot hold.
func NewAlertRow(a engine.Alert) (AlertRow, error) {
	if err := RequireID("alert", a.ID); err != nil {
		return AlertRow{}, err
	}
	a.At = a.At.UTC()
	body, err := encode("alert", a.ID, a)
	return AlertRow{ID: a.ID, At: Nanos(a.At), Body: body}, err
}

// DeliveryRow has the columns of a delivery beside its alert's.
type DeliveryRow struct {
	ID       string
	Receiver string
	State    string
	Attempts int
	Next     int64
	Changed  int64
	Error    string
}

// DeliveryID is the id of the delivery of an alert to a receiver: no two of them have one.
func DeliveryID(alertID, receiver string) string {
	return fmt.Sprintf("%d:%s:%s", len(alertID), Text(alertID), Text(receiver))
}

// NewDeliveryRow returns CodeInvalid for a delivery without a receiver, in an unknown state or after less than no attempts.
func NewDeliveryRow(alertID string, d engine.Delivery) (DeliveryRow, error) {
	if err := RequireID("receiver", d.Receiver); err != nil {
		return DeliveryRow{}, err
	}
	switch d.State {
	case engine.DeliveryWaiting, engine.DeliveryDelivered, engine.DeliveryDead:
	default:
		return DeliveryRow{}, engine.Errorf(engine.CodeInvalid, "delivery to %s: state %.64q: want waiting, delivered or dead", d.Receiver, d.State)
	}
	if d.Attempts < 0 || d.Attempts > math.MaxInt32 {
		return DeliveryRow{}, engine.Errorf(engine.CodeInvalid, "delivery to %s: %d attempts", d.Receiver, d.Attempts)
	}
	return DeliveryRow{
		ID: DeliveryID(alertID, d.Receiver), Receiver: d.Receiver, State: string(d.State), Attempts: d.Attempts,
		Next: Nanos(d.Next), Changed: Nanos(d.At), Error: Text(d.Error),
	}, nil
}

// DeliveryRows makes the rows of the deliveries of one alert, or the error of the first one that cannot be stored.
func DeliveryRows(alertID string, to []engine.Delivery) ([]DeliveryRow, error) {
	rows := make([]DeliveryRow, len(to))
	for i, d := range to {
		var err error
		if rows[i], err = NewDeliveryRow(alertID, d); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

const (
	// DeliveryTables is what DeliveryColumns are selected from.
	DeliveryTables = "deliveries JOIN alerts ON alerts.seq = deliveries.alert"
	// DeliveryColumns are the columns that ReadDeliveries reads, in its order.
	DeliveryColumns = "alerts.body, receiver, state, attempts, next, changed, error"
	// DueDeliveries selects the waiting deliveries up to a time, earliest first, up to a number of them. Those of one time are in
	// the order of their alerts.
	DueDeliveries = "SELECT " + DeliveryColumns + " FROM " + DeliveryTables + ` WHERE state = 'waiting' AND next <= ?
		ORDER BY next, deliveries.alert, receiver LIMIT ?`
	// ClosedAlerts is the condition on alerts that nobody waits for any more.
	ClosedAlerts = "routed AND NOT EXISTS (SELECT 1 FROM deliveries WHERE alert = alerts.seq AND state = 'waiting')"
)

// ReadDeliveries reads rows of DeliveryColumns.
func ReadDeliveries(rows Rows) ([]engine.Delivery, error) {
	var out []engine.Delivery
	for rows.Next() {
		d, err := scanDelivery(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

// scanDelivery reads a row that ends in DeliveryColumns; before are the columns in front of them.
func scanDelivery(rows Rows, before ...any) (engine.Delivery, error) {
	var d engine.Delivery
	var body []byte
	var next, changed int64
	if err := rows.Scan(append(before, &body, &d.Receiver, &d.State, &d.Attempts, &next, &changed, &d.Error)...); err != nil {
		return d, err
	}
	d.Next, d.At = timeOrZero(next), timeOrZero(changed)
	return d, json.Unmarshal(body, &d.Alert)
}

// timeOrZero is the time of a column that no time at all was stored in too.
func timeOrZero(nanos int64) time.Time {
	if nanos == math.MinInt64 {
		return time.Time{}
	}
	return Time(nanos)
}

// ListDeadDeliveries returns CodeInvalid for a cursor or limit that is not valid.
func ListDeadDeliveries(cursor string, limit int) (Listing[engine.Delivery], error) {
	l := Listing[engine.Delivery]{
		table: DeliveryTables, time: "changed", id: "deliveries.id", columns: DeliveryColumns, scan: scanDelivery,
	}
	l.filter("state = 'dead'")
	return l, l.page(cursor, limit)
}

// CountsOf reads rows of a state and a number, for all states.
func CountsOf(rows Rows) (map[engine.DeliveryState]int, error) {
	counts := map[engine.DeliveryState]int{engine.DeliveryWaiting: 0, engine.DeliveryDelivered: 0, engine.DeliveryDead: 0}
	for rows.Next() {
		var state string
		var n int
		if err := rows.Scan(&state, &n); err != nil {
			return nil, err
		}
		counts[engine.DeliveryState(state)] = n
	}
	return counts, nil
}

// Bounds of what is remembered for receivers.
const (
	MaxReceiverMemos = 100_000  // Prune deletes the oldest beyond them
	maxMemoBytes     = 16 << 10 // of a value
)

// ValidateMemo returns CodeInvalid for a receiver or key that cannot be told from another, and CodeTooLarge for a long value.
func ValidateMemo(receiver, key, value string) error {
	if err := RequireID("receiver", receiver); err != nil {
		return err
	}
	if err := RequireID("memo", key); err != nil {
		return err
	}
	if value != Text(value) {
		return engine.Errorf(engine.CodeInvalid, "value: want UTF-8 without NUL")
	}
	if len(value) > maxMemoBytes {
		return engine.Errorf(engine.CodeTooLarge, "%d bytes, of at most %d", len(value), maxMemoBytes)
	}
	return nil
}
