package engine

import (
	"sync"
	"time"
)

// flight knows how far the semantic tier is behind screening, so that incidents are judged on what both have seen of the same
// event time. It is in order: what was dispatched first lands first.
type flight struct {
	mu   sync.Mutex
	jobs []departure
}

type departure struct {
	mark time.Time // watermark when it left
	at   time.Time // wall time
}

// patience is how long, in wall time, incidents wait for the semantic tier: when it is slow or down they go on without.
const patience = 2 * time.Second

// leave notes that a job goes to the semantic tier.
func (f *flight) leave(mark, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.jobs = append(f.jobs, departure{mark, now})
}

// cancel takes the latest departure back: it found no place.
func (f *flight) cancel() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.jobs = f.jobs[:len(f.jobs)-1]
}

// land notes that the oldest job under way is judged.
func (f *flight) land() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.jobs = f.jobs[1:]; len(f.jobs) == 0 {
		f.jobs = nil
	}
}

// settled is the event time up to which both tiers have judged: mark, or when the oldest job under way left.
func (f *flight) settled(mark, now time.Time) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.jobs) == 0 || now.Sub(f.jobs[0].at) > patience {
		return mark
	}
	return f.jobs[0].mark
}

// underway is how many jobs have left and not landed.
func (f *flight) underway() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.jobs)
}
