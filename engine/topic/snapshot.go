package topic

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"io"
)

// state is a snapshot: of each service, and of the shares and corrections in binary form, to be read into ones made as today's are.
type state struct {
	Key      serviceKey
	Service  service
	Shares   [][]byte
	Inflated []byte
}

// Snapshot implements engine.Snapshotter.
func (w *Watcher) Snapshot(out io.Writer) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	states := make([]state, 0, w.services.Len()) // least recently used first
	for _, k := range w.services.Keys() {
		s, _ := w.services.Peek(k)
		x := state{Key: k, Service: *s}
		for _, c := range s.Clusters {
			share, err := c.share.MarshalBinary()
			if err != nil {
				return fmt.Errorf("topics: snapshot %s: %w", k.Service, err)
			}
			x.Shares = append(x.Shares, share)
		}
		var err error
		if x.Inflated, err = s.inflation.MarshalBinary(); err != nil {
			return fmt.Errorf("topics: snapshot %s: %w", k.Service, err)
		}
		states = append(states, x)
	}
	var buf bytes.Buffer
	if err := gob.NewEncoder(&buf).Encode(states); err != nil {
		return fmt.Errorf("topics: snapshot: %w", err)
	}
	_, err := out.Write(buf.Bytes())
	return err
}

// Restore implements engine.Snapshotter. On an error nothing changes.
func (w *Watcher) Restore(r io.Reader) error {
	var states []state
	if err := gob.NewDecoder(r).Decode(&states); err != nil {
		return fmt.Errorf("topics: restore: %w", err)
	}
	for i := range states {
		x := &states[i]
		if len(x.Shares) != len(x.Service.Clusters) {
			return fmt.Errorf("topics: restore %s: %d shares of %d topics", x.Key.Service, len(x.Shares), len(x.Service.Clusters))
		}
		fresh := w.newService()
		x.Service.inflation = fresh.inflation
		if x.Service.Words == nil {
			x.Service.Words = fresh.Words
		}
		if x.Service.PerUser == nil {
			x.Service.PerUser = fresh.PerUser
		}
		if err := x.Service.inflation.UnmarshalBinary(x.Inflated); err != nil {
			return fmt.Errorf("topics: restore %s: %w", x.Key.Service, err)
		}
		for j, c := range x.Service.Clusters {
			c.share = w.proportion()
			if err := c.share.UnmarshalBinary(x.Shares[j]); err != nil {
				return fmt.Errorf("topics: restore %s: %w", x.Key.Service, err)
			}
			if c.Words == nil {
				c.Words = make(map[string]float64)
			}
			if c.Users == nil {
				c.Users = make(map[string]bool)
			}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.services.Purge()
	for i := range states {
		w.services.Add(states[i].Key, &states[i].Service)
	}
	return nil
}
