package engine

import (
	"encoding/gob"
	"io"
	"sync"
	"time"
)

// ledger knows the batches that a broker waits to be told of. What is found in them is stored as it is found, but they leave marks on
// windows, surges and candidates too, which are in memory: a batch is done once a snapshot is stored that was taken after all of that.
//
// A snapshot holds which batches have left marks on it and may come again. Of such a batch nothing is counted a second time.
type ledger struct {
	mu       sync.Mutex
	underway map[string]struct{} // ids of batches that were screened and have traces that are not judged yet
	settled  []settledBatch      // they wait for a snapshot
	earlier  map[string]progress // batches of the snapshot that was restored, as long as they have not come again
	forget   time.Time           // wall time at which those are taken to come no more
}

// settledBatch is a batch whose traces are judged, with what they showed stored.
type settledBatch struct {
	id   string
	done func(error)
}

// progress is how far a batch had come in a snapshot.
type progress int

const (
	progressNone     progress = iota
	progressScreened          // its spans are counted in windows
	progressSettled           // its traces are judged too
)

// redeliveredWithin is how long after a restart a broker may deliver again what was under way before. Wall time.
const redeliveredWithin = time.Hour

func newLedger() *ledger { return &ledger{underway: make(map[string]struct{})} }

// open returns what is to be called when all that was found in the batch is stored.
func (l *ledger) open(b *Batch) func(error) {
	id, done := b.ID, b.Done
	return func(err error) {
		l.mu.Lock()
		delete(l.underway, id)
		if err == nil {
			l.settled = append(l.settled, settledBatch{id, done})
		}
		l.mu.Unlock()
		if err != nil {
			done(err)
		}
	}
}

// take notes that a batch is screened and returns how far it had come before.
func (l *ledger) take(id string) progress {
	if id == "" {
		return progressNone
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.underway[id] = struct{}{}
	before := l.earlier[id]
	delete(l.earlier, id)
	return before
}

// close returns the batches that are done with the next snapshot.
func (l *ledger) close() []settledBatch {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.settled
	l.settled = nil
	return out
}

// reopen lets batches wait for another snapshot.
func (l *ledger) reopen(batches []settledBatch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settled = append(batches, l.settled...)
}

// awaited reports whether somebody waits for a snapshot.
func (l *ledger) awaited() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.settled) > 0
}

// ledgerPage is the ledger in a snapshot, with the batches that are done once it is stored.
type ledgerPage struct {
	*ledger
	closing []settledBatch
}

// Snapshot implements Snapshotter.
func (p ledgerPage) Snapshot(w io.Writer) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Now().After(p.forget) {
		p.earlier = nil
	}
	out := make(map[string]progress, len(p.underway)+len(p.closing)+len(p.earlier))
	for id, before := range p.earlier {
		out[id] = before
	}
	for id := range p.underway {
		out[id] = progressScreened
	}
	for _, b := range p.closing {
		if b.id != "" {
			out[b.id] = progressSettled
		}
	}
	return gob.NewEncoder(w).Encode(out)
}

// Restore implements Snapshotter.
func (p ledgerPage) Restore(r io.Reader) error {
	earlier := make(map[string]progress)
	if err := gob.NewDecoder(r).Decode(&earlier); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.earlier, p.forget = earlier, time.Now().Add(redeliveredWithin)
	return nil
}
