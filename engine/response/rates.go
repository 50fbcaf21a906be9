package response

import (
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/llm-sentinel/llm-sentinel/engine"
	"github.com/llm-sentinel/llm-sentinel/statistical"
)

// rates is how often the answers of each service do something, of several things; it makes a detector an engine.Snapshotter.
type rates struct {
	cfg      Config
	things   int
	mu       sync.Mutex
	services *simplelru.LRU[string, []*statistical.Proportion]
}

func newRates(cfg Config, things int) (*rates, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	services, err := simplelru.NewLRU[string, []*statistical.Proportion](cfg.MaxServices, nil)
	if err != nil {
		return nil, fmt.Errorf("response: %w", err)
	}
	return &rates{cfg: cfg, things: things, services: services}, nil
}

func (r *rates) fresh() []*statistical.Proportion {
	out := make([]*statistical.Proportion, r.things)
	for i := range out {
		out[i] = statistical.NewProportion(statistical.ProportionConfig{HalfLife: r.cfg.HalfLife, MinCount: r.cfg.MinAnswers})
	}
	return out
}

// rate is how often answers of the service do the thing; ok is false while too few were seen.
func (r *rates) rate(service string, thing int) (rate float64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all, known := r.services.Peek(service)
	if !known || all[thing].Learning() {
		return 0, false
	}
	return all[thing].Rate(), true
}

// learn takes in whether a calm answer did the thing.
func (r *rates) learn(service string, thing int, at time.Time, did bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all, known := r.services.Get(service)
	if !known {
		all = r.fresh()
		r.services.Add(service, all)
	}
	bad := 0
	if did {
		bad = 1
	}
	all[thing].Add(at, bad, 1)
}

const (
	// rare is the rate below which the rate itself is the p-value. Above, surges would not see it become frequent: then it is drawn
	// uniformly below the rate, by the trace's id, which is as valid (smoothed p-values; Vovk, Gammerman and Shafer, 2005).
	rare = 0.05
	// alone is the least p-value of what is not rare: one such answer is nothing.
	alone = 0.002
)

// chance is the p-value of a thing that a trace did.
func chance(rate float64, id engine.TraceID) float64 {
	if rate < rare {
		return rate
	}
	u := float64(binary.BigEndian.Uint64(id[8:])>>11) / (1 << 53)
	return max(alone, u*rate)
}

// ratesState is one service in a snapshot.
type ratesState struct {
	Service string
	Things  [][]byte
}

// Snapshot implements engine.Snapshotter.
func (r *rates) Snapshot(w io.Writer) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]ratesState, 0, r.services.Len()) // least recently used first
	for _, service := range r.services.Keys() {
		all, _ := r.services.Peek(service)
		x := ratesState{Service: service}
		for _, p := range all {
			data, err := p.MarshalBinary()
			if err != nil {
				return fmt.Errorf("response: snapshot %s: %w", service, err)
			}
			x.Things = append(x.Things, data)
		}
		out = append(out, x)
	}
	if err := gob.NewEncoder(w).Encode(out); err != nil {
		return fmt.Errorf("response: snapshot: %w", err)
	}
	return nil
}

// Restore implements engine.Snapshotter. On an error nothing changes.
func (r *rates) Restore(from io.Reader) error {
	var in []ratesState
	if err := gob.NewDecoder(from).Decode(&in); err != nil {
		return fmt.Errorf("response: restore: %w", err)
	}
	restored := make([][]*statistical.Proportion, len(in))
	for i, x := range in {
		all := r.fresh()
		if len(x.Things) != len(all) {
			return fmt.Errorf("response: restore %s: %d proportions, want %d", x.Service, len(x.Things), len(all))
		}
		var errs []error
		for n := range all {
			errs = append(errs, all[n].UnmarshalBinary(x.Things[n]))
		}
		if err := errors.Join(errs...); err != nil {
			return fmt.Errorf("response: restore %s: %w", x.Service, err)
		}
		restored[i] = all
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.services.Purge()
	for i, all := range restored {
		r.services.Add(in[i].Service, all)
	}
	return nil
}
