package engine

import (
	"errors"
	"sync"
)

// receipt calls a batch's Done once everything that came out of the batch is stored. The batch itself and each trace it
// touches hold the receipt; the last to let go calls Done with the errors of all.
type receipt struct {
	mu      sync.Mutex
	holders int
	errs    []error
	done    func(error)
}

// newReceipt returns a receipt with one holder, or nil when nobody waits: hold and release accept nil.
func newReceipt(done func(error)) *receipt {
	if done == nil {
		return nil
	}
	return &receipt{holders: 1, done: done}
}

func (r *receipt) hold() {
	if r == nil {
		return
	}
	r.mu.Lock()
	r.holders++
	r.mu.Unlock()
}

func (r *receipt) release(err error) {
	if r == nil {
		return
	}
	r.mu.Lock()
	r.holders--
	if err != nil {
		r.errs = append(r.errs, err)
	}
	last, errs := r.holders == 0, r.errs
	r.mu.Unlock()
	if last {
		r.done(errors.Join(errs...))
	}
}
