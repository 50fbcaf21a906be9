package kafka

import (
	"slices"
	"sync"
	"time"
)

// state is how far a message of a window is.
type state uint8

const (
	pending state = iota // the engine has it, or will in a moment
	done                 // its effects are stored, or it is a dead letter
	failed               // to be read again at due
	again                // being read again
)

// entry is one message of a window.
type entry struct {
	offset   int64
	state    state
	attempts int       // how often it failed
	due      time.Time // when failed: not before
	refused  error     // when failed: why the engine will never take it
	at       time.Time // when it was read first
}

// The wait before a message that failed is read again: it doubles from the first to the last.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
	// retryTogether is how much earlier a message may be read again because another one is due.
	retryTogether = 500 * time.Millisecond
)

// window holds the messages of one partition between the committed offset and the next one to read, in order. It belongs to the
// partition and not to a generation of the group: that a message is done stays true whoever owns the partition.
type window struct {
	mu        sync.Mutex
	entries   []*entry
	committed int64 // what the broker has as the group's offset
	next      int64 // the offset to read next
	first     int64 // lowest offset that the broker still holds, as far as known
	end       int64 // the offset that the next message written will have, as far as known
	again     int   // how many messages are being read again
	timer     *time.Timer
	timerDue  time.Time
	wake      func() // called when a failed message is due
}

func newWindow(start int64) *window {
	return &window{committed: start, next: start, end: start, wake: func() {}}
}

// resume says whether the window can go on from the group's committed offset, and then forgets what lies before it, which
// somebody else has done meanwhile.
func (w *window) resume(committed int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if committed < w.committed || committed > w.next {
		return false
	}
	for len(w.entries) > 0 && w.entries[0].offset < committed {
		w.drop()
	}
	w.committed = committed
	return true
}

// drop forgets the first entry.
func (w *window) drop() {
	if w.entries[0].state == again {
		w.again--
	}
	w.entries[0] = nil
	w.entries = w.entries[1:]
}

// rewind returns where to read on: at the first failed message that is due, or behind the last one read.
func (w *window) rewind(now time.Time) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	from := w.next
	for _, e := range slices.Backward(w.entries) {
		if e.state == again || e.state == failed && !e.due.After(now.Add(retryTogether)) {
			if e.state == failed {
				e.state = again
				w.again++
			}
			from = e.offset
		}
	}
	w.schedule(now)
	return from
}

// admit takes a message that was read. It returns nil for one that is under way or done already. expired counts messages that the
// broker no longer had: their retention ended before they were done.
func (w *window) admit(offset int64, now time.Time) (e *entry, expired int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i, found := slices.BinarySearchFunc(w.entries, offset, func(e *entry, offset int64) int { return int(e.offset - offset) })
	for _, skipped := range w.entries[:i] {
		if w.again == 0 {
			break
		}
		if skipped.state == again {
			skipped.state = done
			w.again--
			expired++
		}
	}
	switch {
	case found && w.entries[i].state == again:
		e = w.entries[i]
		e.state = pending
		w.again--
	case !found && offset >= w.next:
		// Offsets may have holes, which compaction and transactions leave. Those below the first are losses.
		expired += max(0, min(offset, w.first)-w.next)
		e = &entry{offset: offset, at: now}
		w.entries = append(w.entries, e)
		w.next = offset + 1
	}
	w.trim()
	return e, expired
}

// finish notes what became of a message. It is read again after an error; refused says that only to make a dead letter of it.
func (w *window) finish(e *entry, err error, refused bool, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		e.state = done
		w.trim()
		return
	}
	e.state = failed
	if refused {
		e.refused, e.due = err, now
	} else {
		e.due = now.Add(min(firstRetry<<min(e.attempts, 10), lastRetry))
	}
	e.attempts++
	if w.timer == nil || e.due.Before(w.timerDue) {
		w.setTimer(e.due, now)
	}
}

// abandon gives back a message that reading stopped with before the engine had it.
func (w *window) abandon(e *entry, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e.state, e.due = failed, now
}

// trim forgets what is done at the start.
func (w *window) trim() {
	for len(w.entries) > 0 && w.entries[0].state == done {
		w.drop()
	}
}

// schedule sets the timer to the failed message that is due first.
func (w *window) schedule(now time.Time) {
	var due time.Time
	for _, e := range w.entries {
		if e.state == failed && (due.IsZero() || e.due.Before(due)) {
			due = e.due
		}
	}
	w.setTimer(due, now)
}

// setTimer replaces the timer; there is none with a zero time.
func (w *window) setTimer(due, now time.Time) {
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
	if !due.IsZero() {
		w.timer, w.timerDue = time.AfterFunc(due.Sub(now), w.wake), due
	}
}

// wakeWith sets what is called when a failed message is due. It is called at once for those that are.
func (w *window) wakeWith(wake func(), now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wake = wake
	w.schedule(now)
}

// close ends the timer; the window is not used for reading again, or wakeWith follows.
func (w *window) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wake = func() {}
	w.setTimer(time.Time{}, time.Time{})
}

// extent notes what the partition holds.
func (w *window) extent(x extent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.first, w.end = x.first, max(w.end, x.end)
}

// position returns the offset to commit: of the first message that is not done. ahead says that the broker has a lower one.
func (w *window) position() (offset int64, ahead bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	offset = w.low()
	return offset, offset > w.committed
}

func (w *window) low() int64 {
	if len(w.entries) > 0 {
		return w.entries[0].offset
	}
	return w.next
}

// commit notes that the broker has an offset.
func (w *window) commit(offset int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.committed = max(w.committed, offset)
}

// lag returns how many messages are not done, and for how long the first of those that were read has been under way.
func (w *window) lag(now time.Time) (messages int64, age time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.entries) > 0 {
		age = now.Sub(w.entries[0].at)
	}
	return max(0, max(w.end, w.next)-w.low()), age
}
