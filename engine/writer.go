package engine

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// writer stands between the pipeline and its store. What is to be stored waits here, in order, until the store has it, however
// long it is down; nobody else waits for the store. One goroutine writes, a few entries in a transaction where they come fast, so
// that a later state of an incident is never overwritten by an earlier one.
//
// It is bounded: above limit the oldest that carries no alert is shed. What carries one is kept, and sources are told to come back.
type writer struct {
	journal Journal
	backlog Backlog
	limit   int                        // records
	told    func(alerts []Alert)       // after they are stored
	drop    func(reason string, n int) // counts
	health  *condition
	log     *slog.Logger

	mu      sync.Mutex
	queue   []*write
	taken   int           // writes at the head that are under way
	records int           // in queue
	held    int           // in queue, that somebody waits for
	lost    []func(error) // of what was shed, still to be told
	failing bool
	closed  bool
	wake    chan struct{}
}

// write is something to be stored, or nothing: then somebody waits for what was handed in before.
type write struct {
	entry    Entry
	deferred *Deferred   // for the backlog
	alerts   []Alert     // those of entry, or what would be there if somebody received them
	done     func(error) // called once it is stored or known to be lost; nil when nobody waits
}

func (w *write) size() int {
	n := w.entry.size()
	if w.deferred != nil {
		n += len(w.deferred.Trace.Spans)
	}
	return n
}

func (e *Entry) size() int {
	return len(e.Anomalies) + len(e.Incidents) + len(e.Alerts) + len(e.Events)
}

// maxTogether bounds the records of one transaction.
const maxTogether = 256

// Pauses between two attempts to reach a store that fails. Wall time.
const (
	firstPause = 25 * time.Millisecond
	lastPause  = 5 * time.Second
)

var (
	errShed    = &Error{Code: CodeUnavailable, Message: "the store is down for too long, shed", RetryAfter: lastPause}
	errStopped = &Error{Code: CodeUnavailable, Message: "stopped before the store took it", RetryAfter: lastPause}
)

// add hands in what is to be stored. It never waits, and calls nobody.
func (w *writer) add(x *write) {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		w.abandon([]*write{x})
		return
	}
	w.queue = append(w.queue, x)
	w.records += x.size()
	if x.done != nil {
		w.held++
	}
	if w.records > w.limit {
		w.shed()
	}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// then calls done once everything that was handed in before is stored: at once when nothing waits.
func (w *writer) then(done func(error)) {
	w.mu.Lock()
	if len(w.queue) == 0 {
		w.mu.Unlock()
		done(nil)
		return
	}
	w.mu.Unlock()
	w.add(&write{done: done})
}

// shed makes room by the oldest that carries no alert. w.mu is held.
func (w *writer) shed() {
	shed := 0
	waiting := w.queue[w.taken:]
	kept := slices.DeleteFunc(waiting, func(x *write) bool {
		n := x.size()
		if w.records <= w.limit || n == 0 || len(x.alerts) > 0 {
			return false
		}
		w.records -= n
		shed += n
		if x.done != nil {
			w.held--
			w.lost = append(w.lost, x.done)
		}
		return true
	})
	w.queue = w.queue[:w.taken+len(kept)]
	if shed > 0 {
		w.drop(dropShed, shed)
	}
}

// full reports whether there is no room for what a batch may bring about. A batch that somebody waits for also needs room among those
// that are waited for.
func (w *writer) full(awaited bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.records >= w.limit || awaited && w.held >= w.limit
}

// down reports whether the latest attempt to store something failed.
func (w *writer) down() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failing
}

// waiting is how many records wait.
func (w *writer) waiting() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.records
}

// run writes until last is closed and nothing is left, or until ctx ends: then what is left is given up, and the error says how much.
func (w *writer) run(ctx context.Context, last <-chan struct{}) error {
	pause := time.Duration(0)
	for {
		if err := w.flush(ctx); err == nil {
			pause = 0
			select {
			case <-w.wake:
			case <-ctx.Done():
			case <-last:
				if w.close() {
					return nil
				}
			}
		} else {
			pause = min(max(firstPause, 2*pause), lastPause)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			<-last // what ends with ctx may still hand something in
			return w.giveUp()
		}
	}
}

// close ends the writer when nothing is left.
func (w *writer) close() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = len(w.queue) == 0 && len(w.lost) == 0
	return w.closed
}

func (w *writer) giveUp() error {
	w.mu.Lock()
	left, lost := w.queue, w.lost
	w.queue, w.lost, w.records, w.held, w.closed = nil, nil, 0, 0, true
	w.mu.Unlock()
	for _, done := range lost {
		done(errShed)
	}
	if records, alerts := w.abandon(left); records > 0 {
		return fmt.Errorf("engine: stopped with %d records, %d alerts among them, that the store did not take", records, alerts)
	}
	return nil
}

func (w *writer) abandon(left []*write) (records, alerts int) {
	for _, x := range left {
		records += x.size()
		alerts += len(x.entry.Alerts)
		if x.done != nil {
			x.done(errStopped)
		}
	}
	if records > 0 {
		w.drop(dropUnstored, records)
		w.log.Error("stopped before the store took everything", "records", records, "alerts", alerts)
	}
	return records, alerts
}

// flush writes until nothing is left, or until the store fails. It is for one goroutine at a time.
func (w *writer) flush(ctx context.Context) error {
	for {
		batch, lost := w.take()
		for _, done := range lost {
			done(errShed)
		}
		if len(batch) == 0 {
			return nil
		}
		err := w.write(ctx, batch)
		if err != nil {
			w.failed(err)
			return err
		}
	}
}

// take marks the next writes as under way and returns them, with whom to tell that theirs was shed.
func (w *writer) take() (batch []*write, lost []func(error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	records := 0
	for _, x := range w.queue {
		records += x.size()
		if len(batch) > 0 && (records > maxTogether || x.deferred != nil || batch[0].deferred != nil) {
			break
		}
		batch = append(batch, x)
	}
	w.taken = len(batch)
	lost, w.lost = w.lost, nil
	return slices.Clone(batch), lost
}

// write stores the batch, which is the head of the queue, and takes it off. When the store can take it never, each of its writes is
// tried alone, so that one costs no other.
func (w *writer) write(ctx context.Context, batch []*write) error {
	asked, err := w.record(ctx, batch)
	switch {
	case err == nil:
		w.finish(batch, nil, asked)
	case !hopeless(err) && (batch[0].deferred == nil || ErrorCode(err) != CodeFull):
		return err
	case len(batch) == 1:
		w.drop(dropUnstored, batch[0].size())
		w.log.Error("the store refused a record", "anomalies", len(batch[0].entry.Anomalies), "incidents", len(batch[0].entry.Incidents),
			"alerts", len(batch[0].entry.Alerts), "events", len(batch[0].entry.Events), "error", err)
		w.health.failed("store", err.Error())
		w.finish(batch, fmt.Errorf("engine: record: %w", err), true)
	default:
		for _, x := range batch {
			if err := w.write(ctx, []*write{x}); err != nil {
				return err
			}
		}
	}
	return nil
}

// hopeless reports whether no repetition can cure the error.
func hopeless(err error) bool {
	code := ErrorCode(err)
	return IsPermanent(err) || code == CodeInvalid || code == CodeTooLarge
}

// record is one call of the store; there is none when nothing is to be stored.
func (w *writer) record(ctx context.Context, batch []*write) (asked bool, err error) {
	if d := batch[0].deferred; d != nil {
		return true, w.backlog.Defer(ctx, *d)
	}
	e := merge(batch)
	if e.size() == 0 {
		return false, nil
	}
	return true, w.journal.Record(ctx, e)
}

// merge makes one entry of the batch; of the states of an incident the latest stands.
func merge(batch []*write) Entry {
	if len(batch) == 1 {
		return batch[0].entry
	}
	var e Entry
	at := make(map[string]int)
	for _, x := range batch {
		e.Anomalies = append(e.Anomalies, x.entry.Anomalies...)
		e.Alerts = append(e.Alerts, x.entry.Alerts...)
		e.Events = append(e.Events, x.entry.Events...)
		for _, in := range x.entry.Incidents {
			if i, known := at[in.ID]; known {
				e.Incidents[i] = in
				continue
			}
			at[in.ID] = len(e.Incidents)
			e.Incidents = append(e.Incidents, in)
		}
	}
	return e
}

// finish takes the head of the queue off and tells whoever waits for it; answered says that the store was asked and answered.
func (w *writer) finish(batch []*write, err error, answered bool) {
	w.mu.Lock()
	for _, x := range batch {
		w.records -= x.size()
		if x.done != nil {
			w.held--
		}
	}
	w.queue = w.queue[len(batch):]
	if len(w.queue) == 0 {
		w.queue = nil
	}
	w.taken = max(0, w.taken-len(batch))
	recovered := answered && w.failing
	w.failing = w.failing && !answered
	w.mu.Unlock()
	if answered && err == nil {
		w.health.worked("store")
	}
	if recovered {
		w.log.Info("the store answers again")
	}
	var alerts []Alert
	for _, x := range batch {
		alerts = append(alerts, x.alerts...)
		if x.done != nil {
			x.done(err)
		}
	}
	if err == nil && len(alerts) > 0 {
		w.told(alerts)
	}
}

func (w *writer) failed(err error) {
	w.mu.Lock()
	first := !w.failing
	w.failing, w.taken = true, 0
	waiting := w.records
	w.mu.Unlock()
	w.health.failed("store", err.Error())
	if first {
		w.log.Error("the store does not answer, what is found waits for it", "records", waiting, "error", err)
	}
}
